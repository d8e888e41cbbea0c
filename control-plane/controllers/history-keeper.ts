/**
 * Keeps the store's history short. Every change leaves an old revision behind, and a store that keeps them all becomes
 * slower with each: etcd's reads cost three times as much after some ten thousand. What is kept is what readers may still
 * resume from: the last minutes, but never more than so many revisions.
 */

/** The history of the last so many milliseconds is kept. */
export const HISTORY_KEEP_MS = 5 * 60_000;

/** But at most so many revisions. */
export const HISTORY_REVISIONS_MAX = 10_000;

/** Compactions are at least this far apart, in milliseconds. */
export const COMPACTION_INTERVAL_MS = 30_000;

interface Sample {
  readonly atMs: number;
  readonly revision: number;
}

/** Remembers when the store stood where, and says what may be forgotten. Times are monotonic milliseconds. */
export class HistoryKeeper {
  /** One per interval, oldest first; the first one is as old as the history that is kept, or older. */
  #samples: Sample[] = [];
  #lastTarget = 0;

  /** The revision to compact up to, or null while there is nothing worth the trouble. */
  due(nowMs: number, revision: number): number | null {
    const last = this.#samples.at(-1);
    if (last !== undefined && nowMs - last.atMs < COMPACTION_INTERVAL_MS) return null;
    this.#samples.push({ atMs: nowMs, revision });
    const old = this.#samples.filter((sample) => nowMs - sample.atMs >= HISTORY_KEEP_MS);
    this.#samples = this.#samples.slice(Math.max(0, old.length - 1));
    const target = Math.max(old.at(-1)?.revision ?? 0, revision - HISTORY_REVISIONS_MAX);
    if (target <= this.#lastTarget) return null;
    this.#lastTarget = target;
    return target;
  }
}
