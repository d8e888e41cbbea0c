/** Leases that end because nobody could keep them: etcd stood still, or no replica was there. Nobody's work is moved for it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import { commitStatuses } from '../../../control-plane/services/agents.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { keys, PREFIX } from '../../../control-plane/store/keys.ts';
import { BeatingAgent } from '../../support/beating-agent.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually } from '../../support/processes.ts';
import { callOf, specOf, startReplica } from '../../support/replica.ts';

const NODES = { leaseTtlMs: 2000, heartbeatIntervalMs: 500 };

let etcd: TestEtcd;
let serving: ServiceContext | null = null;
let found: string[] = [];
const ends: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  const store = new EtcdStore({ hosts: [etcd.url] });
  const { keyValues } = await store.range({ prefix: PREFIX });
  for (const { key } of keyValues) await store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  await store.close();
});
afterAll(() => etcd?.stop());

/** A replica that serves and drives, and notes each node that it finds gone and each lease that ends. Returns how to end it. */
async function serve(id: string): Promise<() => Promise<void>> {
  const store = new EtcdStore({ hosts: [etcd.url], requestTimeoutMs: 1000, progressIntervalMs: 500 });
  const { ctx: base, stop } = await startReplica({ store, id });
  const ctx = { ...base, config: { ...base.config, ...NODES } };
  ctx.mirror.subscribe((changes) => {
    for (const change of changes) {
      if (change.kind === 'alive' && change.after === null) found.push(`${change.id} has no lease`);
      if (change.kind === 'epochs' && change.after?.unreachableSinceMs != null) found.push(`${change.id} is gone`);
    }
  });
  const abort = new AbortController();
  const driving = new Driver(ctx, { ...DRIVER_DEFAULTS, nodes: NODES }).run(abort.signal);
  serving = ctx;
  const end = async () => {
    if (serving === ctx) serving = null;
    abort.abort();
    await driving;
    stop();
    await store.close();
  };
  ends.push(() => (abort.signal.aborted ? undefined : end()));
  return end;
}

function snapshot() {
  if (serving === null) throw new Error('no replica serves');
  return serving.mirror.snapshot;
}

const alive = (count: number) => async () => [...snapshot().nodes.keys()].filter(isAlive).length === count;
const isAlive = (node: string) => snapshot().isAlive(node);
const states = () => [...snapshot().tasks.values()].map(({ state }) => state);

/** Agents, each of which runs a task of a job that waits for none of them. */
async function fleet(count: number): Promise<BeatingAgent[]> {
  const agents = Array.from({ length: count }, (_, at) => new BeatingAgent(`edge-${at}`, () => serving));
  for (const agent of agents) {
    agent.start();
    ends.push(() => agent.stop());
  }
  await eventually('all nodes to have joined', alive(count));
  if (serving === null) throw new Error('no replica serves');
  const groups = [{ image: 'x', count, resources: { cpus: 4 }, retries: { max: 3, delaySeconds: 0 } }];
  await submitJob(serving, callOf(), specOf({ replaceAfterSeconds: 0, groups }));
  await eventually(
    'all tasks to have a place',
    async () => states().filter((state) => state === 'staging').length === count,
  );
  for (const agent of agents) await run(serving, agent);
  await eventually('all tasks to run', async () => states().every((state) => state === 'running'));
  found = [];
  return agents;
}

async function run(ctx: ServiceContext, { node, epoch }: BeatingAgent): Promise<void> {
  const tasks = [...ctx.mirror.snapshot.tasksOnNode(node)];
  const statuses = tasks.map(({ id: task }) => {
    return {
      task,
      run: 0,
      state: 'running' as const,
      atMs: Date.now(),
      reason: 'started' as const,
      message: '',
      exitCode: null,
    };
  });
  await commitStatuses(ctx, { node, epoch: epoch ?? 0 }, { statuses, released: [] });
}

/** Time is what these faults are made of. */
function lasting(ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  return eventually(`${ms} ms to pass`, async () => performance.now() >= until);
}

const gone = () => new Set(found.filter((what) => what.endsWith('gone')));

describe('leases that end through no fault of the nodes', () => {
  it('cost nothing when etcd stood still for longer than a lease, but for a node that died meanwhile', async () => {
    await serve('a');
    const [first, ...others] = await fleet(4);
    etcd.pause();
    await first?.stop();
    await lasting(2 * NODES.leaseTtlMs);
    etcd.resume();
    await eventually(
      'all leases to have ended',
      async () => found.filter((what) => what.endsWith('lease')).length >= 4,
    );
    await eventually('all others to be back', alive(others.length));
    expect(gone()).toEqual(new Set());
    await eventually('the dead one to be found', async () => gone().size > 0);
    await eventually('its task to be given up', async () => states().includes('lost'));
    expect(gone()).toEqual(new Set([`${first?.node} is gone`]));
    expect(states().filter((state) => state === 'running')).toHaveLength(others.length);
  });

  it('cost nothing when there was no replica for longer than a lease', async () => {
    const end = await serve('a');
    const agents = await fleet(3);
    await end();
    const store = new EtcdStore({ hosts: [etcd.url] });
    await eventually('all leases to have ended', async () => {
      const left = await Promise.all(agents.map(({ node }) => store.get(keys.alive(node))));
      return left.every(({ keyValue }) => keyValue === null);
    });
    await store.close();
    await serve('b');
    await eventually('all nodes to be back', alive(agents.length));
    expect(gone()).toEqual(new Set());
    expect(states()).toEqual(['running', 'running', 'running']);
    await agents[0]?.stop();
    await eventually('leases to count again', async () => gone().size > 0);
    expect(gone()).toEqual(new Set([`${agents[0]?.node} is gone`]));
  });

  it('count at once for a replica that was there all the time and takes over from a dead one', async () => {
    const endFirst = await serve('a');
    await fleet(2);
    await serve('b');
    await lasting(NODES.leaseTtlMs);
    const [dead] = [...snapshot().nodes.keys()];
    if (dead === undefined || serving === null) throw new Error('no node');
    const lease = snapshot().lease(keys.alive(dead));
    await endFirst();
    const endedAtMs = performance.now();
    await serving.store.revokeLease(lease ?? '');
    await eventually('the node to be found gone', async () => gone().has(`${dead} is gone`));
    expect(performance.now() - endedAtMs).toBeLessThan(NODES.leaseTtlMs);
  });
});
