/**
 * Watches that lose nothing. Each reads one stream after another; a new one begins right after the last event that was
 * handed on, so what was on its way when the connection broke comes again and what was handed on doesn't.
 *
 * A request is sent whole before it is answered, so that a stream takes no question once it is open, and a connection on which nothing
 * comes can't be tried. Instead the store is asked for its revision: is that one which the watch has fully seen, then there was nothing
 * to come. If not, and nothing comes for a while after all, another stream takes the place of this one. That costs a few requests now
 * and then where others write outside of what is watched, and finds a dead connection as soon as it matters.
 */
import { type BackoffPolicy, backoffMs } from '../../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { StoreUnavailableError, type WatchBatch, type WatchRequest } from '../../store/contract.ts';
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
import { blamesToken, toStoreError } from './faults.ts';
import type { Gateway } from './gateway.ts';
import type { Message } from './message.ts';
import type { MessageStream } from './message-stream.ts';
import { fromWatchResponse, keyWithin, toWatchRequest } from './wire.ts';

export interface WatchesOptions {
  readonly gateway: Gateway;
  readonly history: ClusterHistory;
  readonly clock: Clock;
  /** How long a stream may stay silent although there is something to come. */
  readonly answerTimeoutMs: number;
  readonly progressIntervalMs: number;
}

const RECONNECT_BACKOFF: BackoffPolicy = { baseMs: 20, factor: 2, maxMs: 1000 };

/** One watch: what it asks for, how far it is, and when it is over. */
interface Watching {
  readonly prefix: string;
  readonly position: Position;
  readonly over: AbortSignal;
}

export class Watches {
  readonly #options: WatchesOptions;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    const { gateway, history, clock } = this.#options;
    const over = AbortSignal.any([signal, gateway.closed]);
    const watching = { prefix, over, position: positionFrom(fromRevision, history.clusterId) };
    for (let failures = 0; !over.aborted; failures++) {
      try {
        for await (const batch of this.#stream(watching)) {
          failures = 0;
          yield batch;
        }
      } catch (error) {
        const failure = toStoreError(`watching ${prefix}`, error);
        if (!(failure instanceof StoreUnavailableError)) throw failure;
      }
      await sleep(clock, backoffMs(RECONNECT_BACKOFF, failures), over);
    }
    if (!signal.aborted) throw new StoreUnavailableError('etcd: the store is closed');
  }

  /** Reads one stream until it breaks, which throws, or until the watch is over. */
  async *#stream(watching: Watching): AsyncGenerator<WatchBatch, void, void> {
    const { prefix, position, over } = watching;
    const { gateway } = this.#options;
    await this.#checkHistory(watching);
    const host = gateway.hosts.pick();
    const batches = new WatchBatches(position, await this.#reportsInOrder(host, over));
    const body = toWatchRequest(prefix, startRevisionOf(position));
    const doing = `watching ${prefix}`;
    const stream = await gateway.open({ doing, path: 'watch', body, host, signal: over });
    try {
      for (;;) {
        const message = await this.#next(stream, watching);
        if (message === null) return;
        const batch = batches.add(fromWatchResponse(message));
        if (batch !== null) yield batch;
      }
    } catch (error) {
      // The read before was allowed, but perhaps by another member: each forgets tokens that aren't used with it.
      if (error instanceof WatchCanceledError && blamesToken(error.message)) gateway.forget(stream.token);
      throw error;
    } finally {
      stream.close();
    }
  }

  /** Throws HistoryGoneError when the store isn't the one, or not the state, that the watch began on. */
  async #checkHistory(watching: Watching): Promise<void> {
    const { position } = watching;
    const header = await this.#header(watching);
    this.#options.history.continue({ cluster_id: header.digits('cluster_id') }, position.clusterId);
    position.clusterId = header.digits('cluster_id');
    checkNotBehind(position, header.integer('revision'));
  }

  /** Of an answer that a majority stands behind: a watch may be connected to somebody who lags behind. */
  async #header({ prefix, over }: Watching): Promise<Message> {
    const doing = `asking for the revision of ${prefix}`;
    const body = { key: keyWithin(prefix), count_only: true };
    return (await this.#options.gateway.post({ doing, path: 'kv/range', body, signal: over })).message('header');
  }

  /** What doesn't say its version is taken for an old one. */
  async #reportsInOrder(host: string, signal: AbortSignal): Promise<boolean> {
    const doing = 'asking for the version';
    try {
      const status = await this.#options.gateway.post({ doing, path: 'maintenance/status', body: {}, host, signal });
      return reportsInOrder(status.text('version'));
    } catch (error) {
      if (error instanceof StoreRefusedError) return false;
      throw error;
    }
  }

  /** The next message; null when the watch is over. Throws when the stream is found to be dead. */
  async #next(stream: MessageStream, watching: Watching): Promise<Message | null> {
    const { progressIntervalMs, answerTimeoutMs, gateway } = this.#options;
    const { position, over } = watching;
    for (;;) {
      const message = await stream.next(progressIntervalMs, over);
      if (message !== null || over.aborted) return message;
      const revision = (await this.#header(watching)).integer('revision');
      if (revision === position.announced) continue;
      const late = await stream.next(answerTimeoutMs, over);
      if (late !== null || over.aborted) return late;
      gateway.hosts.distrust(stream.host);
      throw new StoreUnavailableError(`etcd: a watch stream was silent for ${answerTimeoutMs} ms at ${revision}`);
    }
  }
}
