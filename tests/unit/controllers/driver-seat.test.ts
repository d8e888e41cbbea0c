import { afterEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { DriverSeat, type Term } from '../../../control-plane/controllers/driver-seat.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startReplica, type TestReplica } from '../../support/replica.ts';

const ASK_EVERY_MS = 250;
/** Far longer than anybody has to wait for a silent holder. */
const LEASE_MS = 60_000;

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Waiting {
  readonly seat: DriverSeat;
  readonly replica: TestReplica;
}

async function world() {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const join = async (id: string): Promise<Waiting> => {
    const replica = await startReplica({ store, clock, id });
    ends.push(() => replica.stop());
    return { replica, seat: new DriverSeat(replica.ctx, { leaseTtlMs: LEASE_MS, askEveryMs: ASK_EVERY_MS }) };
  };
  return { clock, a: await join('a'), b: await join('b') };
}

async function seated({ seat }: Waiting, onLost: () => void = () => undefined): Promise<Term> {
  const term = await seat.take(onLost);
  if (term === null) throw new Error('nobody else is here to take the seat');
  return term;
}

/** Asks as a driver does, over and over, and tells after how long the seat was free; null: it was not within `withinMs`. */
async function freeAfterMs({ seat }: Waiting, clock: ManualClock, withinMs: number): Promise<number | null> {
  const sinceMs = clock.monotonicMs();
  while (clock.monotonicMs() < sinceMs + withinMs) {
    if (await seat.isFree()) return clock.monotonicMs() - sinceMs;
    await clock.advance(ASK_EVERY_MS);
  }
  return null;
}

describe('the seat of the driver', () => {
  it('is free at first, and then its holder’s', async () => {
    const { clock, a, b } = await world();
    expect(await a.seat.isFree()).toBe(true);
    const term = await seated(a);
    await clock.advance(1);
    expect(term.isHeld()).toBe(true);
    expect(await b.seat.isFree()).toBe(false);
    await term.leave();
    await clock.advance(1);
    expect(term.isHeld()).toBe(false);
    expect(await b.seat.isFree()).toBe(true);
  });

  it('stays with a holder that gives signs of life, however long', async () => {
    const { clock, a, b } = await world();
    const holder = new DriverSeat(a.replica.ctx, { leaseTtlMs: 2000, askEveryMs: ASK_EVERY_MS });
    const term = await holder.take(() => undefined);
    expect(await freeAfterMs(b, clock, 30_000)).toBeNull();
    expect(term?.isHeld()).toBe(true);
  });

  it('is taken from a silent holder within two seconds, long before its lease ends, and the holder notices', async () => {
    const { clock, a, b } = await world();
    const term = await seated(a);
    await clock.advance(1);
    const waitedMs = await freeAfterMs(b, clock, LEASE_MS / 4);
    expect(waitedMs).toBeGreaterThan(1000 - ASK_EVERY_MS);
    expect(waitedMs).toBeLessThanOrEqual(1000 + 2 * ASK_EVERY_MS);
    const next = await seated(b);
    await clock.advance(1);
    expect(next.isHeld()).toBe(true);
    expect(term.isHeld()).toBe(false);
    expect(a.replica.ctx.mirror.snapshot.driver?.replica).toBe('b');
  });

  it('is taken by one of two who find it free at once', async () => {
    const { clock, a, b } = await world();
    const terms = await Promise.all([a, b].map(({ seat }) => seat.take(() => undefined)));
    await clock.advance(1);
    expect(terms.filter((term) => term?.isHeld())).toHaveLength(1);
    expect(terms.filter((term) => term === null)).toHaveLength(1);
  });

  it('is left alone by a holder that has lost it', async () => {
    const { clock, a, b } = await world();
    const first = await seated(a);
    await clock.advance(1);
    await freeAfterMs(b, clock, LEASE_MS / 4);
    const second = await seated(b);
    await first.leave();
    await clock.advance(1);
    expect(second.isHeld()).toBe(true);
  });

  it('says so at once when its lease has ended', async () => {
    const { clock, a } = await world();
    let lost = 0;
    const term = await seated(a, () => {
      lost += 1;
    });
    await a.replica.ctx.store.revokeLease(a.replica.ctx.mirror.snapshot.lease('/berth/driver') ?? '');
    await clock.advance(LEASE_MS);
    expect(lost).toBe(1);
    expect(term.isHeld()).toBe(false);
  });
});
