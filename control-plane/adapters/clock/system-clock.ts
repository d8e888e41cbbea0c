/** The machine's clock. */
import type { Clock, Timer } from '../../../shared/util/clock.ts';

/** The longest wait that the platform's timers take, 2^31 - 1 ms; a longer one would fire at once. */
const WAIT_MAX_MS = 2_147_483_647;

export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let handle = setTimeout(fire, Math.min(delayMs, WAIT_MAX_MS));
    let leftMs = delayMs - WAIT_MAX_MS;
    function fire() {
      if (leftMs <= 0) return callback();
      handle = setTimeout(fire, Math.min(leftMs, WAIT_MAX_MS));
      leftMs -= WAIT_MAX_MS;
    }
    return { cancel: () => clearTimeout(handle) };
  }
}
