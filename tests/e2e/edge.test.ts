/** The edge entry in its real runtime, over a real etcd behind its tunnel, with a real agent and real containers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CRON_PATH } from '../../infra/edge/parts.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import { type RealEdge, startEdge, startEdgeCluster } from '../support/edge.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { berth, IMAGE } from './cli-process.ts';

/** Short, so that a test sees a stream being taken up again. */
const STREAM_SECONDS = 2;

interface Door {
  readonly url: string;
  readonly token: string;
}

async function rest({ url, token }: Door, method: string, path: string, body?: unknown) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text };
}

async function submit(door: Door, name: string, group: object): Promise<void> {
  const { status, text } = await rest(door, 'POST', '/v1/jobs', { name, groups: [{ image: IMAGE, ...group }] });
  expect(status, text).toBe(201);
}

function taskIn(door: Door, job: string, state: string): Promise<TaskView> {
  return eventually(`a task of ${job} to be ${state}`, async () => {
    const items: TaskView[] = JSON.parse((await rest(door, 'GET', `/v1/tasks?job=${job}`)).text).items;
    return items.find((task) => task.state === state);
  });
}

const envOf = ({ url, token }: Door) => ({ BERTH_ADDR: url, BERTH_TOKEN: token });

async function driverSeenBy(door: Door): Promise<string | null> {
  return JSON.parse((await rest(door, 'GET', '/v1/status')).text).driver;
}

describe('where no other control plane is there', () => {
  let cluster: RealCluster & { edge: RealEdge };
  let door: Door;

  beforeAll(async () => {
    cluster = await startEdgeCluster({ BERTH_STREAM_SECONDS: String(STREAM_SECONDS) });
    door = { url: cluster.edge.url, token: cluster.token };
    await cluster.addAgent('edge', ['--resources', 'cpus=2,memMiB=512,ports=27000-27009']);
  });
  afterAll(() => cluster?.stop());

  it('runs a container from one REST call to its end, and says where, why and with what exit code', async () => {
    await submit(door, 'exits', { command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
    const task = await taskIn(door, 'exits', 'failed');
    expect(task).toMatchObject({ exitCode: 3, reason: 'exited' });
    expect(task.history.map((transition) => transition.state)).toEqual([
      ...['pending', 'staging', 'starting', 'running', 'failed'],
    ]);
    await eventually('the job to have an outcome', async () => {
      const job = JSON.parse((await rest(door, 'GET', '/v1/jobs/exits')).text);
      return job.state === 'failed' && job.endedAt !== null;
    });
    await eventually('its place to be free, and nobody to drive', async () => {
      const { items } = JSON.parse((await rest(door, 'GET', '/v1/nodes')).text);
      return items[0].used.cpus === 0 && (await driverSeenBy(door)) === null;
    });
    const logs = await rest(door, 'GET', `/v1/tasks/${task.id}/logs`);
    expect(logs.text.split('\n').sort()).toEqual(['', 'err', 'out']);
  });

  it('follows output over streams that end again and again, and exits as the container does', async () => {
    const script = 'for i in $(seq 12); do echo "line $i"; sleep 0.35; done; exit 4';
    const ran = await berth(['run', '--name', 'talks', IMAGE, '--', 'sh', '-c', script], envOf(door));
    expect(ran.out.trimEnd().split('\n')).toEqual(Array.from({ length: 12 }, (_, at) => `line ${at + 1}`));
    expect(ran.code, ran.err).toBe(4);
    expect(cluster.edge.log().match(/GET \/v1\/tasks\/talks[^ ]*\/logs 200/g)?.length).toBeGreaterThan(1);
  });

  it('tells why a task has no place, and gives it one as soon as it can', async () => {
    await submit(door, 'waits', {
      command: ['true'],
      constraints: [{ attribute: 'rack', operator: '=', value: 'r7' }],
    });
    const { id } = await taskIn(door, 'waits', 'pending');
    const { explanation } = JSON.parse((await rest(door, 'GET', `/v1/tasks/${id}`)).text);
    expect(explanation).toMatchObject({ nodesTotal: 1, refusals: [{ nodes: 1 }] });
    expect(explanation.summary).toContain('rack');
    const flags = ['--resources', 'cpus=1,memMiB=128,ports=27010-27019', '--attributes', 'rack=r7'];
    await cluster.addAgent('rack', flags);
    await taskIn(door, 'waits', 'finished');
  });

  it('takes many calls at once, few of which drive', async () => {
    const names = Array.from({ length: 8 }, (_, at) => `crowd-${at}`);
    const resources = { cpus: 0.1, memMiB: 16 };
    await Promise.all(names.map((name) => submit(door, name, { command: ['true'], resources })));
    await Promise.all(names.map((name) => taskIn(door, name, 'finished')));
  });

  it('drives for a whole turn when its trigger calls, and lets go of everything that it has followed', async () => {
    const over = new AbortController();
    const turn = fetch(`${door.url}${CRON_PATH}`, { signal: over.signal }).catch(() => undefined);
    await eventually('somebody to drive', async () => (await driverSeenBy(door)) !== null);
    const readers = Array.from({ length: 4 }, () =>
      fetch(`${door.url}/v1/events`, { signal: over.signal, ...asEvents(door) }),
    );
    for (const reader of await Promise.all(readers)) expect(reader.status).toBe(200);
    await eventually('their watches to be open', async () => (await watchers(cluster)) > 4);
    over.abort();
    await turn;
    // What is left: the trigger's turn, which nobody can call off, and one long wait for each agent.
    await eventually('the watches of those who have gone to end', async () => (await watchers(cluster)) <= 3);
  });

  it.each([
    ['without a token', {}, 401],
    ['with one that is not ours', { Authorization: 'Bearer a.b.c' }, 401],
  ])('refuses a call %s', async (_, headers, status) => {
    const answer = await fetch(`${door.url}/v1/jobs`, { headers });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ code: 'unauthenticated' });
  });
});

function asEvents({ token }: Door): RequestInit {
  return { headers: { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' } };
}

async function watchers({ etcd }: RealCluster): Promise<number> {
  const text = await (await fetch(`${etcd.url}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\S+)$/m.exec(text)?.[1]);
}

describe('beside a replica that drives', () => {
  let cluster: RealCluster;
  let edge: RealEdge;
  let folder: string;
  let agent: RealAgent;
  let door: Door;
  let replica: Door;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-edge-'));
    cluster = await startRealCluster({ replicas: 1 });
    const { token } = cluster;
    edge = await startEdge(cluster.etcd, { folder, token, variables: {} });
    door = { url: edge.url, token };
    replica = { url: cluster.replicas[0]?.url ?? '', token };
    const flags = ['--resources', 'cpus=2,memMiB=512,ports=27020-27029'];
    agent = await cluster.addAgent('both', flags, { addresses: [replica.url, edge.url] });
  });
  afterAll(async () => {
    await edge?.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('is a door: the replica gives tasks their places, and output comes through either', async () => {
    const script = 'echo first; sleep 2; echo last; exit 5';
    await submit(door, 'talks', { command: ['sh', '-c', script] });
    const { id } = await taskIn(replica, 'talks', 'running');
    const texts = await Promise.all(
      [door, replica].map((from) => rest(from, 'GET', `/v1/tasks/${id}/logs?follow=true`)),
    );
    expect(texts.map(({ text }) => text)).toEqual(['first\nlast\n', 'first\nlast\n']);
    expect(await taskIn(door, 'talks', 'failed')).toMatchObject({ exitCode: 5, node: agent.node });
    const [own] = JSON.parse((await rest(door, 'GET', '/v1/status')).text).replicas;
    expect(await driverSeenBy(door)).toBe(own.id);
  });

  it('takes over when the replica is gone: the same agent, session and task', async () => {
    await submit(door, 'stays', { command: ['sh', '-c', 'echo here; sleep 1000'], killGraceSeconds: 0 });
    const before = await taskIn(replica, 'stays', 'running');
    const epoch = await epochOf(door, agent.node);
    // As the platform does every minute. Whose turn it is waits for the seat meanwhile.
    const over = new AbortController();
    const turn = fetch(`${door.url}${CRON_PATH}`, { signal: over.signal }).catch(() => undefined);
    await cluster.replicas[0]?.process.kill();
    await submit(door, 'next', { command: ['sh', '-c', 'echo there; exit 6'] });
    expect(await taskIn(door, 'next', 'failed')).toMatchObject({ exitCode: 6 });
    const { text } = await rest(door, 'GET', `/v1/tasks/${before.id}/logs?tail=1`);
    expect(text).toBe('here\n');
    expect((await taskIn(door, 'stays', 'running')).id).toBe(before.id);
    expect(await epochOf(door, agent.node)).toBe(epoch);
    expect((await rest(door, 'POST', '/v1/jobs/stays/stop', {})).status).toBe(200);
    await taskIn(door, 'stays', 'killed');
    over.abort();
    await turn;
  });
});

async function epochOf(door: Door, node: string): Promise<number> {
  return JSON.parse((await rest(door, 'GET', `/v1/nodes/${node}`)).text).epoch;
}
