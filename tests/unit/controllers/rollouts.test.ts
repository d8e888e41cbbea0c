import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import type { Store, Transaction } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import type { Job, JobVersion } from '../../../shared/domain/job.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aDeployment, aGroup, aJob, aLedger, aNode, anEntry, aTask } from '../../support/builders.ts';
import { caughtUp, NO_OUTAGE, startReplica, type TestReplica } from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function replicaOn(store: Store, id: string): Promise<TestReplica> {
  const replica = await startReplica({ store, id });
  replicas.push(replica);
  return replica;
}

const spec = {
  kind: 'service',
  update: { ...DEFAULT_UPDATE, minHealthy: 0.5, maxOver: 0 },
  groups: [aGroup({ count: 4 })],
} as const;
const before = aJob({ spec, templates: { main: 1 }, goodVersion: 1, deployments: 1 });
const job: Job = { ...before, version: 2, templates: { main: 2 }, deployments: 2 };

function versionOf({ uid, version, spec: wanted, templates }: Job): JobVersion {
  const change = version === 1 ? 'created' : 'updated';
  return { jobUid: uid, version, spec: wanted, createdAtMs: 0, createdBy: 'alice', change, templates };
}

function rollout(change: Partial<Deployment> = {}): Deployment {
  return aDeployment(job, { fromTemplates: { main: 1 }, progressAtMs: Date.now(), ...change });
}

/** A service of four that is being rolled out: its old tasks run, each on a node of its own. */
async function underWay(store: Store, deployment: Deployment): Promise<Task[]> {
  const tasks = [0, 1, 2, 3].map((index) => aTask(before, { index, state: 'running', node: `n${index}` }));
  const nodes = tasks.map(({ node }) => aNode({ id: node ?? '' }));
  await store.transact({
    compares: [],
    writes: [
      putRecord('jobs', keys.job(job.spec), job),
      ...[before, job].map((one) => putRecord('versions', keys.version(one.uid, one.version), versionOf(one))),
      putRecord('deployments', keys.deployment(deployment.id), deployment),
      ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
      ...nodes.map((node) => putRecord('nodes', keys.node(node.id), node)),
      ...nodes.map(({ id }) => putRecord('epochs', keys.epoch(id), { epoch: 1, unreachableSinceMs: null })),
      ...tasks.map((task) => {
        const ledger = aLedger({ node: task.node ?? '', entries: [anEntry(before, task)] });
        return putRecord('ledger', keys.ledger(ledger.node), ledger);
      }),
    ],
  });
  return tasks;
}

/** Something happens in the store just before tasks are written by way of what is returned. */
function heldUp(memory: MemoryStore, happen: () => Promise<void>): Store {
  const held = async (transaction: Transaction) => {
    if (transaction.writes.some(({ key }) => key.includes('/tasks/'))) await happen();
    return memory.transact(transaction);
  };
  return new Proxy(memory, {
    get(target, name) {
      if (name === 'transact') return held;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

function stopping({ ctx }: TestReplica): string[] {
  return [...ctx.mirror.snapshot.tasks.values()].filter(({ stop }) => stop !== null).map(({ id }) => id);
}

describe('a rollout', () => {
  it('stops what the policy allows, and no more however often it is run', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const replica = await replicaOn(store, 'one');
    await underWay(store, rollout());
    await caughtUp(replica.ctx);
    for (let run = 0; run < 3; run += 1) await runPasses(replica.ctx, NO_OUTAGE);
    expect(stopping(replica)).toHaveLength(2);
  });

  it('stops nothing for which others had to work that have ended since it was planned', async () => {
    const memory = new MemoryStore({ clock: new SystemClock() });
    let fall = async () => {};
    const store = heldUp(memory, () => fall());
    const slow = await replicaOn(store, 'slow');
    const tasks = await underWay(memory, rollout());
    await caughtUp(slow.ctx);
    fall = async () => {
      fall = async () => {};
      const fallen = tasks.slice(2).map((task): Task => ({ ...task, state: 'failed' }));
      const writes = fallen.map((task) => putRecord('tasks', keys.task(task.id), task));
      await memory.transact({ compares: [], writes });
    };
    expect(await runPasses(slow.ctx, NO_OUTAGE)).toMatchObject({ again: true });
    await caughtUp(slow.ctx);
    expect(stopping(slow)).toEqual([]);
  });

  it('stops nothing that works by now, because it did not when that was planned', async () => {
    const memory = new MemoryStore({ clock: new SystemClock() });
    let work = async () => {};
    const slow = await replicaOn(
      heldUp(memory, () => work()),
      'slow',
    );
    const put = (tasks: readonly Task[]) =>
      memory.transact({ compares: [], writes: tasks.map((task) => putRecord('tasks', keys.task(task.id), task)) });
    const tasks = await underWay(memory, rollout());
    await put(tasks.map((task) => ({ ...task, state: 'starting' })));
    await caughtUp(slow.ctx);
    work = async () => {
      work = async () => {};
      await put(tasks.slice(0, 3));
    };
    await runPasses(slow.ctx, NO_OUTAGE);
    await caughtUp(slow.ctx);
    const stopped = stopping(slow);
    expect(stopped.filter((id) => id !== tasks[3]?.id)).toEqual([]);
  });

  it('stops nothing for which others had to be reached that are not any more', async () => {
    const memory = new MemoryStore({ clock: new SystemClock() });
    let part = async () => {};
    const slow = await replicaOn(
      heldUp(memory, () => part()),
      'slow',
    );
    const tasks = await underWay(memory, rollout());
    await caughtUp(slow.ctx);
    part = async () => {
      part = async () => {};
      const nodes = tasks.flatMap(({ node }) => node ?? []);
      const away = nodes.map((node) => putRecord('epochs', keys.epoch(node), { epoch: 1, unreachableSinceMs: 0 }));
      await memory.transact({ compares: [], writes: away });
    };
    await runPasses(slow.ctx, NO_OUTAGE);
    await caughtUp(slow.ctx);
    expect(stopping(slow)).toEqual([]);
  });

  it.each([
    ['stops nothing, not even what does not work', 'starting'],
    ['makes nothing', 'failed'],
  ] as const)('%s once it is paused, though that was planned before', async (_, state) => {
    const memory = new MemoryStore({ clock: new SystemClock() });
    let pause = async () => {};
    const store = heldUp(memory, () => pause());
    const slow = await replicaOn(store, 'slow');
    const tasks = await underWay(memory, rollout());
    const changed = tasks.map((task): Task => ({ ...task, state }));
    await memory.transact({
      compares: [],
      writes: changed.map((task) => putRecord('tasks', keys.task(task.id), task)),
    });
    await caughtUp(slow.ctx);
    let pauses = 0;
    pause = async () => {
      pauses += 1;
      const paused = rollout({ paused: { atMs: 0, by: 'alice' } });
      await memory.transact({ compares: [], writes: [putRecord('deployments', keys.deployment(paused.id), paused)] });
    };
    await runPasses(slow.ctx, NO_OUTAGE);
    await caughtUp(slow.ctx);
    expect(pauses).toBeGreaterThan(0);
    expect(stopping(slow)).toEqual([]);
    expect([...slow.ctx.mirror.snapshot.tasks.keys()].sort()).toEqual(tasks.map(({ id }) => id).sort());
  });

  it('that has failed is taken back in one step, and what it was is told', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const replica = await replicaOn(store, 'one');
    await underWay(store, rollout({ progressAtMs: 0 }));
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    const { snapshot } = replica.ctx.mirror;
    expect(snapshot.jobs.get(job.uid)).toMatchObject({ version: 3, deployments: 3, templates: { main: 1 } });
    expect(snapshot.version(job.uid, 3)).toMatchObject({ change: 'reverted', spec: before.spec });
    expect(snapshot.deployments.get('uiddemo-d2')).toMatchObject({ state: 'failed', revertedBy: 'uiddemo-d3' });
    expect(snapshot.deployments.get('uiddemo-d3')).toMatchObject({ state: 'running', revertOf: 'uiddemo-d2' });
  });

  it('asks for an image once, and for none when it is over', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const replica = await replicaOn(store, 'one');
    const other = { ...job, spec: { ...job.spec, groups: [aGroup({ count: 4, image: 'other:2' })] } };
    await underWay(store, rollout());
    const alive = [0, 1, 2, 3].map((at) => putRecord('alive', keys.alive(`n${at}`), { epoch: 1 }));
    await store.transact({ compares: [], writes: [putRecord('jobs', keys.job(other.spec), other), ...alive] });
    await caughtUp(replica.ctx);
    const asked = () => [0, 1, 2, 3].flatMap((at) => [...replica.ctx.mirror.snapshot.imageFetchesOn(`n${at}`)]);
    for (let run = 0; run < 2; run += 1) await runPasses(replica.ctx, NO_OUTAGE);
    expect(asked().map(({ image, state }) => `${image} ${state}`)).toEqual(['other:2 wanted', 'other:2 wanted']);
    expect(stopping(replica)).toEqual([]);
    const over = putRecord('deployments', keys.deployment('uiddemo-d2'), rollout({ state: 'cancelled' }));
    await store.transact({ compares: [], writes: [over] });
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    expect(asked()).toEqual([]);
  });

  it('goes with its job', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const replica = await replicaOn(store, 'one');
    const deleted = { ...job, deleted: true, stop: { atMs: 0, by: 'alice', reason: '' } };
    const writes = [
      putRecord('jobs', keys.job(job.spec), deleted),
      putRecord('versions', keys.version(job.uid, 1), versionOf(before)),
      putRecord('deployments', keys.deployment('uiddemo-d2'), rollout()),
    ];
    await store.transact({ compares: [], writes });
    await caughtUp(replica.ctx);
    for (let run = 0; run < 2; run += 1) await runPasses(replica.ctx, NO_OUTAGE);
    const { snapshot } = replica.ctx.mirror;
    expect([snapshot.jobs.size, snapshot.deployments.size, [...snapshot.versionsOfJob(job.uid)].length]).toEqual([
      0, 0, 0,
    ]);
  });
});
