/** Waiting for one promise many times, each time for a while only. */
import type { Clock, Timer } from './clock.ts';

/**
 * `Promise.race` leaves something behind on a promise that stays pending, each time. On one that is pending for days, such as what a
 * silent stream says next, that adds up; this listens to it once.
 */
export class LongWait<T> {
  /** Never said to be unhandled: whoever lets go of the wait needn't hear of it. */
  readonly promise: Promise<T>;
  #isSettled = false;
  #wake: () => void = () => {};

  constructor(promise: Promise<T>) {
    this.promise = promise;
    const settle = () => {
      this.#isSettled = true;
      this.#wake();
    };
    promise.then(settle, settle);
  }

  /** Whether the promise has settled by then. One wait at a time. */
  async within(clock: Clock, milliseconds: number): Promise<boolean> {
    if (this.#isSettled) return true;
    let timer: Timer | null = null;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = clock.setTimer(milliseconds, resolve);
    });
    (timer as Timer | null)?.cancel();
    return this.#isSettled;
  }
}
