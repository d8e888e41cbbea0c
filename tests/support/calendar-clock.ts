/** The machine's clock with a calendar of its own: a test turns days over, and timers take as long as ever. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';

export class CalendarClock implements Clock {
  readonly #steady = new SystemClock();
  aheadMs = 0;

  now(): number {
    return this.#steady.now() + this.aheadMs;
  }

  monotonicMs(): number {
    return this.#steady.monotonicMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#steady.setTimer(delayMs, callback);
  }
}
