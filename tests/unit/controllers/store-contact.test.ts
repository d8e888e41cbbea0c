import { describe, expect, it } from 'vitest';
import { StoreContact } from '../../../control-plane/controllers/store-contact.ts';
import { StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const BREAK_MS = 1000;

async function answered(contact: StoreContact, clock: ManualClock, everyMs: number, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    contact.answered();
    await clock.advance(everyMs);
  }
}

describe('contact with the store', () => {
  it('is broken before the first answer, and counts from it', async () => {
    const clock = new ManualClock();
    const contact = new StoreContact(clock, BREAK_MS);
    await clock.advance(5000);
    expect(contact.unbrokenMs()).toBe(0);
    await answered(contact, clock, BREAK_MS, 3);
    expect(contact.unbrokenMs()).toBe(3000);
  });

  it('is broken as soon as an answer is overdue, and counts anew from the next one', async () => {
    const clock = new ManualClock();
    const contact = new StoreContact(clock, BREAK_MS);
    await answered(contact, clock, BREAK_MS, 5);
    await clock.advance(1);
    expect(contact.unbrokenMs()).toBe(0);
    contact.answered();
    await clock.advance(10);
    expect(contact.unbrokenMs()).toBe(10);
  });

  it('is broken by a machine that was suspended, of which only the wall clock knows', async () => {
    const steady = new ManualClock();
    let asleepMs = 0;
    const clock: Clock = {
      now: () => steady.now() + asleepMs,
      monotonicMs: () => steady.monotonicMs(),
      setTimer: (delayMs, callback) => steady.setTimer(delayMs, callback),
    };
    const contact = new StoreContact(clock, BREAK_MS);
    await answered(contact, steady, 500, 4);
    expect(contact.unbrokenMs()).toBe(2000);
    asleepMs = 60_000;
    expect(contact.unbrokenMs()).toBe(0);
    contact.answered();
    expect(contact.unbrokenMs()).toBe(0);
    await steady.advance(200);
    expect(contact.unbrokenMs()).toBe(200);
  });

  it('is kept by asking, and survives questions that fail only for as long as a break takes', async () => {
    const clock = new ManualClock();
    const contact = new StoreContact(clock, BREAK_MS);
    const end = new AbortController();
    let isAway = false;
    const get = async () => {
      if (isAway) throw new StoreUnavailableError('away');
      return { keyValue: null, revision: 1 };
    };
    const kept = contact.keep({ get }, end.signal);
    await clock.advance(5000);
    expect(contact.unbrokenMs()).toBe(5000);
    isAway = true;
    await clock.advance(500);
    isAway = false;
    await clock.advance(1500);
    expect(contact.unbrokenMs()).toBe(7000);
    isAway = true;
    await clock.advance(1500);
    expect(contact.unbrokenMs()).toBe(0);
    isAway = false;
    await clock.advance(1000);
    expect(contact.unbrokenMs()).toBeGreaterThan(0);
    expect(contact.unbrokenMs()).toBeLessThanOrEqual(1000);
    end.abort();
    await kept;
  });
});
