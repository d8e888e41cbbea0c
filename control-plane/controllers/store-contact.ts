/**
 * Since when this replica has been in touch with the store without a break. A node's lease ends when the store hears no
 * heartbeat of it; whether that is the node's fault or everybody's can only be told by whoever was there all the time. So a
 * replica asks the store something small over and over, and each pause between two answers that is longer than a heartbeat
 * counts as a break: whatever stopped the answers (a store that was away, slow or standing still, a cut link, this process
 * itself being held up) may have stopped heartbeats as well.
 */
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Store } from '../store/contract.ts';
import { keys } from '../store/keys.ts';

/** The store is asked this often in the time that makes a break. */
const QUESTIONS_PER_BREAK = 3;

interface Instant {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export class StoreContact {
  readonly #clock: Clock;
  readonly #breakMs: number;
  /** When the first answer after the last break came; null before the first of all. */
  #since: Instant | null = null;
  #lastAnswer: Instant | null = null;

  /** `breakMs`: a longer time between two answers is a break. */
  constructor(clock: Clock, breakMs: number) {
    this.#clock = clock;
    this.#breakMs = breakMs;
  }

  /** For how long there has been no break, in milliseconds; 0 while there is one. */
  unbrokenMs(): number {
    if (this.#since === null || this.#isBroken()) return 0;
    return this.#clock.monotonicMs() - this.#since.monotonicMs;
  }

  /** The store has answered just now. */
  answered(): void {
    const now = this.#now();
    if (this.#since === null || this.#isBroken()) this.#since = now;
    this.#lastAnswer = now;
  }

  /** Asks until the signal is aborted. A question that fails is no answer; the next one is asked all the same. */
  async keep(store: Pick<Store, 'get'>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#ask(store);
      await sleep(this.#clock, this.#breakMs / QUESTIONS_PER_BREAK, signal);
    }
  }

  async #ask(store: Pick<Store, 'get'>): Promise<void> {
    try {
      await store.get(keys.cluster);
      this.answered();
    } catch {
      // Why it fails is told by whoever needs the store for something; here only answers count.
    }
  }

  /** By either clock: the monotonic one may stand still while a whole machine is suspended. */
  #isBroken(): boolean {
    const last = this.#lastAnswer;
    if (last === null) return true;
    const now = this.#now();
    return Math.max(now.wallMs - last.wallMs, now.monotonicMs - last.monotonicMs) > this.#breakMs;
  }

  #now(): Instant {
    return { wallMs: this.#clock.now(), monotonicMs: this.#clock.monotonicMs() };
  }
}
