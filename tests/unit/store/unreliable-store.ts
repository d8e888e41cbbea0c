/** A store whose answers, or whose whole presence, a test takes away. */
import {
  type KeyValue,
  type LeaseId,
  type RangePage,
  type RangeRequest,
  type Store,
  StoreFullError,
  type StoreStatus,
  StoreUnavailableError,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchRequest,
} from '../../../control-plane/store/contract.ts';

/**
 * What happens to one transaction: its answer gets lost, it never arrives, it arrives only when it is let, or the store says
 * that it is full: having refused it, or having carried it out.
 */
export type Mishap = 'answer-lost' | 'never-arrives' | 'late' | 'full' | 'full-but-written';

export class UnreliableStore implements Store {
  /** While true, nothing gets through. */
  away = false;
  /** What happens to the next transactions, one each. */
  readonly mishaps: Mishap[] = [];
  /** Called before each transaction that arrives. */
  beforeTransact: (transaction: Transaction) => Promise<void> = async () => undefined;
  readonly #inner: Store;
  readonly #late: Transaction[] = [];
  #breakWatches: AbortController = new AbortController();

  constructor(inner: Store) {
    this.#inner = inner;
  }

  /** Ends every open watch as a broken connection would. */
  breakWatches(): void {
    this.#breakWatches.abort();
    this.#breakWatches = new AbortController();
  }

  /** Lets the late transactions arrive. */
  async deliverLate(): Promise<TransactionResult[]> {
    return Promise.all(this.#late.splice(0).map((transaction) => this.#inner.transact(transaction)));
  }

  async get(key: string): Promise<{ keyValue: KeyValue | null; revision: number }> {
    this.#check();
    return this.#inner.get(key);
  }

  async range(request: RangeRequest): Promise<RangePage> {
    this.#check();
    return this.#inner.range(request);
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    this.#check();
    const mishap = this.mishaps.shift();
    if (mishap === 'late') this.#late.push(transaction);
    if (mishap === 'late' || mishap === 'never-arrives') throw new StoreUnavailableError(`the request ${mishap}`);
    if (mishap === 'full') throw new StoreFullError('the store is full');
    await this.beforeTransact(transaction);
    const result = await this.#inner.transact(transaction);
    if (mishap === 'full-but-written') throw new StoreFullError('the store is full');
    if (mishap === 'answer-lost') throw new StoreUnavailableError('the answer was lost');
    return result;
  }

  async *watch(request: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    this.#check();
    const broken = this.#breakWatches.signal;
    const signal = AbortSignal.any([request.signal, broken]);
    yield* this.#inner.watch({ ...request, signal });
    if (broken.aborted) throw new StoreUnavailableError('the connection broke');
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    this.#check();
    return this.#inner.grantLease(ttlSeconds);
  }

  async keepLeaseAlive(lease: LeaseId): Promise<boolean> {
    this.#check();
    return this.#inner.keepLeaseAlive(lease);
  }

  async leaseSilenceSeconds(lease: LeaseId): Promise<number | null> {
    this.#check();
    return this.#inner.leaseSilenceSeconds(lease);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#check();
    return this.#inner.revokeLease(lease);
  }

  async status(): Promise<StoreStatus> {
    this.#check();
    return this.#inner.status();
  }

  async compact(revision: number): Promise<void> {
    this.#check();
    return this.#inner.compact(revision);
  }

  async close(): Promise<void> {
    return this.#inner.close();
  }

  #check(): void {
    if (this.away) throw new StoreUnavailableError('the store is away');
  }
}
