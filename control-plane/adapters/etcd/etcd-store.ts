/** The store's contract over etcd's gRPC API. */
import type { Etcd3, IRangeResponse } from 'etcd3';
import { present } from '../../../shared/util/assert.ts';
import {
  HistoryGoneError,
  type KeyValue,
  LeaseGoneError,
  type LeaseId,
  RANGE_PAGE_MAX,
  type RangePage,
  type RangeRequest,
  type Store,
  type StoreStatus,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchRequest,
} from '../../store/contract.ts';
import { checkTransaction } from '../../store/limits.ts';
import { ClusterHistory } from '../etcd-api/history.ts';
import { AnswerTooLongError } from '../etcd-api/refusals.ts';
import { connect, type EtcdOptions } from './connection.ts';
import { toStoreError } from './errors.ts';
import { Leases } from './leases.ts';
import { EtcdMaintenance, sizesOf } from './maintenance.ts';
import { Watches } from './watch.ts';
import { fromKeyValue, toRangeRequest, toTxnRequest } from './wire.ts';

const REQUEST_TIMEOUT_MS = 5000;
const PROGRESS_INTERVAL_MS = 2000;

export class EtcdStore implements Store {
  readonly maintenance: EtcdMaintenance;
  readonly #client: Etcd3;
  readonly #requestTimeoutMs: number;
  readonly #history = new ClusterHistory();
  readonly #leases: Leases;
  readonly #watches: Watches;
  readonly #closed = new AbortController();
  /** A key that was read or written lately. */
  #knownKey = '/';

  constructor(options: EtcdOptions) {
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#client = connect(options, this.#requestTimeoutMs);
    this.maintenance = new EtcdMaintenance(options, this.#requestTimeoutMs);
    this.#leases = new Leases({
      client: this.#client,
      requestTimeoutMs: this.#requestTimeoutMs,
      readableKey: () => this.#knownKey,
    });
    this.#watches = new Watches({
      client: this.#client,
      history: this.#history,
      closed: this.#closed.signal,
      answerTimeoutMs: this.#requestTimeoutMs,
      progressIntervalMs: options.progressIntervalMs ?? PROGRESS_INTERVAL_MS,
    });
  }

  async get(key: string): Promise<{ keyValue: KeyValue | null; revision: number }> {
    const { kvs, header } = await call(`reading ${key}`, () => this.#client.kv.range({ key: Buffer.from(key) }));
    this.#history.note(header);
    this.#knownKey = key;
    return { keyValue: onlyKeyValue(kvs), revision: Number(header.revision) };
  }

  async range(request: RangeRequest): Promise<RangePage> {
    // A revision in the request is one of the cluster that answered last.
    const expected = request.revision === undefined ? null : this.#history.clusterId;
    const response = await this.#rangeThatFits(request, Math.min(request.limit ?? RANGE_PAGE_MAX, RANGE_PAGE_MAX));
    this.#history.continue(response.header, expected);
    return {
      keyValues: response.kvs.map(fromKeyValue),
      more: response.more,
      // The answer carries the store's present revision, whatever revision was read.
      revision: request.revision ?? Number(response.header.revision),
    };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const first = transaction.writes[0]?.key ?? transaction.compares[0]?.key ?? this.#knownKey;
    const response = await call(`a transaction on ${first}`, () => this.#client.kv.txn(toTxnRequest(transaction)));
    this.#history.note(response.header);
    this.#knownKey = first;
    const revision = Number(response.header.revision);
    if (response.succeeded) return { committed: true, revision };
    const observed = response.responses.map(({ response_range }) => onlyKeyValue(response_range.kvs));
    return { committed: false, revision, observed };
  }

  watch(request: WatchRequest): AsyncIterable<WatchBatch> {
    return this.#watches.watch(request);
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    const lease = await call('granting a lease', () => this.#client.leaseClient.leaseGrant({ TTL: ttlSeconds }));
    return lease.ID;
  }

  async keepLeaseAlive(lease: LeaseId): Promise<boolean> {
    return call(`keeping lease ${lease} alive`, () => this.#leases.keepAlive(lease));
  }

  async leaseSilenceSeconds(lease: LeaseId): Promise<number | null> {
    const doing = `asking how long lease ${lease} has left`;
    const { TTL, grantedTTL } = await call(doing, () => this.#client.leaseClient.leaseTimeToLive({ ID: lease }));
    // A lease that has ended has -1 s left; one that a new leader has taken over may have more left than it was granted.
    return Number(TTL) < 0 ? null : Math.max(0, Number(grantedTTL) - Number(TTL));
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    try {
      await call(`revoking lease ${lease}`, () => this.#client.leaseClient.leaseRevoke({ ID: lease }));
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
    }
  }

  async status(): Promise<StoreStatus> {
    const status = await call('asking for the status', () => this.#client.maintenance.status());
    const { revision, cluster_id: clusterId } = status.header;
    return { revision: Number(revision), clusterId, ...sizesOf(status) };
  }

  async compact(revision: number): Promise<void> {
    try {
      await call(`compacting up to ${revision}`, () => this.#client.kv.compact({ revision }));
    } catch (error) {
      const done = error instanceof HistoryGoneError && error.message.includes('has been compacted');
      if (!done) throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.maintenance.close();
    this.#client.close();
  }

  /** Halves the page until the answer is short enough. A single value always is: etcd takes none of that size. */
  async #rangeThatFits(request: RangeRequest, limit: number): Promise<IRangeResponse> {
    try {
      const doing = `listing ${request.prefix}`;
      return await call(doing, () => this.#client.kv.range(toRangeRequest(request, limit)));
    } catch (error) {
      if (!(error instanceof AnswerTooLongError) || limit === 1) throw error;
      return this.#rangeThatFits(request, Math.ceil(limit / 2));
    }
  }
}

async function call<T>(doing: string, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    throw toStoreError(doing, error);
  }
}

function onlyKeyValue(keyValues: IRangeResponse['kvs']): KeyValue | null {
  return keyValues.length === 0 ? null : fromKeyValue(present(keyValues[0], 'the only key'));
}
