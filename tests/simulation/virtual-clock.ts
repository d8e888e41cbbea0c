/**
 * Time that passes only when it is told to. Timers fire in the order of their times, those of one instant in the order in
 * which they were set, and between two of them everything that the first one set off runs to its end. So a run is a
 * sequence of steps that depends on nothing but what the timers do.
 */
import type { Clock, Timer } from '../../shared/util/clock.ts';

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  /** Null: called off. */
  callback: (() => void) | null;
}

export class VirtualClock implements Clock {
  readonly #startMs: number;
  readonly #heap: Entry[] = [];
  #elapsedMs = 0;
  #sequence = 0;

  /** `startMs`: the wall-clock time at which the run begins. */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    // Like the real ones: whole milliseconds, and never earlier than now.
    const atMs = this.#elapsedMs + Math.max(0, Math.ceil(delayMs));
    const entry: Entry = { atMs, sequence: this.#sequence++, callback };
    push(this.#heap, entry);
    return {
      cancel: () => {
        entry.callback = null;
      },
    };
  }

  /** Fires the next timer and waits until nothing that follows from it is left to run. False: there is none. */
  async step(): Promise<boolean> {
    for (;;) {
      const next = pop(this.#heap);
      if (next === undefined) return false;
      if (next.callback === null) continue;
      this.#elapsedMs = next.atMs;
      next.callback();
      await settled();
      return true;
    }
  }
}

/**
 * Resolves when no promise job is left to run. The event loop comes to its next turn only then, provided that everything
 * waits for promises alone, which is what simulated code is held to.
 */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.sequence < b.sequence : a.atMs < b.atMs;
}

/** A binary heap with the earliest entry at its top. */
function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || isBefore(parent, entry)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): Entry | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || last === undefined || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    const child = earlierChild(heap, at);
    const below = heap[child];
    if (below === undefined || isBefore(last, below)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
  return top;
}

function earlierChild(heap: readonly Entry[], at: number): number {
  const left = heap[2 * at + 1];
  const right = heap[2 * at + 2];
  return left !== undefined && right !== undefined && isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
}
