/**
 * Watches that lose nothing. Each reads one stream after another; a new one begins right after the last event that was
 * handed on, so what was on its way when the connection broke comes again and what was handed on doesn't.
 *
 * A watch asks whoever it is connected to, which may lag behind. So that state which really went backwards isn't taken for
 * that, or the other way round, the present revision is read from the cluster before each stream.
 */
import type { Etcd3, IDuplexStream, IWatchRequest, IWatchResponse } from 'etcd3';
import { type BackoffPolicy, backoffMs } from '../../../shared/util/backoff.ts';
import { HistoryGoneError, StoreUnavailableError, type WatchBatch, type WatchRequest } from '../../store/contract.ts';
import type { ClusterHistory } from '../etcd-api/history.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';
import {
  checkNotBehind,
  type Position,
  positionFrom,
  reportsInOrder,
  startRevisionOf,
  WatchBatches,
  WatchCanceledError,
} from '../etcd-api/watch-batches.ts';
import { toStoreError } from './errors.ts';
import { AnswerQueue, hangUp } from './streams.ts';
import { fromWatchResponse, spanOf } from './wire.ts';

export interface WatchesOptions {
  readonly client: Etcd3;
  readonly history: ClusterHistory;
  readonly closed: AbortSignal;
  /** How long a stream may stay silent after it was asked for its progress. */
  readonly answerTimeoutMs: number;
  readonly progressIntervalMs: number;
}

const RECONNECT_BACKOFF: BackoffPolicy = { baseMs: 20, factor: 2, maxMs: 1000 };

export class Watches {
  readonly #options: WatchesOptions;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  async *watch(request: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    const over = AbortSignal.any([request.signal, this.#options.closed]);
    const position = positionFrom(request.fromRevision, this.#options.history.clusterId);
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
    const batches = new WatchBatches(position, await this.#reportsInOrder());
    const stream = await this.#open(prefix, position);
    try {
      const reader = new StreamReader(stream, { ...this.#options, over });
      for (;;) {
        const answer = await reader.nextAnswer();
        if (answer === null) return;
        const batch = batches.add(fromWatchResponse(answer));
        if (batch !== null) yield batch;
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
    checkNotBehind(position, Number(header.revision));
  }

  async #reportsInOrder(): Promise<boolean> {
    return reportsInOrder((await this.#options.client.maintenance.status()).version);
  }

  async #open(prefix: string, position: Position): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    const stream = await this.#options.client.watchClient.watch();
    // Until a reader is there, a failure is only kept from being an unhandled event.
    stream.on('error', () => undefined);
    const start_revision = startRevisionOf(position);
    stream.write({ create_request: { ...spanOf(prefix), start_revision, progress_notify: true, fragment: true } });
    return stream;
  }
}

interface ReaderOptions {
  readonly answerTimeoutMs: number;
  readonly progressIntervalMs: number;
  readonly over: AbortSignal;
}

/** Reads one stream, and notices when it is dead. */
class StreamReader {
  readonly #stream: IDuplexStream<IWatchRequest, IWatchResponse>;
  readonly #answers: AnswerQueue<IWatchResponse>;
  readonly #options: ReaderOptions;

  constructor(stream: IDuplexStream<IWatchRequest, IWatchResponse>, options: ReaderOptions) {
    this.#stream = stream;
    this.#answers = new AnswerQueue(stream);
    this.#options = options;
  }

  /**
   * The next answer; null when the watch is over. A stream that stays silent is asked for its progress; one that stays silent then is
   * dead, which throws.
   */
  async nextAnswer(): Promise<IWatchResponse | null> {
    const { over, progressIntervalMs, answerTimeoutMs } = this.#options;
    const answer = await this.#answers.next(progressIntervalMs, over);
    if (answer !== null || over.aborted) return answer;
    this.#stream.write({ progress_request: {} });
    const late = await this.#answers.next(answerTimeoutMs, over);
    if (late !== null || over.aborted) return late;
    throw new StoreUnavailableError(`etcd: a watch stream has been silent for ${answerTimeoutMs} ms`);
  }
}

function asStoreError(prefix: string, error: unknown): Error {
  if (error instanceof WatchCanceledError && error.message.includes('permission denied')) {
    return new StoreRefusedError(error.message, { cause: error });
  }
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
