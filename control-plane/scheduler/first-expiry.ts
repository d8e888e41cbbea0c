/** When the first of all offers expires, without looking at all of them again: only once the last of the first ones has gone. */
import type { LedgerSums } from './ledger-sums.ts';

export class FirstExpiry {
  /** Null: it has to be looked for. */
  #first: { readonly atMs: number; count: number } | null = { atMs: Number.POSITIVE_INFINITY, count: 0 };

  add({ firstExpiryMs: atMs }: LedgerSums): void {
    if (this.#first === null || atMs > this.#first.atMs || atMs === Number.POSITIVE_INFINITY) return;
    if (atMs < this.#first.atMs) this.#first = { atMs, count: 1 };
    else this.#first.count += 1;
  }

  remove({ firstExpiryMs: atMs }: LedgerSums): void {
    if (this.#first === null || atMs > this.#first.atMs || atMs === Number.POSITIVE_INFINITY) return;
    this.#first.count -= 1;
    if (this.#first.count === 0) this.#first = null;
  }

  /** `rows`: all that have been added and not removed, or at least those with offers. Infinite where there is none. */
  of(rows: readonly LedgerSums[]): number {
    if (this.#first === null) {
      this.#first = { atMs: Number.POSITIVE_INFINITY, count: 0 };
      for (const row of rows) this.add(row);
    }
    return this.#first.atMs;
  }
}
