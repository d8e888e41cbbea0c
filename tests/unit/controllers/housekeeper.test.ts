import { afterEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import {
  HOUSEKEEPING_DEFAULTS,
  Housekeeper,
  RETENTION_BACKLOG_INTERVAL_MS,
  RETENTION_INTERVAL_MS,
} from '../../../control-plane/controllers/housekeeper.ts';
import { FORGET_RECORDS_MAX } from '../../../control-plane/reconcile/actions.ts';
import {
  KEEP_MIN_MS,
  RETENTION_ACTIONS_MAX,
  RETENTION_DEFAULTS,
  type RetentionPolicy,
} from '../../../control-plane/reconcile/retention-pass.ts';
import { stopJob, submitJob } from '../../../control-plane/services/jobs.ts';
import { type Store, StoreFullError } from '../../../control-plane/store/contract.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { CalendarClock } from '../../support/calendar-clock.ts';
import { eventually } from '../../support/processes.ts';
import { callOf, caughtUp, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const NO_JOBS: RetentionPolicy = { ...RETENTION_DEFAULTS, endedJobsMax: 0 };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A replica with so many jobs that were stopped before anything of them had a place. */
async function withEndedJobs(count: number, clock: Clock, store?: Store): Promise<TestReplica> {
  const replica = await startReplica({ store: store ?? new MemoryStore({ clock }), clock });
  ends.push(() => replica.stop());
  for (let at = 0; at < count; at += 1) {
    const spec = specOf({ name: `job-${at}` });
    await submitJob(replica.ctx, callOf(), spec);
    await stopJob(replica.ctx, callOf(), spec, { reason: 'enough', ifVersion: null });
  }
  await replica.settle();
  await caughtUp(replica.ctx);
  return replica;
}

const jobsOf = ({ ctx }: TestReplica) => ctx.mirror.snapshot.jobs.size;

describe('the housekeeper', () => {
  it('forgets what has ended, once it may and its next run is due', async () => {
    const clock = new ManualClock();
    const replica = await withEndedJobs(3, clock);
    await clock.advance(KEEP_MIN_MS - RETENTION_INTERVAL_MS + 1);
    const housekeeper = new Housekeeper(replica.ctx, { ...HOUSEKEEPING_DEFAULTS, retention: NO_JOBS });
    await housekeeper.run();
    await clock.advance(RETENTION_INTERVAL_MS - 1);
    await housekeeper.run();
    expect(jobsOf(replica)).toBe(3);
    await clock.advance(1);
    await housekeeper.run();
    expect(jobsOf(replica)).toBe(0);
    expect(replica.ctx.mirror.snapshot.tasks.size).toBe(0);
  });

  it('comes back soon to a backlog, and not at once', async () => {
    const clock = new ManualClock();
    const perRun = (RETENTION_ACTIONS_MAX * FORGET_RECORDS_MAX) / 2;
    const replica = await withEndedJobs(perRun + 1, clock);
    await clock.advance(KEEP_MIN_MS);
    const housekeeper = new Housekeeper(replica.ctx, { ...HOUSEKEEPING_DEFAULTS, retention: NO_JOBS });
    await housekeeper.run();
    expect(jobsOf(replica)).toBe(1);
    await housekeeper.run();
    expect(jobsOf(replica)).toBe(1);
    await clock.advance(RETENTION_BACKLOG_INTERVAL_MS);
    await housekeeper.run();
    expect(jobsOf(replica)).toBe(0);
  });
});

/** A store that takes nothing new, as one that has reached its quota. */
function fullable(inner: Store) {
  const state = { isFull: false };
  const refuse = () => Promise.reject(new StoreFullError('full'));
  const store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (state.isFull && name === 'grantLease') return refuse;
      if (name !== 'transact') return member.bind(target);
      return (transaction: Parameters<Store['transact']>[0]) =>
        state.isFull && transaction.writes.some(({ type }) => type === 'put') ? refuse() : target.transact(transaction);
    },
  });
  return { store, state };
}

describe('a full store', () => {
  it('is cleaned up by a replica that can not even become its driver', async () => {
    const clock = new CalendarClock();
    const { store, state } = fullable(new MemoryStore({ clock }));
    const replica = await withEndedJobs(2, clock, store);
    clock.aheadMs = KEEP_MIN_MS;
    state.isFull = true;
    const abort = new AbortController();
    const running = new Driver(replica.ctx, {
      ...DRIVER_DEFAULTS,
      housekeeping: { ...HOUSEKEEPING_DEFAULTS, retention: NO_JOBS },
    }).run(abort.signal);
    ends.push(() => {
      abort.abort();
      return running;
    });
    await eventually('the jobs to be forgotten', async () => jobsOf(replica) === 0);
    expect(replica.ctx.mirror.snapshot.driver).toBeNull();
  });
});
