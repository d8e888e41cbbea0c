/** The machine's clock. */
import type { Clock, Timer } from '../../../shared/util/clock.ts';

/** Longer than the platform's timers can be set; whoever waits longer looks again in between. */
const DELAY_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, callback): Timer => {
    const timer = setTimeout(callback, Math.min(delayMs, DELAY_MAX_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};
