/**
 * The changes of the last revisions, for those who missed some. Bounded: what falls out is gone, and they list again. Large
 * parts that nobody asks for are left out: the entries of ledgers, the groups of jobs and versions. A thousand changes of one
 * full ledger would otherwise take half a gigabyte.
 */
import type { Change } from './snapshot.ts';

export class History {
  readonly #max: number;
  #changes: Change[] = [];
  /** Everything after this revision is here. */
  #floor: number;

  constructor(max: number, floor: number) {
    this.#max = max;
    this.#floor = floor;
  }

  /** The lowest revision that {@link since} can start after. */
  get oldestRevision(): number {
    return this.#floor;
  }

  /** The changes of whole revisions, in order, all after those already here. */
  add(changes: readonly Change[]): void {
    for (const change of changes) this.#changes.push(slimmed(change));
    // Cut in large steps, so that the cost per change stays constant.
    if (this.#changes.length > 2 * this.#max) this.#cut(this.#changes.length - this.#max);
  }

  /** Forgets everything; what comes next follows `floor`. */
  restart(floor: number): void {
    this.#changes = [];
    this.#floor = floor;
  }

  /** The changes after `revision`, in order; null when they don't reach back that far. */
  since(revision: number): readonly Change[] | null {
    if (revision < this.#floor) return null;
    return this.#changes.slice(this.#firstAfter(revision));
  }

  /** Removes at least the first `count` changes, and with them the rest of the last one's revision. */
  #cut(count: number): void {
    const last = this.#changes[count - 1];
    if (last === undefined) return;
    this.#changes = this.#changes.slice(this.#firstAfter(last.revision));
    this.#floor = last.revision;
  }

  /** Position of the first change after `revision`, by bisection. */
  #firstAfter(revision: number): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function slimmed(change: Change): Change {
  switch (change.kind) {
    case 'ledger':
      return { ...change, before: withoutEntries(change.before), after: withoutEntries(change.after) };
    case 'jobs':
      return { ...change, before: withoutGroups(change.before), after: withoutGroups(change.after) };
    case 'versions':
      return { ...change, before: withoutGroups(change.before), after: withoutGroups(change.after) };
    default:
      return change;
  }
}

function withoutEntries<T extends { readonly entries: object }>(ledger: T | null): T | null {
  return ledger === null ? null : { ...ledger, entries: {} };
}

function withoutGroups<T extends { readonly spec: { readonly groups: readonly unknown[] } }>(job: T | null): T | null {
  return job === null ? null : { ...job, spec: { ...job.spec, groups: [] } };
}
