/**
 * etcd, restored from a snapshot of its own while the work went on: what agents do that have seen more, what an operator's
 * recovery changes, and that nothing is stopped or started twice on the way.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { getJob, submitJob } from '../../../control-plane/services/jobs.ts';
import { stopKeptAside } from '../../../control-plane/services/kept-aside.ts';
import { getNode } from '../../../control-plane/services/nodes.ts';
import { reach } from '../../../control-plane/services/reach.ts';
import { recoverCluster } from '../../../control-plane/services/recovery.ts';
import { getTask } from '../../../control-plane/services/tasks.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Logger } from '../../../shared/util/log.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { NearAgent } from '../../support/near-agent.ts';
import { eventually } from '../../support/processes.ts';
import { ADMIN, callOf, specOf, startReplica } from '../../support/replica.ts';

const NODES = { leaseTtlMs: 2000, heartbeatIntervalMs: 400 };
const IMAGE = 'tool:1';
/** Longer than any of these tests takes. */
const NEVER_YET_MS = 600_000;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The machine's clock, whose steady time can be put forward. */
class LeapingClock extends SystemClock {
  #aheadMs = 0;

  leap(byMs: number): void {
    this.#aheadMs += byMs;
  }

  override monotonicMs(): number {
    return super.monotonicMs() + this.#aheadMs;
  }
}

interface Served {
  readonly ctx: ServiceContext;
  /** The sentences of its warnings. */
  readonly warned: readonly string[];
  readonly end: () => Promise<void>;
}

interface ServeOptions {
  readonly clock?: Clock;
  /** How long rounds wait until nodes have said what they run. */
  readonly settlingMs?: number;
}

async function serve(etcd: TestEtcd, id: string, options: ServeOptions = {}): Promise<Served> {
  const { clock = new SystemClock(), settlingMs = NODES.leaseTtlMs } = options;
  const store = new EtcdStore({ hosts: [etcd.url], requestTimeoutMs: 1000, progressIntervalMs: 500 });
  const { ctx: base, stop } = await startReplica({ store, id, clock });
  const warned: string[] = [];
  const log: Logger = { ...base.log, warn: (_fields, message) => void warned.push(message) };
  const ctx = { ...base, log, config: { ...base.config, ...NODES } };
  const abort = new AbortController();
  const nodes = { ...NODES, leaseTtlMs: settlingMs };
  const driving = new Driver(ctx, { ...DRIVER_DEFAULTS, nodes }).run(abort.signal);
  const end = async () => {
    if (abort.signal.aborted) return;
    abort.abort();
    await driving;
    stop();
    await store.close();
  };
  ends.push(end);
  return { ctx, warned, end };
}

async function startStore(): Promise<{ etcd: TestEtcd; backup: string }> {
  const etcd = await startEtcd();
  ends.push(() => etcd.stop());
  const folder = await mkdtemp(join(tmpdir(), 'berth-backup-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  return { etcd, backup: join(folder, 'backup.db') };
}

interface World {
  readonly etcd: TestEtcd;
  readonly ctx: ServiceContext;
  readonly all: readonly ServiceContext[];
  readonly backup: string;
  agent(node: string): Promise<NearAgent>;
  /** Under the job's name as the idempotency key. Whether that had been carried out before. */
  submit(name: string, node?: string): Promise<boolean>;
  /** The only task of the job, once it is in one of the states. */
  task(name: string, ...states: readonly string[]): Promise<string>;
}

async function startWorld(): Promise<World> {
  const { etcd, backup } = await startStore();
  const all = [(await serve(etcd, 'a')).ctx, (await serve(etcd, 'b')).ctx] as const;
  const [ctx] = all;
  let next = 0;
  const eitherReplica = () => all[next++ % 2] ?? ctx;
  return {
    ...{ etcd, ctx, all, backup },
    async agent(node) {
      const agent = new NearAgent(node, [IMAGE], eitherReplica);
      await agent.start();
      ends.push(() => agent.stop());
      await eventually(`${node} to join`, async () => ctx.mirror.snapshot.isAlive(node));
      return agent;
    },
    async submit(name, node) {
      const constraints = node === undefined ? [] : [{ attribute: 'node', operator: '=' as const, value: node }];
      const groups = [{ image: IMAGE, resources: { cpus: 0.1, memMiB: 10 }, killGraceSeconds: 0 }];
      const call = callOf(ADMIN, { key: name, requestDigest: name });
      return (await submitJob(ctx, call, specOf({ name, constraints, groups }))).replayed;
    },
    task: async (name, ...states) => {
      const find = () => [...ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name);
      const found = await eventually(`the task of ${name} to be ${states}`, async () => {
        const task = find();
        return task !== undefined && states.includes(task.state) ? task : undefined;
      });
      return found.id;
    },
  };
}

function endOf(agent: NearAgent, task: string): Promise<void> {
  return agent.runtime.signal(agent.runtime.containerOf(task)?.id ?? '', 'SIGTERM');
}

const runs = (agent: NearAgent, task: string) => agent.runtime.containerOf(task)?.state === 'running';

describe('etcd that is restored from an older snapshot', () => {
  it.each([
    ['under the same name, so that nothing but its revisions tells', undefined],
    ['as a cluster of another name', 'restored-1'],
  ])(
    '%s',
    async (_, clusterToken) => {
      const world = await startWorld();
      const { etcd, ctx, all } = world;
      const first = await world.agent('edge-1');
      await world.submit('stays', 'edge-1');
      await world.submit('ends', 'edge-1');
      await world.submit('waits', 'edge-2');
      const [stays, ends] = [await world.task('stays', 'running'), await world.task('ends', 'running')];
      await world.task('waits', 'pending');
      await etcd.save(world.backup);

      // What the snapshot doesn't know: a node, what waited for it, a new job, and an end.
      const second = await world.agent('edge-2');
      await world.submit('new', 'edge-1');
      const [waits, fresh] = [await world.task('waits', 'running'), await world.task('new', 'running')];
      await endOf(first, ends);
      await world.task('ends', 'failed');
      const seen = { incarnation: 1, revision: ctx.mirror.revision };

      await etcd.restore(world.backup, clusterToken);
      const state = (node: string) => ctx.mirror.snapshot.nodes.has(node) && getNode(ctx, ADMIN, node).state;
      await eventually(
        'agents to be seen ahead',
        async () => state('edge-1') === 'ahead' && state('edge-2') === 'ahead',
      );
      for (const { mirror, store } of all) {
        await eventually('the mirror to hold the restored state', async () => {
          const now = await Snapshot.load(store);
          return (
            (await mirror.waitFor(now.revision, { timeoutMs: 1000 })) && mirror.snapshot.differences(now).length === 0
          );
        });
      }
      expect(() => getJob(ctx, ADMIN, { role: 'default', name: 'new' })).toThrow(/no job/);
      // Nobody starts a second time what the state calls pending and a node runs.
      await world.task('waits', 'lost');
      await world.submit('later');
      const later = await world.task('later', 'pending');
      const why = getTask(ctx, ADMIN, later).explanation?.refusals;
      expect(why?.map(({ code, nodes }) => [code, nodes])).toEqual([['node-ahead', 2]]);

      const { body } = await recoverCluster(ctx, callOf());
      await eventually('nodes to follow again', async () => state('edge-1') === 'ready' && state('edge-2') === 'ready');
      await world.task('later', 'running');
      expect(ctx.mirror.snapshot.incarnation).toBe(body.incarnation);
      await expect(reach(ctx, seen)).rejects.toMatchObject({ code: 'history-changed' });

      // The true end is told; what the state knows goes on; what it doesn't know runs and is shown.
      await world.task('ends', 'failed');
      await world.task('stays', 'running');
      expect(getNode(ctx, ADMIN, 'edge-1').keptAside).toEqual([{ task: fresh, stop: null }]);
      expect(getNode(ctx, ADMIN, 'edge-2').keptAside).toEqual([{ task: waits, stop: null }]);
      expect([runs(first, stays), runs(first, fresh), runs(second, waits)]).toEqual([true, true, true]);
      expect(first.logged).toContain('runs, but the restored state does not know it: kept aside');

      // An operator ends it, also on a node whose agent is away for a moment.
      await second.stop();
      await stopKeptAside(ctx, callOf(), 'edge-1', { tasks: [fresh], reason: 'not needed' });
      await stopKeptAside(ctx, callOf(), 'edge-2', { tasks: null, reason: 'not needed' });
      await second.start();
      const keepsNothing = (node: string) => getNode(ctx, ADMIN, node).keptAside.length === 0;
      await eventually('what is kept aside to end', async () => keepsNothing('edge-1') && keepsNothing('edge-2'));
      expect([runs(first, stays), runs(first, fresh), runs(second, waits)]).toEqual([true, false, false]);
      const started = [...first.runtime.started, ...second.runtime.started];
      expect(new Set(started).size).toBe(started.length);

      // What was answered in the lost history is not remembered: its repetition is a job of its own.
      expect([await world.submit('stays', 'edge-1'), await world.submit('new', 'edge-1')]).toEqual([true, false]);
    },
    60_000,
  );

  it('starts nothing a second time, though no replica was there to see it and a node that knows it is late', async () => {
    const { etcd, backup } = await startStore();
    let serving = await serve(etcd, 'a');
    const agentOn = async (node: string) => {
      const agent = new NearAgent(node, [IMAGE], () => serving.ctx);
      await agent.start();
      ends.push(() => agent.stop());
      await eventually(`${node} to join`, async () => serving.ctx.mirror.snapshot.isAlive(node));
      return agent;
    };
    const task = (name: string) =>
      [...serving.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name);
    const becomes = (name: string, state: string) =>
      eventually(`${name} to be ${state}`, async () => task(name)?.state === state && task(name)?.id);
    const wholeNode = { image: IMAGE, resources: { cpus: 4 } };
    const first = await agentOn('edge-1');
    await submitJob(serving.ctx, callOf(), specOf({ name: 'before', groups: [wholeNode] }));
    const before = await becomes('before', 'running');
    await submitJob(serving.ctx, callOf(), specOf({ name: 'waits', groups: [wholeNode] }));
    await becomes('waits', 'pending');
    await etcd.save(backup);
    await endOf(first, before);
    const waits = await becomes('waits', 'running');

    await serving.end();
    await first.stop();
    await etcd.restore(backup, 'restored-2');
    // Rounds wait until the test says that it has been long enough, however slow the machine is.
    const clock = new LeapingClock();
    serving = await serve(etcd, 'b', { clock, settlingMs: NEVER_YET_MS });
    // It remembers nothing, so it is not ahead; and it has room for what seems to wait.
    const other = await agentOn('edge-2');
    await eventually('rounds to wait', async () => serving.warned.some((line) => line.includes('in another store')));
    await first.start();
    await becomes('waits', 'lost');
    clock.leap(NEVER_YET_MS);
    await submitJob(serving.ctx, callOf(), specOf({ name: 'later', groups: [wholeNode] }));
    const later = await becomes('later', 'running');
    expect([runs(first, waits), other.runtime.started]).toEqual([true, [later]]);
  }, 60_000);
});
