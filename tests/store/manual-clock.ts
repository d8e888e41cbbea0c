/** Time that passes only when a test says so. Timers fire in the order of their times, each at its own. */
import type { Clock, Timer } from '../../shared/util/clock.ts';

interface PendingTimer {
  readonly atMs: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<PendingTimer>();

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass, and what waits for it happen. */
  async advance(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    await settle();
    for (let timer = this.#nextUntil(until); timer !== null; timer = this.#nextUntil(until)) {
      this.#timers.delete(timer);
      this.#nowMs = timer.atMs;
      timer.callback();
      await settle();
    }
    this.#nowMs = until;
  }

  #nextUntil(untilMs: number): PendingTimer | null {
    let next: PendingTimer | null = null;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (next === null || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}

/** Lets everything happen that waits for nothing but its turn. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
