/**
 * Watches that lose nothing. Each reads one stream after another; a new one begins right after the last event that was
 * handed on, so what was on its way when the connection broke comes again and what was handed on doesn't.
 *
 * - One revision early: etcd before 3.4.36 and 3.5.18 forgets the deletions of the very revision that it compacted up to,
 *   without saying so. Asking from one revision earlier turns that silence into an error.
 * - For the same reason each stream begins with what was handed on last. If that isn't so any more, etcd has lost changes that
 *   it had told of, as after a restore, and may have come as far again with others.
 * - A progress report of etcd before 3.4.25 and 3.5.8 may overtake events. Those tell only that the connection lives; from
 *   later ones the revision is taken, and never a place to resume from.
 * - A watch asks whoever it is connected to, which may lag behind. So that state which really went backwards isn't taken
 *   for that, or the other way round, the present revision is read from the cluster before each stream.
 */
import type { Etcd3, IDuplexStream, IWatchRequest, IWatchResponse } from 'etcd3';
import { type BackoffPolicy, backoffMs } from '../../../shared/util/backoff.ts';
import {
  HistoryGoneError,
  StoreUnavailableError,
  type WatchBatch,
  type WatchEvent,
  type WatchRequest,
} from '../../store/contract.ts';
import type { ClusterHistory } from '../etcd-api/history.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';
import { toStoreError } from './errors.ts';
import { AnswerQueue, hangUp } from './streams.ts';
import { fromEvent, modRevisionOf, spanOf } from './wire.ts';

export interface WatchesOptions {
  readonly client: Etcd3;
  readonly history: ClusterHistory;
  readonly closed: AbortSignal;
  /** How long a stream may stay silent after it was asked for its progress. */
  readonly answerTimeoutMs: number;
  readonly progressIntervalMs: number;
}

const RECONNECT_BACKOFF: BackoffPolicy = { baseMs: 20, factor: 2, maxMs: 1000 };

/** How far one watch has come, over all its streams. */
interface Position {
  /** The first revision whose events haven't been handed on. */
  next: number;
  /** The events that were handed on of the revision before it; none as long as nothing was. */
  last: readonly WatchEvent[];
  /** Said to be fully seen. At least `next - 1`; more when etcd reported progress. */
  announced: number;
  /** Of the cluster that the revisions are of; null while no answer of it has come. */
  clusterId: string | null;
}

export class Watches {
  readonly #options: WatchesOptions;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  async *watch(request: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    const over = AbortSignal.any([request.signal, this.#options.closed]);
    const { fromRevision } = request;
    const { clusterId } = this.#options.history;
    const position: Position = { next: fromRevision, last: [], announced: fromRevision - 1, clusterId };
    for (let failures = 0; !over.aborted; failures++) {
      try {
        for await (const batch of this.#stream(request.prefix, position, over)) {
          failures = 0;
          yield batch;
        }
      } catch (error) {
        const failure = asStoreError(request.prefix, error);
        if (!(failure instanceof StoreUnavailableError)) throw failure;
      }
      await pause(backoffMs(RECONNECT_BACKOFF, failures), over);
    }
    if (!request.signal.aborted) throw new StoreUnavailableError('etcd: the store is closed');
  }

  /** Reads one stream until it breaks, which throws, or until `over`. */
  async *#stream(prefix: string, position: Position, over: AbortSignal): AsyncGenerator<WatchBatch, void, void> {
    await this.#checkHistory(prefix, position);
    const reportsInOrder = await this.#reportsInOrder();
    const stream = await this.#open(prefix, position);
    try {
      const reader = new StreamReader(stream, position, { ...this.#options, reportsInOrder, over });
      for (;;) {
        const batch = await reader.nextBatch();
        if (batch === null) return;
        if (batch.events.length > 0 || batch.revision > position.announced) {
          position.announced = Math.max(position.announced, batch.revision);
          if (batch.events.length > 0) moveOn(position, batch);
          yield { ...batch, revision: position.announced };
        }
      }
    } finally {
      hangUp(stream);
    }
  }

  /** Throws {@link HistoryGoneError} when the store isn't the one, or not the state, that the watch began on. */
  async #checkHistory(prefix: string, position: Position): Promise<void> {
    const { client, history } = this.#options;
    const { header } = await client.kv.range({ ...spanOf(prefix), count_only: true, limit: 1 });
    history.continue(header, position.clusterId);
    position.clusterId = header.cluster_id;
    if (Number(header.revision) < position.announced) {
      throw new HistoryGoneError(`etcd: revision ${position.announced} was seen, but now it is ${header.revision}`);
    }
  }

  async #reportsInOrder(): Promise<boolean> {
    const { version } = await this.#options.client.maintenance.status();
    const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
    if (major !== 3) return major > 3;
    return minor === 4 ? patch >= 25 : minor === 5 ? patch >= 8 : minor > 5;
  }

  async #open(prefix: string, position: Position): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    const stream = await this.#options.client.watchClient.watch();
    // Until a reader is there, a failure is only kept from being an unhandled event.
    stream.on('error', () => undefined);
    const start_revision = Math.max(1, position.next - 1);
    stream.write({ create_request: { ...spanOf(prefix), start_revision, progress_notify: true, fragment: true } });
    return stream;
  }
}

function moveOn(position: Position, { revision, events }: WatchBatch): void {
  position.next = revision + 1;
  position.last = events.filter((event) => modRevisionOf(event) === revision);
}

interface ReaderOptions {
  readonly answerTimeoutMs: number;
  readonly progressIntervalMs: number;
  readonly reportsInOrder: boolean;
  readonly over: AbortSignal;
}

/** Turns the answers of one stream into batches, and notices when it is dead. */
class StreamReader {
  readonly #stream: IDuplexStream<IWatchRequest, IWatchResponse>;
  readonly #answers: AnswerQueue<IWatchResponse>;
  readonly #position: Position;
  readonly #options: ReaderOptions;
  /** The events of the last revision that was handed on, as the stream begins with them; null once they have been compared. */
  #replay: WatchEvent[] | null = [];

  constructor(stream: IDuplexStream<IWatchRequest, IWatchResponse>, position: Position, options: ReaderOptions) {
    this.#stream = stream;
    this.#answers = new AnswerQueue(stream);
    this.#position = position;
    this.#options = options;
  }

  /** The events of whole revisions, or a report of progress without any; null when the watch is over. */
  async nextBatch(): Promise<WatchBatch | null> {
    const events: WatchEvent[] = [];
    for (;;) {
      const answer = await this.#nextAnswer();
      if (answer === null) return null;
      checkNotCanceled(answer);
      for (const event of answer.events) this.#take(event, events);
      if (answer.fragment) continue;
      if (answer.events.length > 0) this.#checkReplay();
      const last = events.at(-1);
      if (last !== undefined) return { revision: modRevisionOf(last), events };
      if (this.#isProgress(answer)) return { revision: Number(answer.header.revision), events };
    }
  }

  #take(answer: IWatchResponse['events'][number], events: WatchEvent[]): void {
    const event = fromEvent(answer);
    const revision = modRevisionOf(event);
    if (revision === this.#position.next - 1) this.#replay?.push(event);
    if (revision < this.#position.next) return;
    if (revision <= this.#position.announced) {
      throw new HistoryGoneError(`etcd: an event of revision ${revision} came after a report that all were sent`);
    }
    events.push(event);
  }

  /** Throws {@link HistoryGoneError} when what was handed on last isn't what stands in the store's history by now. */
  #checkReplay(): void {
    const { last } = this.#position;
    const replay = this.#replay;
    this.#replay = null;
    if (replay === null || last.length === 0 || JSON.stringify(replay) === JSON.stringify(last)) return;
    const revision = this.#position.next - 1;
    throw new HistoryGoneError(
      `etcd: revision ${revision} isn't what it was; was the store restored from an older state?`,
    );
  }

  #isProgress(answer: IWatchResponse): boolean {
    return this.#options.reportsInOrder && !answer.created && answer.events.length === 0;
  }

  /** A stream that stays silent is asked for its progress; one that stays silent then is dead. */
  async #nextAnswer(): Promise<IWatchResponse | null> {
    const { over, progressIntervalMs, answerTimeoutMs } = this.#options;
    const answer = await this.#answers.next(progressIntervalMs, over);
    if (answer !== null || over.aborted) return answer;
    this.#stream.write({ progress_request: {} });
    const late = await this.#answers.next(answerTimeoutMs, over);
    if (late !== null || over.aborted) return late;
    throw new StoreUnavailableError(`etcd: a watch stream has been silent for ${answerTimeoutMs} ms`);
  }
}

function checkNotCanceled(answer: IWatchResponse): void {
  if (!answer.canceled) return;
  if (Number(answer.compact_revision) > 0) {
    throw new HistoryGoneError(`etcd: everything before revision ${answer.compact_revision} has been compacted`);
  }
  const message = `etcd: the watch was cancelled: ${answer.cancel_reason || 'no reason given'}`;
  if (answer.cancel_reason.includes('permission denied')) throw new StoreRefusedError(message);
  throw new StoreUnavailableError(message);
}

function asStoreError(prefix: string, error: unknown): Error {
  const ours = [HistoryGoneError, StoreRefusedError, StoreUnavailableError].some((kind) => error instanceof kind);
  return ours && error instanceof Error ? error : toStoreError(`watching ${prefix}`, error);
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done, { once: true });
  });
}
