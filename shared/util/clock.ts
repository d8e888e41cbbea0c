/**
 * Time as the code that waits sees it. Only mains and adapters hold a real clock; tests and the simulator hand in a
 * virtual one, which is what makes a run repeatable.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. May step when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary start; never steps back. Deadlines and ages are measured with this one. */
  monotonicMs(): number;
  /** Calls `callback` once after at least `delayMs`. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** A timer that has been set and can be called off. */
export interface Timer {
  /** Calls the timer off. Harmless once it has fired. */
  cancel(): void;
}

/** Resolves after `delayMs`, or at once with no error when `signal` is aborted. The caller checks the signal. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
