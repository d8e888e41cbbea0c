/**
 * From the answers of one watch stream to batches that lose nothing and repeat nothing, whatever the answers came over.
 *
 * - One revision early: etcd before 3.4.36 and 3.5.18 forgets the deletions of the very revision that it compacted up to,
 *   without saying so. Asking from one revision earlier turns that silence into an error.
 * - For the same reason each stream begins with what was handed on last. If that isn't so any more, etcd has lost changes that
 *   it had told of, as after a restore, and may have come as far again with others.
 * - A progress report of etcd before 3.4.25 and 3.5.8 may overtake events. Those tell only that the connection lives; from
 *   later ones the revision is taken, and never a place to resume from.
 */
import { HistoryGoneError, StoreUnavailableError, type WatchBatch, type WatchEvent } from '../../store/contract.ts';

/** One message of a stream. */
export interface WatchAnswer {
  /** What the store was at when it was sent. */
  readonly revision: number;
  /** It only says that the watch is there. */
  readonly created: boolean;
  readonly canceled: boolean;
  /** Where the watch began before everything that is known: the first revision that is. Else 0. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** The next message goes on with the same revision. */
  readonly fragment: boolean;
  readonly events: readonly WatchEvent[];
}

/** How far one watch has come, over all its streams. */
export interface Position {
  /** The first revision whose events haven't been handed on. */
  next: number;
  /** The events that were handed on of the revision before it; none as long as nothing was. */
  last: readonly WatchEvent[];
  /** Said to be fully seen. At least `next - 1`; more when etcd reported progress. */
  announced: number;
  /** Of the cluster that the revisions are of; null while no answer of it has come. */
  clusterId: string | null;
}

export function positionFrom(fromRevision: number, clusterId: string | null): Position {
  return { next: fromRevision, last: [], announced: fromRevision - 1, clusterId };
}

/** Where a stream begins that goes on from `position`. */
export function startRevisionOf({ next }: Position): number {
  return Math.max(1, next - 1);
}

/** Throws {@link HistoryGoneError} when the store, being at `revision` now, was further once. */
export function checkNotBehind({ announced }: Position, revision: number): void {
  if (revision >= announced) return;
  throw new HistoryGoneError(`etcd: revision ${announced} was seen, but now it is ${revision}`);
}

/** Whether a member of this version sends its reports of progress in order with the events. */
export function reportsInOrder(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  if (major !== 3) return major > 3;
  return minor === 4 ? patch >= 25 : minor === 5 ? patch >= 8 : minor > 5;
}

/** Puts the answers of one stream together, and moves `position` on. */
export class WatchBatches {
  readonly #position: Position;
  readonly #reportsInOrder: boolean;
  #events: WatchEvent[] = [];
  /** The events of the last revision that was handed on, as the stream begins with them; null once they have been compared. */
  #replay: WatchEvent[] | null = [];

  constructor(position: Position, inOrder: boolean) {
    this.#position = position;
    this.#reportsInOrder = inOrder;
  }

  /**
   * The batch that is whole with this answer, or null. Throws {@link HistoryGoneError} when the history that the watch has seen
   * is no longer the store's, and {@link StoreUnavailableError} when the watch was cancelled for another reason.
   */
  add(answer: WatchAnswer): WatchBatch | null {
    checkNotCanceled(answer);
    for (const event of answer.events) this.#take(event);
    if (answer.fragment) return null;
    if (answer.events.length > 0) this.#checkReplay();
    const events = this.#events;
    this.#events = [];
    const last = events.at(-1);
    if (last !== undefined) return this.#handOn({ revision: modRevisionOf(last), events });
    return this.#isProgress(answer) ? this.#handOn({ revision: answer.revision, events }) : null;
  }

  #take(event: WatchEvent): void {
    const revision = modRevisionOf(event);
    if (revision === this.#position.next - 1) this.#replay?.push(event);
    if (revision < this.#position.next) return;
    if (revision <= this.#position.announced) {
      throw new HistoryGoneError(`etcd: an event of revision ${revision} came after a report that all were sent`);
    }
    this.#events.push(event);
  }

  /** Throws {@link HistoryGoneError} when what was handed on last isn't what stands in the store's history by now. */
  #checkReplay(): void {
    const { last, next } = this.#position;
    const replay = this.#replay;
    this.#replay = null;
    if (replay === null || last.length === 0 || JSON.stringify(replay) === JSON.stringify(last)) return;
    throw new HistoryGoneError(
      `etcd: revision ${next - 1} isn't what it was; was the store restored from an older state?`,
    );
  }

  #isProgress(answer: WatchAnswer): boolean {
    return this.#reportsInOrder && !answer.created && answer.events.length === 0;
  }

  #handOn({ revision, events }: WatchBatch): WatchBatch | null {
    const position = this.#position;
    if (events.length === 0 && revision <= position.announced) return null;
    position.announced = Math.max(position.announced, revision);
    if (events.length > 0) {
      position.next = revision + 1;
      position.last = events.filter((event) => modRevisionOf(event) === revision);
    }
    return { revision: position.announced, events };
  }
}

export function modRevisionOf(event: WatchEvent): number {
  return event.type === 'put' ? event.keyValue.modRevision : event.modRevision;
}

function checkNotCanceled({ canceled, compactRevision, cancelReason }: WatchAnswer): void {
  if (!canceled) return;
  if (compactRevision > 0) {
    throw new HistoryGoneError(`etcd: everything before revision ${compactRevision} has been compacted`);
  }
  throw new WatchCanceledError(`etcd: the watch was cancelled: ${cancelReason || 'no reason given'}`);
}

/** etcd ended a watch that it could have gone on with, and may have said why. */
export class WatchCanceledError extends StoreUnavailableError {}
