/** The main job over REST on real parts: two replicas, one of which has only HTTP to etcd, two agents, one engine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';

const IMAGE = 'berth/busybox:local';

let cluster: RealCluster;
let small: RealAgent;
let large: RealAgent;

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 2, flagsOf: (at) => (at === 0 ? ['--etcd-gateway'] : []) });
  small = await cluster.addAgent('small', ['--resources', 'cpus=1,memMiB=512,ports=21000-21009']);
  large = await cluster.addAgent('large', [
    ...['--resources', 'cpus=2,memMiB=1024,ports=21010-21019', '--attributes', 'disk=ssd', '--allow-host-network'],
  ]);
});
afterAll(() => cluster?.stop());

/** A request as a pipeline makes it: no client of ours in between. */
async function rest(method: string, path: string, body?: unknown, { replica = 0, headers = {} } = {}) {
  const response = await fetch(`${cluster.replicas[replica]?.url}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${cluster.token}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

async function submit(name: string, group: Record<string, unknown>, job: Record<string, unknown> = {}) {
  const answer = await rest('POST', '/v1/jobs', { name, groups: [{ image: IMAGE, ...group }], ...job });
  expect(answer.status, answer.text).toBe(201);
}

async function tasksOf(job: string): Promise<TaskView[]> {
  return JSON.parse((await rest('GET', `/v1/tasks?job=${job}`)).text).items;
}

function taskIn(job: string, state: string): Promise<TaskView> {
  return eventually(`a task of ${job} to be ${state}`, async () => {
    const tasks = await tasksOf(job);
    return tasks.find((task) => task.state === state);
  });
}

describe('one REST call', () => {
  it('runs a container to its end, and says where, why, and with what exit code', async () => {
    await submit('exits', { command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
    const task = await taskIn('exits', 'failed');
    expect(task).toMatchObject({ node: small.node, exitCode: 3, reason: 'exited' });
    expect(task.history.map((transition) => transition.state)).toEqual([
      ...['pending', 'staging', 'starting', 'running', 'failed'],
    ]);
    expect(task.history[1]?.message).toContain(`${small.node} is the fullest that fits`);
    const job = await eventually('the job to have an outcome', async () => {
      const view = JSON.parse((await rest('GET', '/v1/jobs/exits')).text);
      return view.endedAt !== null && view;
    });
    expect(job).toMatchObject({ state: 'failed', tasks: { failed: 1 } });
  });

  it('shows the output of a task through either replica, while it runs and afterwards', async () => {
    await submit('talks', { command: ['sh', '-c', 'echo first; echo second >&2; sleep 2; echo last'] });
    const { id } = await taskIn('talks', 'running');
    const live = await Promise.all(
      [0, 1].map((replica) => rest('GET', `/v1/tasks/${id}/logs?follow=true`, undefined, { replica })),
    );
    for (const { status, text } of live) {
      expect(status).toBe(200);
      expect(text.split('\n').sort()).toEqual(['', 'first', 'last', 'second']);
    }
    await taskIn('talks', 'finished');
    expect((await rest('GET', `/v1/tasks/${id}/logs?tail=1`)).text).toBe('last\n');
    const events = await rest('GET', `/v1/tasks/${id}/logs`, undefined, { headers: { Accept: 'text/event-stream' } });
    expect(events.text).toContain('event: end');
    expect(events.text).toMatch(/"stream":"stderr","text":"second"/);
  });

  it('gives a task its limits, its ports and its environment', async () => {
    await submit('serves', {
      command: ['sh', '-c', 'echo "$BERTH_JOB $BERTH_INDEX" > /index.html; exec httpd -f -p 80 -h /'],
      ports: [{ name: 'http', containerPort: 80 }],
      resources: { cpus: 0.5, memMiB: 32, pids: 50 },
    });
    const task = await taskIn('serves', 'running');
    const port = task.ports['http'] ?? 0;
    expect(port).toBeGreaterThanOrEqual(21_000);
    const page = await eventually('the page', async () => (await fetch(`http://127.0.0.1:${port}/index.html`)).text());
    expect(page).toBe('serves 0\n');
    const [container] = await cluster.containersOf(task.id);
    const { HostConfig } = await cluster.docker.getContainer(container?.Id ?? '').inspect();
    expect(HostConfig).toMatchObject({ Memory: 32 * 2 ** 20, MemorySwap: 32 * 2 ** 20, PidsLimit: 50 });
    expect(HostConfig.CpuQuota ?? 0).toBe((HostConfig.CpuPeriod ?? 0) / 2);
    expect(HostConfig.CpuQuota).toBeGreaterThan(0);
    expect((await rest('POST', '/v1/jobs/serves/stop', { reason: 'seen enough' })).status).toBe(200);
    expect(await taskIn('serves', 'killed')).toMatchObject({ reason: 'stop-requested' });
    await eventually('its port to be free', async () => {
      const node = JSON.parse((await rest('GET', `/v1/nodes/${task.node}`)).text);
      return node.tasks === 0;
    });
  });

  it('tells why a task has no place, and gives it one as soon as it can', async () => {
    await submit('waits', { command: ['true'], constraints: [{ attribute: 'rack', operator: '=', value: 'r7' }] });
    const { id } = await taskIn('waits', 'pending');
    const task = JSON.parse((await rest('GET', `/v1/tasks/${id}`)).text);
    expect(task.explanation).toMatchObject({ nodesTotal: 2, refusals: [{ nodes: 2 }] });
    expect(task.explanation.summary).toContain('rack');
    await cluster.addAgent('rack', ['--resources', 'cpus=1,memMiB=128', '--attributes', 'rack=r7']);
    await taskIn('waits', 'finished');
  });

  it('lets a danger run only where the node allows it', async () => {
    await submit('host', { command: ['true'], network: 'host' });
    expect(await taskIn('host', 'finished')).toMatchObject({ node: large.node });
  });

  it.each([
    ['no-image', { image: 'berth/no-such-image:1', pullPolicy: 'never' }, 'image-unavailable', /no-such-image/],
    ['no-command', { command: ['/no/such/command'] }, 'command-unusable', /no\/such\/command/],
  ])('fails %s with a reason that a person can act on', async (name, group, reason, message) => {
    await submit(name, group);
    const task = await taskIn(name, 'error');
    expect(task).toMatchObject({ reason, exitCode: null });
    expect(task.message).toMatch(message);
    expect(await cluster.containersOf(task.id)).toEqual([]);
  });

  it.each([
    ['hungry', { command: ['sh', '-c', 'x=a; while :; do x=$x$x; done'], resources: { memMiB: 16 } }, 'out-of-memory'],
    ['slow', { command: ['sleep', '60'], timeoutSeconds: 1, killGraceSeconds: 0 }, 'timed-out'],
  ])('ends one that is too %s', async (name, group, reason) => {
    await submit(name, group);
    expect(await taskIn(name, 'failed')).toMatchObject({ reason, exitCode: 137 });
  });

  it('tries again as often as the job says, each time as a new task', async () => {
    const retries = { max: 2, delaySeconds: 0.05, factor: 1 };
    await submit('retries', { command: ['false'], retries });
    const tasks = await eventually('three attempts', async () => {
      const all = await tasksOf('retries');
      return all.length === 3 && all.every((task) => task.state === 'failed') && all;
    });
    expect(tasks.map((task) => task.attempt).sort()).toEqual([0, 1, 2]);
  });
});
