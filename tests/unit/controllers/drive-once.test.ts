/** Driving for a moment, as whoever can't stay does. */
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { changed } from '../../support/changed-store.ts';
import { eventually } from '../../support/processes.ts';
import { callOf, caughtUp, JOINER, nodeOf, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const never = new AbortController().signal;

async function replicaOver(store: Store, id?: string): Promise<TestReplica> {
  const replica = await startReplica({ store, ...(id !== undefined && { id }) });
  ends.push(() => replica.stop());
  return replica;
}

async function withNode(store: Store): Promise<TestReplica> {
  const replica = await replicaOver(store);
  await registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  return replica;
}

const submit = ({ ctx }: TestReplica, name: string) => submitJob(ctx, callOf(), specOf({ name }));

async function statesIn(store: Store): Promise<Record<string, string>> {
  const { tasks } = await Snapshot.load(store);
  return Object.fromEntries([...tasks.values()].map(({ jobName, state }) => [jobName, state]).sort());
}

test('where nobody drives it gives what waits its place, and leaves the seat', async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  const replica = await withNode(store);
  await submit(replica, 'one');
  await caughtUp(replica.ctx);
  await new Driver(replica.ctx).driveOnce(never);
  expect(await statesIn(store)).toEqual({ one: 'staging' });
  expect((await Snapshot.load(store)).driver).toBe(null);
});

test('where somebody drives it leaves everything to them', async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  const replica = await withNode(store);
  const other = await replicaOver(store, 'other');
  const over = new AbortController();
  const running = new Driver(other.ctx).run(over.signal);
  ends.push(() => {
    over.abort();
    return running;
  });
  await eventually('the other to drive', async () => replica.ctx.mirror.snapshot.driver?.replica === 'other');
  const written: string[] = [];
  const driver = new Driver({
    ...replica.ctx,
    store: changed(store, {
      transact: (transaction) => {
        written.push(...transaction.writes.map(({ key }) => key));
        return store.transact(transaction);
      },
    }),
  });
  await driver.driveOnce(never);
  expect(written).toEqual([]);
});

test('what is written while it still sits there, by one who leaves it to it, is not left lying', async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  const replica = await withNode(store);
  const other = await replicaOver(store, 'other');
  await submit(replica, 'early');
  await caughtUp(replica.ctx);
  let isLate = true;
  const leaving = changed(store, {
    async revokeLease(lease) {
      if (isLate) {
        isLate = false;
        await submit(other, 'late');
        await caughtUp(other.ctx);
        expect(other.ctx.mirror.snapshot.driver).not.toBe(null);
        await new Driver(other.ctx).driveOnce(never);
        expect(await statesIn(store)).toEqual({ early: 'staging' });
      }
      return store.revokeLease(lease);
    },
  });
  await new Driver({ ...replica.ctx, store: leaving }).driveOnce(never);
  expect(await statesIn(store)).toEqual({ early: 'staging', late: 'staging' });
});

test('of many at once few drive, and all is done', async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  const first = await withNode(store);
  const replicas = await Promise.all([0, 1, 2, 3, 4, 5].map((at) => replicaOver(store, `request-${at}`)));
  await Promise.all(
    replicas.map(async (replica, at) => {
      await submit(replica, `job-${at}`);
      await caughtUp(replica.ctx);
      await new Driver(replica.ctx).driveOnce(never);
    }),
  );
  await caughtUp(first.ctx);
  expect(Object.values(await statesIn(store))).toEqual(replicas.map(() => 'staging'));
  expect(first.ctx.mirror.snapshot.driver).toBe(null);
});

test('it ends with its signal, and leaves the seat then as well', async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  const replica = await withNode(store);
  await submit(replica, 'one');
  await caughtUp(replica.ctx);
  const over = new AbortController();
  const cutOff = changed(store, {
    grantLease: (ttlSeconds) => {
      over.abort();
      return store.grantLease(ttlSeconds);
    },
  });
  await new Driver({ ...replica.ctx, store: cutOff }).driveOnce(over.signal);
  expect((await Snapshot.load(store)).driver).toBe(null);
  expect(await statesIn(store)).toEqual({});
});
