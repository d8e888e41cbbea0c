/**
 * The state and its last changes as plain data, apart from whatever moves them. A replica's mirror has one to itself. Where nothing may
 * run between two requests, the data stays and each request brings a mirror of its own: whichever hears of a change first moves the
 * state along, for all of them, and the others are told by their own watch. So nobody calls into another's request, and the cost of
 * coming to the present is that of the changes since.
 */
import type { WatchBatch, WatchEvent } from './contract.ts';
import { History } from './history.ts';
import type { Change, Snapshot } from './snapshot.ts';

/** One step of the state. `reset`: history was lost, and `changes` is the difference between two states. */
export interface Step {
  readonly changes: readonly Change[];
  readonly revision: number;
  readonly reset: boolean;
}

/** Changes that may wait for one follower; more of them keep too much of the past in memory, and it has lost its place. */
const CHANGES_BEHIND_MAX = 10_000;

export class KnownState {
  readonly snapshot: Snapshot;
  readonly history: History;
  readonly #feeds = new Set<StateFeed>();
  #resets = 0;

  constructor(snapshot: Snapshot, historyMax: number) {
    this.snapshot = snapshot;
    this.history = new History(historyMax, snapshot.revision);
  }

  get revision(): number {
    return this.snapshot.revision;
  }

  /** Changes with every loss of history. */
  get resets(): number {
    return this.#resets;
  }

  /** Moves the state along, unless others have done so. Throws a `RecordError`, with the state unchanged, when a value can't be read. */
  apply(batch: WatchBatch): void {
    const { revision } = this;
    if (batch.revision < revision) return;
    const changes = this.snapshot.apply({
      revision: batch.revision,
      events: batch.events.filter((event) => revisionOf(event) > revision),
    });
    this.history.add(changes);
    this.#tell({ changes, revision: this.revision, reset: false });
  }

  /** Takes over a state that was listed, since its history is lost. */
  reset(fresh: Snapshot): void {
    const changes = this.snapshot.reset(fresh);
    this.history.restart(fresh.revision);
    this.#resets += 1;
    this.#tell({ changes, revision: this.revision, reset: true });
  }

  /** What happens from now on, for one follower; until it closes its feed. */
  open(): StateFeed {
    const feed = new StateFeed(() => this.#feeds.delete(feed));
    this.#feeds.add(feed);
    return feed;
  }

  #tell(step: Step): void {
    for (const feed of this.#feeds) feed.add(step);
  }
}

/** The steps that a follower has not taken in yet, in their order. */
export class StateFeed {
  readonly close: () => void;
  #steps: Step[] = [];
  #changes = 0;
  #isLost = false;

  constructor(close: () => void) {
    this.close = close;
  }

  /** How many changes wait to be taken in. */
  get behind(): number {
    return this.#changes;
  }

  /** Too much was left waiting, and what comes after it is no longer told. */
  get isLost(): boolean {
    return this.#isLost;
  }

  add(step: Step): void {
    const isFirst = this.#steps.length === 0;
    this.#steps.push(step);
    this.#changes += step.changes.length;
    if (isFirst || this.#changes <= CHANGES_BEHIND_MAX) return;
    this.#isLost = true;
    this.#steps = [];
    this.close();
  }

  /** The first that is left; undefined when all were taken. */
  take(): Step | undefined {
    const step = this.#steps.shift();
    this.#changes -= step?.changes.length ?? 0;
    return step;
  }
}

function revisionOf(event: WatchEvent): number {
  return event.type === 'put' ? event.keyValue.modRevision : event.modRevision;
}
