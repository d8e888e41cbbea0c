/** The store's contract over etcd's JSON gateway: HTTP requests that any platform with `fetch` can make. */
import {
  type Compare,
  HistoryGoneError,
  type KeyValue,
  LeaseGoneError,
  type LeaseId,
  RANGE_PAGE_MAX,
  type RangePage,
  type RangeRequest,
  type Store,
  type StoreStatus,
  StoreUnavailableError,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchRequest,
} from '../../store/contract.ts';
import { checkTransaction } from '../../store/limits.ts';
import { ClusterHistory } from '../etcd-api/history.ts';
import { AnswerTooLongError } from '../etcd-api/refusals.ts';
import { Gateway, type GatewayOptions, REQUEST_TIMEOUT_MS } from './gateway.ts';
import { Leases } from './leases.ts';
import { GatewayMaintenance } from './maintenance.ts';
import type { Message } from './message.ts';
import { nextPageKeys, smallerPageKeys } from './page-size.ts';
import { Watches } from './watch.ts';
import {
  fromKeyValue,
  int64,
  onlyKeyValue,
  rangesOf,
  toGetRequest,
  toRangeRequest,
  toReadRequest,
  toTxnRequest,
} from './wire.ts';

const PROGRESS_INTERVAL_MS = 2000;

export class EtcdGatewayStore implements Store {
  readonly maintenance: GatewayMaintenance;
  readonly #gateway: Gateway;
  readonly #history = new ClusterHistory();
  readonly #leases: Leases;
  readonly #watches: Watches;
  /** A key that was read or written lately. */
  #knownKey = '/';
  #pageKeys = RANGE_PAGE_MAX;

  constructor(options: GatewayOptions) {
    this.#gateway = new Gateway(options);
    this.maintenance = new GatewayMaintenance(this.#gateway);
    this.#leases = new Leases({ gateway: this.#gateway, readableKey: () => this.#knownKey });
    this.#watches = new Watches({
      gateway: this.#gateway,
      history: this.#history,
      clock: options.clock,
      answerTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      progressIntervalMs: options.progressIntervalMs ?? PROGRESS_INTERVAL_MS,
    });
  }

  async get(key: string): Promise<{ keyValue: KeyValue | null; revision: number }> {
    const answer = await this.#gateway.post({ doing: `reading ${key}`, path: 'kv/range', body: toGetRequest(key) });
    this.#note(answer);
    this.#knownKey = key;
    return { keyValue: onlyKeyValue(answer), revision: revisionOf(answer) };
  }

  async range(request: RangeRequest): Promise<RangePage> {
    // A revision in the request is one of the cluster that answered last.
    const expected = request.revision === undefined ? null : this.#history.clusterId;
    const answer = await this.#rangeThatFits(request, Math.min(request.limit ?? RANGE_PAGE_MAX, this.#pageKeys));
    this.#history.continue({ cluster_id: answer.clusterId }, expected);
    return answer.page;
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const first = transaction.writes[0]?.key ?? transaction.compares[0]?.key ?? this.#knownKey;
    const doing = `a transaction on ${first}`;
    const body = toTxnRequest(transaction);
    const answer = await this.#gateway.post({ doing, path: 'kv/txn', body }).catch(nullIfTooLong);
    this.#knownKey = first;
    if (answer === null) return this.#lost(transaction.compares);
    this.#note(answer);
    const revision = revisionOf(answer);
    if (answer.flag('succeeded')) return { committed: true, revision };
    return { committed: false, revision, observed: rangesOf(answer) };
  }

  watch(request: WatchRequest): AsyncIterable<WatchBatch> {
    return this.#watches.watch(request);
  }

  grantLease(ttlSeconds: number): Promise<LeaseId> {
    return this.#leases.grant(ttlSeconds);
  }

  keepLeaseAlive(lease: LeaseId): Promise<boolean> {
    return this.#leases.keepAlive(lease);
  }

  leaseSilenceSeconds(lease: LeaseId): Promise<number | null> {
    return this.#leases.silenceSeconds(lease);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    try {
      await this.#leases.revoke(lease);
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
    }
  }

  status(): Promise<StoreStatus> {
    return this.maintenance.status();
  }

  async compact(revision: number): Promise<void> {
    const doing = `compacting up to ${revision}`;
    try {
      await this.#gateway.post({ doing, path: 'kv/compaction', body: { revision: int64(revision) } });
    } catch (error) {
      const done = error instanceof HistoryGoneError && error.message.includes('has been compacted');
      if (!done) throw error;
    }
  }

  async close(): Promise<void> {
    this.#gateway.close();
  }

  #note(answer: Message): void {
    this.#history.note({ cluster_id: clusterIdOf(answer) });
  }

  /** Takes fewer keys until the answer is short enough. A single value always is: etcd takes none of that size. */
  async #rangeThatFits(request: RangeRequest, limit: number): Promise<{ page: RangePage; clusterId: string }> {
    const call = { doing: `listing ${request.prefix}`, path: 'kv/range', body: toRangeRequest(request, limit) };
    const answer = await this.#gateway.post(call).catch(nullIfTooLong);
    if (answer === null) {
      const less = smallerPageKeys(limit);
      if (less === null)
        throw new AnswerTooLongError(`etcd: ${call.doing}: one key and its value are too long a reply`);
      this.#pageKeys = less;
      return this.#rangeThatFits(request, less);
    }
    const keyValues = answer.messages('kvs').map(fromKeyValue);
    const bytes = keyValues.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    this.#pageKeys = nextPageKeys(this.#pageKeys, { asked: limit, keys: keyValues.length, bytes });
    // The answer carries the store's present revision, whatever revision was read.
    const revision = request.revision ?? revisionOf(answer);
    return { page: { keyValues, more: answer.flag('more'), revision }, clusterId: clusterIdOf(answer) };
  }

  /**
   * Only what a failed compare reads makes a long reply, so nothing was written. What stands in the way is read in parts, later. If
   * nothing does by then, or it was the request that somebody found too long, it may well be sent again.
   */
  async #lost(compares: readonly Compare[]): Promise<TransactionResult> {
    const keys = compares.map(({ key }) => key);
    const { revision } = await this.get(keys[0] ?? this.#knownKey);
    const observed = await this.#readAt(keys, revision);
    if (compares.some(({ modRevision }, at) => (observed[at]?.modRevision ?? 0) !== modRevision)) {
      return { committed: false, revision, observed };
    }
    throw new StoreUnavailableError(
      `etcd: a transaction on ${keys[0]}: it was too long, or its reply was; nothing was written`,
    );
  }

  async #readAt(keys: readonly string[], revision: number): Promise<readonly (KeyValue | null)[]> {
    const call = { doing: `reading ${keys[0]} and others`, path: 'kv/txn', body: toReadRequest(keys, revision) };
    const answer = await this.#gateway.post(call).catch(nullIfTooLong);
    if (answer !== null) return rangesOf(answer);
    if (keys.length === 1) throw new AnswerTooLongError(`etcd: ${keys[0]} and its value are too long a reply`);
    const middle = Math.ceil(keys.length / 2);
    const [head, tail] = [keys.slice(0, middle), keys.slice(middle)];
    return [...(await this.#readAt(head, revision)), ...(await this.#readAt(tail, revision))];
  }
}

function revisionOf(answer: Message): number {
  return answer.message('header').integer('revision');
}

function clusterIdOf(answer: Message): string {
  return answer.message('header').digits('cluster_id');
}

function nullIfTooLong(error: unknown): null {
  if (error instanceof AnswerTooLongError) return null;
  throw error;
}
