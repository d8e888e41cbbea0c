import { afterEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { REPLICA_CLOCKS_APART_MAX_MS, Settling } from '../../../control-plane/controllers/settling.ts';
import { recoverCluster } from '../../../control-plane/services/recovery.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { callOf, startReplica } from '../../support/replica.ts';

const LEASE_MS = 10_000;

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** The same time, called by another name. */
function aheadBy(clock: ManualClock, aheadMs: number): Clock {
  return {
    now: () => clock.now() + aheadMs,
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback),
  };
}

async function world() {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const join = async (id: string, aheadMs: number) => {
    const replica = await startReplica({ store, clock: aheadBy(clock, aheadMs), id });
    ends.push(() => replica.stop());
    return replica.ctx;
  };
  const a = await join('a', 0);
  const recover = async () => {
    const recovered = recoverCluster(a, callOf());
    await clock.advance(1);
    await recovered;
  };
  return { clock, join, recover };
}

describe('after a recovery nothing gets a place for a lease', () => {
  it.each([-3_600_000, -9000, 0, 9000, 11_000, 3_600_000])(
    'on a replica that was there, its clock ahead by %i ms',
    async (aheadMs) => {
      const { clock, join, recover } = await world();
      const settling = new Settling(await join('b', aheadMs), LEASE_MS);
      await settling.leftMs();
      await recover();
      expect(await settling.leftMs()).toBe(LEASE_MS);
      await clock.advance(LEASE_MS - 1);
      expect(await settling.leftMs()).toBe(1);
      await clock.advance(1);
      expect(await settling.leftMs()).toBe(0);
    },
  );

  it.each([-3_600_000, 0, REPLICA_CLOCKS_APART_MAX_MS])(
    'on one that begins afterwards, its clock ahead by %i ms',
    async (aheadMs) => {
      const { join, recover } = await world();
      await recover();
      expect(await new Settling(await join('b', aheadMs), LEASE_MS).leftMs()).toBe(LEASE_MS);
    },
  );

  it('and on one that begins long afterwards at once', async () => {
    const { clock, join, recover } = await world();
    await recover();
    await clock.advance(LEASE_MS + REPLICA_CLOCKS_APART_MAX_MS);
    expect(await new Settling(await join('b', 0), LEASE_MS).leftMs()).toBe(0);
  });
});
