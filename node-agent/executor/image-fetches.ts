/**
 * Has images at hand before tasks here need them, and tells the control plane which it has and which can't be had. What is asked for is
 * read off the present assignment, and told anew in every session: neither a crash nor a lost answer needs a record.
 */
import type { ImageReport } from '../../shared/protocol/agent.ts';
import { jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { clipMessage } from '../core/model.ts';
import { type Log, type Runtime, RuntimeFault } from './contracts.ts';
import { ENGINE_BACKOFF } from './engine-view.ts';
import type { ImagePulls } from './pulls.ts';

export interface ImageFetchesParts {
  readonly runtime: Runtime;
  readonly pulls: ImagePulls;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What became of it waits to be told to the control plane. */
  readonly onFetched: (report: ImageReport) => void;
}

export class ImageFetches {
  readonly #parts: ImageFetchesParts;
  #wanted: ReadonlySet<string> = new Set();
  /** Of the session that {@link #wanted} is of. */
  #epoch = 0;
  readonly #busy = new Map<string, AbortController>();
  /** Told in this session. */
  readonly #told = new Set<string>();
  #failures = 0;
  #again: Timer | null = null;
  #isClosed = false;

  constructor(parts: ImageFetchesParts) {
    this.#parts = parts;
  }

  /** What the assignment of this session asks for. */
  want(images: readonly string[], epoch: number): void {
    this.#wanted = new Set(images);
    if (epoch !== this.#epoch) this.#told.clear();
    this.#epoch = epoch;
    for (const image of this.#told) if (!this.#wanted.has(image)) this.#told.delete(image);
    for (const [image, abort] of this.#busy) if (!this.#wanted.has(image)) abort.abort();
    this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#again?.cancel();
    for (const abort of this.#busy.values()) abort.abort();
  }

  #look(): void {
    if (this.#isClosed || this.#again !== null) return;
    for (const image of this.#wanted) {
      if (this.#busy.has(image) || this.#told.has(image)) continue;
      const abort = new AbortController();
      this.#busy.set(image, abort);
      void this.#fetch(image, abort.signal);
    }
  }

  async #fetch(image: string, signal: AbortSignal): Promise<void> {
    const { runtime, pulls, onFetched } = this.#parts;
    try {
      const isThere = await runtime.hasImage(image);
      const pulled = isThere ? ({ type: 'pulled' } as const) : await pulls.pull(image, signal);
      this.#failures = 0;
      if (signal.aborted) return;
      this.#told.add(image);
      if (pulled.type === 'pulled') onFetched({ image, state: 'ready', message: '' });
      else onFetched({ image, state: 'failed', message: clipMessage(pulled.message) });
    } catch (cause) {
      if (!(cause instanceof RuntimeFault)) throw cause;
      this.#failed(image, cause);
    } finally {
      this.#busy.delete(image);
      // Wanted again while what was wanted of it before was being given up.
      if (signal.aborted) this.#look();
    }
  }

  #failed(image: string, cause: RuntimeFault): void {
    if (this.#isClosed) return;
    const { clock, random, log } = this.#parts;
    const waitMs = jitteredBackoffMs(ENGINE_BACKOFF, this.#failures, random.next());
    this.#failures += 1;
    log.warn('could not fetch an image; it will be tried again', { image, waitMs, cause: cause.message });
    this.#again ??= clock.setTimer(waitMs, () => {
      this.#again = null;
      this.#look();
    });
  }
}
