/**
 * What really happened: every revision of the shared store, one by one, with who caused it. Invariants are held against
 * this, not against what anybody believes.
 */
import type { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import type { WatchEvent } from '../../control-plane/store/contract.ts';
import { PREFIX } from '../../control-plane/store/keys.ts';
import { type Change, Snapshot } from '../../control-plane/store/snapshot.ts';
import type { Commit } from './faulty-store.ts';

/** One revision. */
export interface Revision {
  readonly number: number;
  /** Null: a lease has ended. */
  readonly commit: Commit | null;
  readonly changes: readonly Change[];
  readonly events: readonly WatchEvent[];
}

export class Truth {
  readonly snapshot = new Snapshot(1);
  /** Ids of what was ever on record of operations with names. */
  readonly operations = new Set<string>();
  readonly #unseen: WatchEvent[] = [];
  readonly #commits = new Map<number, Commit>();
  /** By revision. */
  readonly #events = new Map<number, readonly WatchEvent[]>();
  readonly #changes = new Map<number, readonly Change[]>();
  readonly #ended = new AbortController();

  constructor(shared: MemoryStore) {
    void this.#follow(shared);
  }

  /** To be told of each transaction before the revision that it made is {@link taken}. */
  note(commit: Commit): void {
    // A transaction that changed nothing has the revision of the one before it.
    if (!this.#commits.has(commit.revision)) this.#commits.set(commit.revision, commit);
  }

  /** Takes the next revision in, if there is one: the snapshot stands at it from then on. */
  take(): Revision | null {
    const first = this.#unseen[0];
    if (first === undefined) return null;
    const number = revisionOf(first);
    const end = this.#unseen.findIndex((event) => revisionOf(event) !== number);
    const events = this.#unseen.splice(0, end < 0 ? this.#unseen.length : end);
    const changes = this.snapshot.apply({ revision: number, events });
    const commit = this.#commits.get(number) ?? null;
    this.#commits.delete(number);
    this.#events.set(number, events);
    this.#changes.set(number, changes);
    for (const { kind, after } of changes) if (kind === 'operations' && after !== null) this.operations.add(after.id);
    return { number, commit, changes, events };
  }

  /** What happened at a revision that has been taken. */
  eventsAt(revision: number): readonly WatchEvent[] {
    return this.#events.get(revision) ?? [];
  }

  /** The same, as changes of records. */
  changesAt(revision: number): readonly Change[] {
    return this.#changes.get(revision) ?? [];
  }

  end(): void {
    this.#ended.abort();
  }

  async #follow(shared: MemoryStore): Promise<void> {
    const { signal } = this.#ended;
    for await (const { events } of shared.watch({ prefix: PREFIX, fromRevision: 2, signal })) {
      this.#unseen.push(...events);
    }
  }
}

export function revisionOf(event: WatchEvent): number {
  return event.type === 'put' ? event.keyValue.modRevision : event.modRevision;
}

export function keyOf(event: WatchEvent): string {
  return event.type === 'put' ? event.keyValue.key : event.key;
}
