/** An etcd that fills up: what is refused when, what goes on, and how everything is right again. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { DEFRAGMENTATION_DEFAULTS } from '../../../control-plane/controllers/defragmentation.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import { HOUSEKEEPING_DEFAULTS } from '../../../control-plane/controllers/housekeeper.ts';
import { StoreFullError } from '../../../control-plane/store/contract.ts';
import type { Problem } from '../../../shared/protocol/views.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually } from '../../support/processes.ts';

const MIB = 1024 ** 2;
const QUOTA_BYTES = 56 * MIB;
/** Foreign keys fill the store as well as any. */
const JUNK = '/junk/';
/** etcd puts what it was told on its disk this often, and says only then how much it is. */
const COMMIT_INTERVAL_MS = 110;
let junk = 0;

let etcd: TestEtcd;
let store: EtcdStore;
let berth: TestApi;
let agent: ApiAgent;
const abort = new AbortController();
let driving: Promise<unknown> = Promise.resolve();

beforeAll(async () => {
  etcd = await startEtcd({ arguments: [`--quota-backend-bytes=${QUOTA_BYTES}`] });
  store = new EtcdStore({ hosts: [etcd.url] });
  berth = await startApi({ store, quotaBytes: QUOTA_BYTES });
  agent = await ApiAgent.register(berth);
  const { ctx } = berth.replica;
  const defragmentation = {
    ...DEFRAGMENTATION_DEFAULTS,
    quotaBytes: QUOTA_BYTES,
    sizeMinBytes: 8 * MIB,
    intervalMs: 2000,
    lookMs: 500,
  };
  const housekeeping = { ...HOUSEKEEPING_DEFAULTS, defragmentation };
  driving = Promise.all([
    new Driver(ctx, { ...DRIVER_DEFAULTS, housekeeping }).run(abort.signal),
    ctx.room.keep(abort.signal),
  ]);
});
afterAll(async () => {
  abort.abort();
  await driving;
  berth?.stop();
  await store?.close();
  await etcd?.stop();
});

async function submit(name: string): Promise<Response> {
  return berth.send('POST', '/v1/jobs', { json: { name, groups: [{ image: 'x' }] } });
}

const problemOf = async (response: Response) => (await response.json()) as Problem;

async function taskOf(job: string): Promise<{ id: string; state: string } | undefined> {
  const response = await berth.send('GET', `/v1/tasks?job=${job}`);
  return ((await response.json()) as { items: { id: string; state: string }[] }).items[0];
}

const inState = (job: string, state: string) => async () => {
  const task = await taskOf(job);
  return task?.state === state && task.id;
};

/** Writes values of a mebibyte until that much is in use, or until the store refuses. */
async function fill(untilBytes: number): Promise<void> {
  const { room } = berth.replica.ctx;
  while ((await room.read()).inUseBytes < untilBytes) {
    const key = `${JUNK}${junk++}`;
    await store.transact({ compares: [], writes: [{ type: 'put', key, value: 'x'.repeat(MIB) }] });
    const toldMs = performance.now() + COMMIT_INTERVAL_MS;
    await eventually('etcd to commit it', async () => performance.now() > toldMs);
  }
}

async function removeJunk(): Promise<void> {
  const { keyValues } = await store.range({ prefix: JUNK });
  for (const { key } of keyValues) await store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  const { revision } = await store.status();
  await store.compact(revision);
}

async function etcdctl(...args: readonly string[]): Promise<string> {
  const env = { ...process.env, ETCDCTL_API: '3' };
  return (await promisify(execFile)('etcdctl', ['--endpoints', etcd.url, ...args], { env })).stdout;
}

describe('an etcd that fills up', () => {
  it('is measured: the file, what is in use, and the quota', async () => {
    const metrics = await (await berth.send('GET', '/metrics')).text();
    for (const name of ['berth_store_size_bytes', 'berth_store_in_use_bytes']) {
      expect(Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1])).toBeGreaterThan(0);
    }
    expect(metrics).toMatch(new RegExp(`^berth_store_quota_bytes ${QUOTA_BYTES}$`, 'm'));
    const status = (await (await berth.send('GET', '/v1/status')).json()) as { database: object };
    expect(status.database).toMatchObject({ quotaBytes: QUOTA_BYTES, isTight: false });
  });

  it('takes no new jobs before its quota, while statuses, stops and rounds go on', async () => {
    for (const name of ['early', 'other']) expect((await submit(name)).status).toBe(201);
    const [early, other] = [
      await eventually('a place', inState('early', 'staging')),
      await eventually('another', inState('other', 'staging')),
    ];
    for (const share of [0.6, 0.82]) {
      await fill(share * QUOTA_BYTES);
      // The holes that writing leaves in the file count too, and on a busy machine they are as much as what is left of the quota.
      await etcdctl('defrag');
    }
    const refused = await submit('late');
    expect(refused.status).toBe(429);
    const problem = await problemOf(refused);
    expect(problem.code).toBe('limit-exceeded');
    expect(problem.detail).toMatch(
      /nearly full: [45]\d MiB in use, in a file of \d+ MiB, of a quota of 56 MiB; beyond 80 %/,
    );
    expect(problem.detail).toContain('--quota-backend-bytes');
    const update = await berth.send('PUT', '/v1/jobs/early', { json: { name: 'early', groups: [{ image: 'y' }] } });
    expect(update.status).toBe(429);
    await agent.report(early, 'running');
    expect((await berth.send('POST', `/v1/tasks/${other}/stop`, { json: {} })).status).toBe(200);
    await agent.report(other, 'killed', { reason: 'stop-requested' });
    await agent.assignment(({ tasks }) => !tasks.some(({ id }) => id === other));
    expect((await berth.send('DELETE', '/v1/jobs/other')).status).toBe(202);
    await eventually(
      'the deleted job to be gone',
      async () => (await berth.send('GET', '/v1/jobs/other')).status === 404,
    );
  });

  it('says clearly that it is full, when it is', async () => {
    await expect(fill(2 * QUOTA_BYTES)).rejects.toThrow(StoreFullError);
    const stop = await berth.send('POST', '/v1/jobs/early/stop', { json: {} });
    expect(stop.status).toBe(503);
    expect(Number(stop.headers.get('retry-after'))).toBeGreaterThan(1);
    const { code, detail } = await problemOf(stop);
    expect(code).toBe('unavailable');
    expect(detail).toContain('nothing was written');
    expect(detail).toContain('etcdctl alarm disarm');
    expect((await berth.send('GET', '/v1/jobs/early')).status).toBe(200);
    expect((await berth.send('GET', '/readyz')).status).toBe(200);
  });

  it('is defragmented by the control plane when there is room again, and serves as before once its alarm is off', async () => {
    await removeJunk();
    const { room } = berth.replica.ctx;
    await eventually('its file to shrink', async () => (await room.read()).sizeBytes < 8 * MIB);
    expect((await submit('early-again')).status).toBe(503);
    await etcdctl('alarm', 'disarm');
    expect((await submit('after')).status).toBe(201);
    await eventually('a place for it', async () => {
      // On a busy machine all this takes longer than the lease, which nobody keeps here.
      if (!berth.replica.ctx.mirror.snapshot.isAlive(agent.node)) agent = await ApiAgent.register(berth);
      return inState('after', 'staging')();
    });
    const stopped = await berth.send('POST', '/v1/jobs/early/stop', { json: {} });
    expect(stopped.status).toBe(200);
  });
});
