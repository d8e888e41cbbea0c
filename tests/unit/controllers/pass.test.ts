import { afterEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { stopJob, submitJob } from '../../../control-plane/services/jobs.ts';
import type { Store, Transaction, Write } from '../../../control-plane/store/contract.ts';
import { keys, parseKey } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { aFramework } from '../../support/builders.ts';
import { callOf, caughtUp, NO_OUTAGE, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function replicaOn(store: Store, id: string): Promise<TestReplica> {
  const replica = await startReplica({ store, id });
  replicas.push(replica);
  return replica;
}

/** The store, with something that happens right after the first transaction that matches. */
function storeWith(inner: Store, matches: (transaction: Transaction) => boolean, then: () => Promise<void>): Store {
  let isDone = false;
  const transact = async (transaction: Transaction) => {
    const result = await inner.transact(transaction);
    if (isDone || !matches(transaction)) return result;
    isDone = true;
    await then();
    return result;
  };
  return new Proxy(inner, {
    get(target, name) {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

function createsTasks({ writes }: Transaction): boolean {
  return writes.some(({ key }) => parseKey(key)?.[0] === 'tasks');
}

it('creates no tasks for a job that has come to its end since the pass was planned', async () => {
  const memory = new MemoryStore({ clock: new SystemClock() });
  const other = await replicaOn(memory, 'other');
  const endSecond = async () => {
    await stopJob(other.ctx, callOf(), { role: 'default', name: 'second' }, { reason: 'enough', ifVersion: null });
    await other.settle();
    await caughtUp(slow.ctx);
  };
  const slow = await replicaOn(storeWith(memory, createsTasks, endSecond), 'slow');
  for (const name of ['first', 'second']) await submitJob(other.ctx, callOf(), specOf({ name }));
  await caughtUp(slow.ctx);
  expect(await runPasses(slow.ctx, NO_OUTAGE)).toMatchObject({ again: true });
  await caughtUp(slow.ctx);
  const { snapshot } = slow.ctx.mirror;
  expect(snapshot.jobByKey({ role: 'default', name: 'second' })?.outcome?.state).toBe('stopped');
  expect(
    [...snapshot.tasks.values()].filter(({ jobName, state }) => jobName === 'second' && state === 'pending'),
  ).toEqual([]);
});

it('marks no framework as disconnected whose stream was opened since the pass was planned', async () => {
  const memory = new MemoryStore({ clock: new SystemClock() });
  const other = await replicaOn(memory, 'other');
  const [first, second] = ['f000000000001', 'f000000000002'].map((id) => aFramework({ id }));
  if (first === undefined || second === undefined) throw new Error('there are two frameworks');
  const put = (...writes: Write[]) => memory.transact({ compares: [], writes });
  const openSecond = async () => {
    await put(putRecord('connections', keys.connection(second.id), { session: 1, replica: 'other' }));
    await caughtUp(slow.ctx);
  };
  const marks = ({ writes }: Transaction) => writes.some(({ key }) => key === keys.framework(first.id));
  const slow = await replicaOn(storeWith(memory, marks, openSecond), 'slow');
  for (const one of [first, second]) await put(putRecord('frameworks', keys.framework(one.id), one));
  await caughtUp(slow.ctx);
  await runPasses(slow.ctx, NO_OUTAGE);
  await caughtUp(other.ctx);
  const { frameworks } = other.ctx.mirror.snapshot;
  expect(frameworks.get(first.id)?.disconnectedSinceMs).not.toBeNull();
  expect(frameworks.get(second.id)?.disconnectedSinceMs).toBeNull();
});
