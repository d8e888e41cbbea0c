/**
 * Several replicas' services, passes and rounds over one real etcd, with nothing between them but its compares. Some reach it over gRPC,
 * the others over its JSON gateway.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { EtcdGatewayStore } from '../../../control-plane/adapters/etcd-gateway/etcd-gateway-store.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { keys, PREFIX } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { freeResources } from '../../../shared/domain/ledger.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually } from '../../support/processes.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

let etcd: TestEtcd;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => etcd?.stop());

async function replica(id: string): Promise<TestReplica> {
  const hosts = [etcd.url];
  const overHttp = { hosts, fetch: globalThis.fetch, clock: new SystemClock() };
  const store = id === 'a' ? new EtcdStore({ hosts }) : new EtcdGatewayStore(overHttp);
  const started = await startReplica({ store, id });
  ends.push(() => {
    started.stop();
    return store.close();
  });
  return started;
}

function drive({ ctx }: TestReplica): Driver {
  const driver = new Driver(ctx);
  const abort = new AbortController();
  const running = driver.run(abort.signal);
  ends.push(() => {
    abort.abort();
    return running;
  });
  return driver;
}

async function emptied(): Promise<void> {
  const store = new EtcdStore({ hosts: [etcd.url] });
  const { keyValues } = await store.range({ prefix: PREFIX });
  for (const { key } of keyValues) await store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  await store.close();
}

describe('replicas over one etcd', () => {
  it('make one job of one idempotency key, whichever of them it is sent to and however often at once', async () => {
    await emptied();
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    const call = callOf(ADMIN, { key: 'one', requestDigest: 'd' });
    const sent = Array.from({ length: 20 }, (_, at) => submitJob((at % 2 === 0 ? a : b).ctx, call, specOf()));
    const answers = await Promise.all(sent);
    expect(new Set(answers.map((answer) => answer.body.uid)).size).toBe(1);
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    await caughtUp(a.ctx);
    expect(a.ctx.mirror.snapshot.jobs.size).toBe(1);
  });

  it('let one of two writers of the same version win', async () => {
    await emptied();
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    await submitJob(a.ctx, callOf(), specOf());
    await caughtUp(b.ctx);
    const change = ({ ctx }: TestReplica, priority: number) =>
      updateJob(ctx, callOf(), specOf({ priority }), { ifVersion: 1, onlyCreate: false });
    const outcomes = await Promise.allSettled([change(a, 60), change(b, 70)]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('place every task once and never too many on a node, with all of them driving, stopping and starting', async () => {
    await emptied();
    const all = await Promise.all(['a', 'b', 'c'].map(replica));
    const [first] = all;
    if (first === undefined) throw new Error('no replica');
    for (const node of ['edge-1', 'edge-2', 'edge-3']) {
      await registerNode(first.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
    }
    for (const one of all) drive(one);
    const group = { image: 'x', count: 40, resources: { cpus: 0.25, memMiB: 64 } };
    await submitJob(first.ctx, callOf(), specOf({ groups: [group] }));
    const { snapshot } = first.ctx.mirror;
    await eventually(
      'all tasks to be placed',
      async () => [...snapshot.tasks.values()].length === 40 && [...snapshot.pendingTasks()].length === 0,
    );
    const held = [...snapshot.ledgers.values()].flatMap((ledger) => Object.keys(ledger.entries));
    expect(held.sort()).toEqual([...snapshot.tasks.keys()].sort());
    for (const ledger of snapshot.ledgers.values()) expect(freeResources(ledger).cpus).toBeGreaterThanOrEqual(0);
  });

  it('take a driver over within its lease when it is gone without a word', async () => {
    await emptied();
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    const lease = await a.ctx.store.grantLease(2);
    await a.ctx.store.transact({
      compares: [],
      writes: [putRecord('driver', keys.driver, { replica: 'dead' }, lease)],
    });
    drive(b);
    await registerNode(b.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    await submitJob(a.ctx, callOf(), specOf());
    const placed = async () => [...b.ctx.mirror.snapshot.tasks.values()].some((task) => task.state === 'staging');
    await eventually('the other to take over and place the task', placed, 10_000);
    expect(b.ctx.mirror.snapshot.driver?.replica).toBe('b');
  });

  it('all show what a range read at their revision shows, after all that', async () => {
    await emptied();
    const all = await Promise.all(['a', 'b'].map(replica));
    const [a] = all;
    if (a === undefined) throw new Error('no replica');
    const { epoch } = await registerNode(a.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    await submitJob(a.ctx, callOf(), specOf({ groups: [{ image: 'x', count: 10 }] }));
    await caughtUp(a.ctx);
    await a.settle();
    const statuses = [...a.ctx.mirror.snapshot.tasks.keys()].map((task) => ({
      ...{ task, run: 0, state: 'finished' as const, atMs: 1, reason: 'exited' as const, message: '', exitCode: 0 },
    }));
    await commitStatuses(a.ctx, { node: 'edge-1', epoch }, { statuses, released: [] });
    await caughtUp(a.ctx);
    await a.settle();
    for (const { ctx } of all) {
      await caughtUp(ctx);
      const read = await Snapshot.load(ctx.store, ctx.mirror.revision);
      expect(ctx.mirror.snapshot.differences(read)).toEqual([]);
      expect(read.tasks.size).toBe(10);
    }
  });
});
