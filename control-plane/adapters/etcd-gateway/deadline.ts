/** Time that something may take, for calls that know only signals, and for promises that know not even those. */
import type { Clock, Timer } from '../../../shared/util/clock.ts';
import { UnreachableError } from './faults.ts';

/** One call's time. Whoever makes one ends it. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: Timer;

  constructor(clock: Clock, timeoutMs: number) {
    this.#timer = clock.setTimer(timeoutMs, () => this.abort(new UnreachableError(`no answer within ${timeoutMs} ms`)));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the time early: whoever waits for it gets `reason`. */
  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** What the promise gives, or what the signal is aborted with. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal } = this;
      const fail = () => reject(signal.reason);
      signal.addEventListener('abort', fail, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', fail));
      if (signal.aborted) fail();
    });
  }

  /** Nothing is to be aborted any more. */
  end(): void {
    this.#timer.cancel();
  }
}

/** What the promise gives; null when `waitMs` passed or `signal` was aborted before. The promise goes on. */
export function within<T>(clock: Clock, promise: Promise<T>, waitMs: number, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const end = () => {
      timer.cancel();
      signal.removeEventListener('abort', giveUp);
    };
    const giveUp = () => {
      end();
      resolve(null);
    };
    const timer = clock.setTimer(waitMs, giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    promise.then(resolve, reject).finally(end);
    if (signal.aborted) giveUp();
  });
}
