import { describe, expect, it } from 'vitest';
import { type Clock, sleep } from '../../../shared/util/clock.ts';

/** A clock that stands still; its timers fire by hand. */
function stillClock() {
  const timers: { readonly delayMs: number; readonly fire: () => void; cancelled: boolean }[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonicMs: () => 0,
    setTimer(delayMs, callback) {
      const timer = { delayMs, fire: callback, cancelled: false };
      timers.push(timer);
      return {
        cancel: () => {
          timer.cancelled = true;
        },
      };
    },
  };
  return { clock, timers };
}

describe('sleep', () => {
  it('ends when its timer fires', async () => {
    const { clock, timers } = stillClock();
    const slept = sleep(clock, 50);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([50]);
    timers[0]?.fire();
    await expect(slept).resolves.toBeUndefined();
  });

  it('ends at once when it is called off, and takes its timer with it', async () => {
    const { clock, timers } = stillClock();
    const controller = new AbortController();
    const slept = sleep(clock, 50, controller.signal);
    controller.abort();
    await expect(slept).resolves.toBeUndefined();
    expect(timers.map(({ cancelled }) => cancelled)).toEqual([true]);
  });

  it('does not begin when it has been called off before', async () => {
    const { clock, timers } = stillClock();
    await sleep(clock, 50, AbortSignal.abort());
    expect(timers).toEqual([]);
  });
});
