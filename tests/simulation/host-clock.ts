/**
 * The clock of one host. It runs a little fast or slow, as crystals do, and its wall-clock time is off by something that may
 * change from one moment to the next, as when somebody sets it. Everything on the host measures with it.
 */
import type { Clock, Timer } from '../../shared/util/clock.ts';

export interface ClockFaults {
  /** How far its wall clock is ahead of the world's. */
  readonly skewMs: number;
  /** How many of its seconds pass in one of the world's. */
  readonly rate: number;
}

const NO_CLOCK_FAULTS: ClockFaults = { skewMs: 0, rate: 1 };

/**
 * How far a host's rate may be off, either way: two hosts run apart by twice as much at the most, which is what the control plane counts
 * on where two of a task must never run at a time. Crystals are a hundred times better; virtual machines are not.
 */
export const DRIFT_MAX = 0.01;

export class HostClock implements Clock {
  readonly #world: Clock;
  readonly #rate: number;
  #skewMs: number;

  constructor(world: Clock, { skewMs, rate }: ClockFaults = NO_CLOCK_FAULTS) {
    this.#world = world;
    this.#rate = rate;
    this.#skewMs = skewMs;
  }

  now(): number {
    const drifted = (this.#rate - 1) * this.#world.monotonicMs();
    return Math.round(this.#world.now() + drifted + this.#skewMs);
  }

  monotonicMs(): number {
    return this.#world.monotonicMs() * this.#rate;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#world.setTimer(delayMs / this.#rate, callback);
  }

  /** Sets the wall clock to be so far ahead of the world's. The steady one goes on as it was. */
  set(skewMs: number): void {
    this.#skewMs = skewMs;
  }
}
