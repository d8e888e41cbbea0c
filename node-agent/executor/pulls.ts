/** One pull per image at a time, shared by everyone who wants it, and only so many images at once. */
import type { PullResult, Runtime } from './contracts.ts';
import { Limiter } from './limiter.ts';

const PULLS_AT_ONCE_MAX = 3;

interface Pull {
  readonly result: Promise<PullResult>;
  readonly abort: AbortController;
  waiters: number;
}

export class ImagePulls {
  readonly #runtime: Runtime;
  readonly #slots = new Limiter(PULLS_AT_ONCE_MAX);
  readonly #pulls = new Map<string, Pull>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** `signal` gives up on waiting; the pull itself ends when nobody waits for it any more. */
  async pull(image: string, signal: AbortSignal): Promise<PullResult> {
    if (signal.aborted) return NOT_WANTED;
    const pull = this.#pulls.get(image) ?? this.#begin(image);
    pull.waiters += 1;
    try {
      return await Promise.race([pull.result, aborted(signal)]);
    } finally {
      pull.waiters -= 1;
      if (pull.waiters === 0) pull.abort.abort();
    }
  }

  #begin(image: string): Pull {
    const abort = new AbortController();
    const result = this.#slots
      .run(() => this.#runtime.pullImage(image, abort.signal))
      .finally(() => {
        if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
      });
    // A pull that everybody has given up on may still fail; nobody is left to be told.
    result.catch(() => {});
    const pull: Pull = { result, abort, waiters: 0 };
    this.#pulls.set(image, pull);
    abort.signal.addEventListener('abort', () => {
      if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
    });
    return pull;
  }
}

const NOT_WANTED: PullResult = { type: 'failed', message: 'no longer wanted' };

function aborted(signal: AbortSignal): Promise<PullResult> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(NOT_WANTED), { once: true });
  });
}
