/** Secrets on real parts: they arrive where they are named, and are found nowhere else, whatever goes wrong. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@noble/hashes/sha2.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import type { WatchEvent } from '../../control-plane/store/contract.ts';
import { readAll } from '../../control-plane/store/kept.ts';
import { PREFIX } from '../../control-plane/store/keys.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import { base64Encode, hexEncode, utf8Encode } from '../../shared/util/codec.ts';
import { eventually, Process, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { envelopeKey } from '../support/replica.ts';

const IMAGE = 'berth/busybox:local';
const VALUE = 'correct-horse-battery-staple-6174';
const [K1, K2] = [envelopeKey('k1'), envelopeKey('k2')];

let folder: string;
let keyFile: string;
let cluster: RealCluster;
let here: RealAgent;
let there: RealAgent;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-secrets-'));
  keyFile = join(folder, 'envelope-keys');
  await writeFile(keyFile, `${K1}\n`);
  cluster = await startRealCluster({
    replicas: 2,
    leaseTtlSeconds: 5,
    flags: ['--envelope-key-file', keyFile, '--log-level', 'debug'],
  });
  const options = (ports: string) => [
    ...['--resources', `cpus=4,memMiB=1024,ports=${ports}`, '--log-level', 'debug'],
    ...['--secrets-dir', `/dev/shm/berth-e2e-${process.pid}`],
  ];
  here = await cluster.addAgent('here', options('26100-26109'));
  there = await cluster.addAgent('there', options('26110-26119'));
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
  await rm(`/dev/shm/berth-e2e-${process.pid}`, { recursive: true, force: true });
});

const answers: string[] = [];

async function call(
  method: string,
  path: string,
  body?: object,
  { token = cluster.token, replica = 0, headers = {} } = {},
) {
  const response = await fetch(`${cluster.replicas[replica]?.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  answers.push(text);
  return { status: response.status, text };
}

async function submit(name: string, group: object, kind = 'batch') {
  const secrets = [
    { name: 'password', env: 'PASSWORD' },
    { name: 'password', file: 'password' },
  ];
  const groups = [{ image: IMAGE, network: 'none', secrets, ...group }];
  const constraints = [{ attribute: 'node', operator: '=', value: here.node }];
  const answer = await call('POST', '/v1/jobs', { name, kind, constraints, groups });
  expect(answer.status, answer.text).toBe(201);
}

async function taskOf(job: string, isIt: (task: TaskView) => boolean): Promise<TaskView> {
  return eventually(`a task of ${job}`, async () => {
    const { text } = await call('GET', `/v1/tasks?job=${job}`);
    return (JSON.parse(text).items as TaskView[]).find(isIt);
  });
}

const ended = (job: string) => taskOf(job, ({ state }) => ['finished', 'failed', 'error', 'killed'].includes(state));
const running = (job: string) => taskOf(job, ({ state }) => state === 'running');
const filesOf = (agent: RealAgent, task: string) => join(`/dev/shm/berth-e2e-${process.pid}`, agent.node, task);

/** Nowhere is a digest of it: of what can be guessed that is as good as the value. */
const DIGEST = hexEncode(sha256(utf8Encode(VALUE)));
const SALTED = hexEncode(sha256(utf8Encode(`salt ${VALUE}`)));

describe('a secret', () => {
  it('arrives in a container, in a file and a variable', async () => {
    expect((await call('PUT', '/v1/secrets/password', { value: VALUE })).status).toBe(201);
    const check = (what: string) => `[ "$(printf %s "salt ${what}" | sha256sum)" = "${SALTED}  -" ]`;
    await submit('reads', {
      command: ['sh', '-c', `${check('$PASSWORD')} && ${check('$(cat /run/secrets/password)')}`],
    });
    expect(await ended('reads')).toMatchObject({ state: 'finished', exitCode: 0 });
  });

  it('is told to the agent that runs its task, as long as that does, and to no other', async () => {
    await submit('holds', { command: ['sleep', '600'] });
    const { id } = await running('holds');
    const told = async (agent: RealAgent) => {
      const token = (await readFile(join(agent.stateDir, 'node-token'), 'utf8')).trim();
      const epoch = /"epoch":(\d+)/.exec(agent.process.log())?.[1] ?? '';
      const path = `/v1/agent/tasks/${id}/secrets`;
      const url = cluster.replicas[1]?.url;
      return fetch(url + path, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'berth-epoch': epoch } });
    };
    const own = await told(here);
    expect([own.status, own.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await own.text()).toContain(base64Encode(utf8Encode(VALUE)));
    const other = await told(there);
    expect([other.status, await other.text()]).toEqual([404, expect.not.stringContaining(VALUE)]);
    expect(
      (await call('POST', `/v1/agent/tasks/${id}/secrets`, undefined, { headers: { 'berth-epoch': '1' } })).status,
    ).toBe(403);
    expect(existsSync(filesOf(here, id))).toBe(true);
    await call('DELETE', '/v1/jobs/holds');
    await eventually('its files to go', async () => !existsSync(filesOf(here, id)));
    expect((await told(here)).status).toBe(404);
  });

  it('survives a change of the envelope key, with one replica on the old file and one on the new', async () => {
    await submit('lasts', { command: ['sleep', '600'], restart: { inPlace: {} } }, 'service');
    const restart = async (replica: number, lines: readonly string[]) => {
      await cluster.replicas[replica]?.process.stop();
      await writeFile(keyFile, lines.join('\n'));
      cluster.replicas[replica]?.process.start();
      await eventually(
        'the replica to be ready',
        async () => (await fetch(`${cluster.replicas[replica]?.url}/readyz`)).ok,
      );
    };
    for (const replica of [0, 1]) await restart(replica, [K1, K2]);
    await restart(0, [K2, K1]);
    const sealing = await call('POST', '/v1/cluster/reseal', {});
    expect(JSON.parse(sealing.text)).toMatchObject({
      left: 0,
      resealed: 2,
      envelopeKey: expect.stringMatching(/^k2\./),
    });
    for (const replica of [0, 1]) {
      await submit(`after-${replica}`, { command: ['sh', '-c', 'exit 0'] });
      expect(await ended(`after-${replica}`)).toMatchObject({ state: 'finished' });
      expect((await call('GET', '/v1/secrets', undefined, { replica })).status).toBe(200);
    }
    await restart(1, [K2]);
    await restart(0, [K2]);
    expect(JSON.parse((await call('GET', '/v1/status')).text).secrets).toMatchObject({ total: 1, unopenable: 0 });
  });

  it('can’t be opened by a replica with another key, which says so and doesn’t start', async () => {
    const file = join(folder, 'wrong-keys');
    await writeFile(file, envelopeKey('k2'));
    const { url } = cluster.etcd;
    const args = ['control-plane/main-node.ts', '--etcd', url, '--listen', '127.0.0.1:0', '--envelope-key-file', file];
    const wrong = new Process(args, join(folder, 'wrong.log'));
    wrong.start();
    await eventually('the replica to give up', async () => wrong.end !== null);
    expect(wrong.end).toMatchObject({ code: 78 });
    expect(wrong.log()).toMatch(/the signing key "1" can't be opened: it is sealed under the envelope key k2\./);
    expect(wrong.log()).not.toContain(K2.split(' ')[1]);
  });

  it('makes tasks fail with a reason when it is gone', async () => {
    const retries = { max: 50, delaySeconds: 1, factor: 1 };
    await submit('retries', { command: ['sh', '-c', 'exit 1'], retries });
    await ended('retries');
    const refused = await call('DELETE', '/v1/secrets/password');
    expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('default:retries')]);
    expect((await call('DELETE', '/v1/secrets/password?force=true')).status).toBe(200);
    const gone = await taskOf('retries', ({ reason }) => reason === 'secret-unavailable');
    expect(gone).toMatchObject({ state: 'error', exitCode: null });
    expect(JSON.stringify(gone.history)).toContain('is not there any more');
    await call('DELETE', '/v1/jobs/retries');
    const groups = [{ image: IMAGE, secrets: [{ name: 'password', env: 'P' }] }];
    const late = await call('POST', '/v1/jobs', { name: 'late', groups });
    expect([late.status, late.text]).toEqual([400, expect.stringContaining('there is no secret')]);
    expect((await call('PUT', '/v1/secrets/password', { value: VALUE })).status).toBe(201);
  });
});

it('is found nowhere: not in answers, logs, journals and containers’ labels, nor in anything that etcd ever held', async () => {
  const failing: [string, object][] = [
    ['no-command', { command: ['no-such-command'] }],
    ['no-image', { image: 'berth/no-such-image:1', pullPolicy: 'never' }],
    ['crashes', { command: ['sh', '-c', 'exit 3'], retries: { max: 1, delaySeconds: 0 } }],
    ['bad-folder', { command: ['sleep', '600'], workingDir: '/etc/passwd' }],
    ['bad-path', { command: ['true'], secrets: [{ name: 'password', file: '/proc/self/x/y' }] }],
    ['bad-user', { command: ['true'], user: 'nobody-at-all' }],
  ];
  for (const [name, group] of failing) await submit(name, group);
  for (const [name] of failing) expect(['failed', 'error', 'finished']).toContain((await ended(name)).state);
  await submit('stays', { command: ['sleep', '600'] });
  const { id } = await running('stays');
  await here.process.kill();
  here.process.start();
  await eventually(
    'the node to be back',
    async () => (await cluster.replicas[0]?.client.nodes.get(here.node))?.state === 'ready',
  );
  const keys = [K1, K2].map((line) => line.split(' ')[1]);
  // Nor are tokens of people anywhere, though each request bears one.
  const forms = [VALUE, base64Encode(utf8Encode(VALUE)), DIGEST, cluster.token, ...keys];
  for (const [place, text] of await everything(id)) {
    expect(text.length, place).toBeGreaterThan(10);
    for (const form of forms) {
      expect(text.includes(form ?? ''), `${place} holds ${form}`).toBe(false);
    }
  }
}, 120_000);

/** Everything that anybody could read who has no business with it, by where it is. */
async function everything(task: string): Promise<[string, string][]> {
  const lists = [
    'jobs',
    'tasks',
    'nodes',
    'roles',
    'secrets',
    'status',
    'settings',
    'endpoints',
    'deployments',
    'events?follow=false',
  ];
  for (const path of lists) await call('GET', `/v1/${path}`);
  for (const path of [
    `tasks/${task}`,
    'jobs/stays',
    'jobs/stays/versions',
    'jobs/stays/explanation',
    `tasks/${task}/logs`,
  ]) {
    await call('GET', `/v1/${path}`);
  }
  await call('GET', '/metrics');
  const folders = await Promise.all(
    [here, there].map(async (agent) => [agent.node, await textOf(agent.stateDir)] as const),
  );
  const logs = [
    ...cluster.replicas.map(({ process: program }) => program.log()),
    here.process.log(),
    there.process.log(),
  ];
  return [
    ['answers of the API', answers.join('\n')],
    ['etcd', await historyOf(cluster.etcd.url)],
    ...logs.map((text, at): [string, string] => [`log ${at}`, text]),
    ...folders.map(([node, text]): [string, string] => [`folder of ${node}`, text]),
  ];
}

/** Of the agent's own folder, but for its node's token. */
async function textOf(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))).join('\n');
}

/** All that stands in etcd, and every change that it remembers. */
async function historyOf(url: string): Promise<string> {
  const store = new EtcdStore({ hosts: [url] });
  const stop = new AbortController();
  try {
    const { keyValues, revision } = await readAll(store, PREFIX, undefined);
    const events: WatchEvent[] = [];
    for await (const batch of store.watch({ prefix: PREFIX, fromRevision: 1, signal: stop.signal })) {
      events.push(...batch.events);
      if (batch.revision >= revision) break;
    }
    expect(keyValues.map(({ key }) => key)).toContain(`${PREFIX}sealed/default/password`);
    expect(events.length).toBeGreaterThan(keyValues.length);
    return JSON.stringify([keyValues, events]);
  } finally {
    stop.abort();
    await store.close();
  }
}
