import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { stopJob, submitJob } from '../../../control-plane/services/jobs.ts';
import { stopTask } from '../../../control-plane/services/tasks.ts';
import type { Store, Transaction } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import { Hand, subscriptionOf } from '../../support/frameworks.ts';
import {
  callOf,
  caughtUp,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

/** A store that lets a test act right before or after a transaction that matches. */
function interceptedStore(inner: Store) {
  const hooks: { before?: (transaction: Transaction) => Promise<void>; after?: (t: Transaction) => Promise<void> } = {};
  const transact = async (transaction: Transaction) => {
    await hooks.before?.(transaction);
    const result = await inner.transact(transaction);
    await hooks.after?.(transaction);
    return result;
  };
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { store, hooks };
}

async function replicaWith(store: Store, id = 'replica-1'): Promise<TestReplica> {
  const replica = await startReplica({ store, id });
  replicas.push(replica);
  return replica;
}

async function submitted(replica: TestReplica, input: Partial<JobSpecInput> = {}) {
  await submitJob(replica.ctx, callOf(), specOf(input));
  await caughtUp(replica.ctx);
  await runPasses(replica.ctx, NO_OUTAGE);
}

function join(replica: TestReplica, id: string, resources = {}) {
  const node = nodeOf(id);
  return registerNode(replica.ctx, JOINER, {
    node: { ...node, resources: { ...node.resources, ...resources } },
    seen: null,
    tasks: [],
  });
}

function states(replica: TestReplica): string[] {
  return [...replica.ctx.mirror.snapshot.tasks.values()].map((task) => task.state);
}

describe('a round', () => {
  it('commits nothing once another one has been claimed', async () => {
    const memory = new MemoryStore({ clock: new SystemClock() });
    const { store, hooks } = interceptedStore(memory);
    const replica = await replicaWith(store);
    await join(replica, 'edge-1');
    await submitted(replica);
    hooks.after = async ({ writes }) => {
      if (!writes.some((write) => write.key === keys.currentRound)) return;
      delete hooks.after;
      const rival = putRecord('rounds', keys.currentRound, { number: 99, owner: 'rival', claimedAtMs: 0 });
      await memory.transact({ compares: [], writes: [rival] });
    };
    expect(await runRound(replica.ctx)).toMatchObject({ placed: 0, again: true });
    expect(states(replica)).toEqual(['pending']);
    expect(await runRound(replica.ctx)).toMatchObject({ placed: 1 });
  });

  it('never overtakes a stop that has been answered', async () => {
    const { store, hooks } = interceptedStore(new MemoryStore({ clock: new SystemClock() }));
    const replica = await replicaWith(store);
    await join(replica, 'edge-1');
    await submitted(replica);
    const [task] = replica.ctx.mirror.snapshot.tasks.keys();
    hooks.before = async ({ writes }) => {
      if (!writes.some((write) => write.key === keys.ledger('edge-1'))) return;
      delete hooks.before;
      await stopTask(replica.ctx, callOf(), task ?? '', { reason: 'too late to place' });
    };
    expect(await runRound(replica.ctx)).toMatchObject({ placed: 0, again: true });
    expect(states(replica)).toEqual(['killed']);
    expect(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries).toEqual({});
  });

  it('fills one node with more tasks than a transaction takes, in further rounds', async () => {
    const replica = await replicaWith(new MemoryStore({ clock: new SystemClock() }));
    await join(replica, 'edge-1', { cpus: 100, memMiB: 100_000 });
    await submitted(replica, { groups: [{ image: 'x', count: 300 }] });
    await replica.settle();
    expect(states(replica).filter((state) => state === 'staging')).toHaveLength(300);
    expect(Object.keys(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries ?? {})).toHaveLength(300);
  });

  it('places each task once, whoever of several replicas runs it', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const several = await Promise.all(['a', 'b', 'c'].map((id) => replicaWith(store, id)));
    const [first] = several;
    if (first === undefined) throw new Error('no replica');
    for (const node of ['edge-1', 'edge-2', 'edge-3']) await join(first, node);
    await submitJob(first.ctx, callOf(), specOf({ groups: [{ image: 'x', count: 60 }] }));
    await Promise.all(several.map((replica) => caughtUp(replica.ctx)));
    await Promise.all(several.map((replica) => replica.settle()));
    await caughtUp(first.ctx);
    const { tasks, ledgers } = first.ctx.mirror.snapshot;
    const held = [...ledgers.values()].flatMap((ledger) => Object.keys(ledger.entries));
    expect(tasks.size).toBe(60);
    expect(held.sort()).toEqual([...tasks.keys()].sort());
  });
});

describe('a pass that ends a large job', () => {
  it('marks its tasks in few puts of the ledger, each reason short there and whole in the task', async () => {
    const { store, hooks } = interceptedStore(new MemoryStore({ clock: new SystemClock() }));
    const replica = await replicaWith(store);
    await join(replica, 'edge-1', { cpus: 100, memMiB: 100_000 });
    await submitted(replica, { groups: [{ image: 'x', count: 250 }] });
    await replica.settle();
    let puts = 0;
    hooks.before = async ({ writes }) => {
      puts += writes.filter((write) => write.key === keys.ledger('edge-1')).length;
    };
    const reason = 'no longer wanted '.repeat(50);
    await stopJob(replica.ctx, callOf(), { role: 'default', name: 'hello' }, { reason, ifVersion: null });
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    const { ledgers, tasks } = replica.ctx.mirror.snapshot;
    const marks = Object.values(ledgers.get('edge-1')?.entries ?? {}).map((entry) => entry.stop);
    expect(marks.filter((mark) => mark !== null)).toHaveLength(250);
    expect(marks[0]?.reason.length).toBeLessThan(200);
    expect([...tasks.values()][0]?.stop?.reason).toBe(reason);
    expect(puts).toBe(3);
  });
});

describe('a pass over nodes', () => {
  it('gives the tasks of a node up that stays away, and lets them be tried elsewhere', async () => {
    const replica = await replicaWith(new MemoryStore({ clock: new SystemClock() }));
    const { epoch } = await join(replica, 'edge-1');
    await submitted(replica, {
      replaceAfterSeconds: 0,
      groups: [{ image: 'x', retries: { max: 1, delaySeconds: 0 } }],
    });
    await replica.settle();
    await replica.ctx.store.revokeLease(replica.ctx.mirror.snapshot.lease(keys.alive('edge-1')) ?? '');
    await caughtUp(replica.ctx);
    await join(replica, 'edge-2');
    await replica.settle();
    expect(states(replica).sort()).toEqual(['lost', 'staging']);
    const { snapshot } = replica.ctx.mirror;
    const [entry] = Object.values(snapshot.ledgers.get('edge-1')?.entries ?? {});
    expect(entry).toMatchObject({ disowned: true });
    expect(snapshot.epochOf('edge-1')).toBe(epoch + 1);
    const back = await registerNode(
      replica.ctx,
      { ...JOINER, kind: 'node', node: 'edge-1' },
      { node: nodeOf('edge-1'), seen: null, tasks: [entry?.task ?? ''] },
    );
    const session = { node: 'edge-1', epoch: back.epoch };
    await commitStatuses(replica.ctx, session, { statuses: [], released: [entry?.task ?? ''] });
    await caughtUp(replica.ctx);
    expect(snapshot.ledgers.get('edge-1')?.entries).toEqual({});
  });
});

describe('offers of a node that holds some already', () => {
  it('are told apart from those of the round before, also while it is looked whether a round is worth it', async () => {
    const replica = await replicaWith(new MemoryStore({ clock: new SystemClock() }));
    await join(replica, 'edge-1');
    const { body } = await subscribe(replica.ctx, callOf(), subscriptionOf());
    const connection = putRecord('connections', keys.connection(body.id), { session: 1, replica: 'replica-1' });
    await replica.ctx.store.transact({ compares: [], writes: [connection] });
    await caughtUp(replica.ctx);
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 1 });
    await new Hand(replica.ctx).ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, cpus: 8 } }));
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 1 });
    await caughtUp(replica.ctx);
    expect(Object.keys(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.offers ?? {})).toEqual(['1-1-0', '1-2-0']);
  });
});
