/**
 * etcd's semantics in one process: revisions, leases, history and its compaction, and the same limits. The simulator and
 * the tests of everything above the store run on it, so where the two differ, this file is wrong.
 *
 * It has no time and no chance of its own: leases end by the clock that is handed in. Every call takes effect on a later
 * turn of the event loop's microtasks, in the order of the calls, so that callers can't come to rely on a synchronous store.
 */

import { invariant } from '../../../shared/util/assert.ts';
import type { Clock, Timer } from '../../../shared/util/clock.ts';
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
  type StoreMaintenance,
  type StoreStatus,
  StoreUnavailableError,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchEvent,
  type WatchRequest,
  type Write,
} from '../../store/contract.ts';
import { checkTransaction } from '../../store/limits.ts';
import { byBytes, VersionedKeys } from './versioned-keys.ts';

/** How many revisions a watch that catches up gets at a time. */
const WATCH_REVISIONS_MAX = 1000;

interface Lease {
  readonly ttlSeconds: number;
  readonly keys: Set<string>;
  /** On the steady clock. */
  keptAtMs: number;
  timer: Timer;
}

interface LoggedRevision {
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly clusterId?: string;
}

export class MemoryStore implements Store {
  /** Memory that holds nothing is given back by itself. */
  readonly maintenance: StoreMaintenance = {
    members: async () => [{ name: 'memory', isLeader: true, ...(await this.status()) }],
    defragment: async () => true,
  };
  readonly #clock: Clock;
  readonly #clusterId: string;
  readonly #keys = new VersionedKeys();
  readonly #leases = new Map<LeaseId, Lease>();
  /** Wakes the watches that have seen everything. */
  readonly #sleepers = new Set<() => void>();
  /** What happened at each revision after the compacted one, oldest first. */
  #log: LoggedRevision[] = [];
  /** As in etcd, an empty store stands at revision 1. */
  #revision = 1;
  #compacted = 0;
  #leasesGranted = 0;
  #closed = false;

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#clusterId = options.clusterId ?? 'memory';
  }

  async get(key: string): Promise<{ keyValue: KeyValue | null; revision: number }> {
    await this.#turn();
    return { keyValue: this.#keys.current(key), revision: this.#revision };
  }

  async range(request: RangeRequest): Promise<RangePage> {
    await this.#turn();
    const revision = request.revision ?? this.#revision;
    this.#checkReadable(revision);
    const limit = Math.min(request.limit ?? RANGE_PAGE_MAX, RANGE_PAGE_MAX);
    const found = this.#keys.range({
      prefix: request.prefix,
      after: request.after ?? null,
      revision,
      limit: limit + 1,
    });
    return { keyValues: found.slice(0, limit), more: found.length > limit, revision };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    await this.#turn();
    const { compares, writes } = transaction;
    if (!compares.every((compare) => this.#holds(compare))) {
      const observed = compares.map(({ key }) => this.#keys.current(key));
      return { committed: false, revision: this.#revision, observed };
    }
    for (const write of writes) this.#checkLease(write);
    this.#commit(writes);
    return { committed: true, revision: this.#revision };
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    let next = fromRevision;
    await this.#turn();
    if (next > this.#revision + 1) throw new HistoryGoneError(`revision ${next - 1} lies in the store's future`);
    while (!signal.aborted) {
      if (this.#closed) throw new StoreUnavailableError('the store is closed');
      if (next <= this.#compacted) throw new HistoryGoneError(`revision ${next} has been compacted`);
      if (next > this.#revision) {
        await this.#nextChange(signal);
        continue;
      }
      const batch = this.#read(prefix, next);
      next = batch.revision + 1;
      yield batch;
    }
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    invariant(Number.isInteger(ttlSeconds) && ttlSeconds > 0, `a lease lives for whole seconds, not ${ttlSeconds}`);
    await this.#turn();
    this.#leasesGranted += 1;
    const id = String(7_000_000 + this.#leasesGranted);
    const keptAtMs = this.#clock.monotonicMs();
    this.#leases.set(id, { ttlSeconds, keys: new Set(), keptAtMs, timer: this.#leaseTimer(id, ttlSeconds) });
    return id;
  }

  async keepLeaseAlive(id: LeaseId): Promise<boolean> {
    await this.#turn();
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.timer.cancel();
    lease.timer = this.#leaseTimer(id, lease.ttlSeconds);
    lease.keptAtMs = this.#clock.monotonicMs();
    return true;
  }

  async leaseSilenceSeconds(id: LeaseId): Promise<number | null> {
    await this.#turn();
    const lease = this.#leases.get(id);
    return lease === undefined ? null : Math.ceil((this.#clock.monotonicMs() - lease.keptAtMs) / 1000);
  }

  async revokeLease(id: LeaseId): Promise<void> {
    await this.#turn();
    this.#endLease(id);
  }

  async status(): Promise<StoreStatus> {
    await this.#turn();
    const dbSizeBytes = this.#keys.sizeBytes();
    return { revision: this.#revision, clusterId: this.#clusterId, dbSizeBytes, dbSizeInUseBytes: dbSizeBytes };
  }

  async compact(revision: number): Promise<void> {
    await this.#turn();
    if (revision > this.#revision) throw new HistoryGoneError(`revision ${revision} lies in the store's future`);
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    this.#log = this.#log.filter((logged) => logged.revision > revision);
    this.#keys.compact(revision);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const lease of this.#leases.values()) lease.timer.cancel();
    this.#wakeSleepers();
  }

  /** Lets everybody else go first, as a network would. */
  async #turn(): Promise<void> {
    await Promise.resolve();
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
  }

  #checkReadable(revision: number): void {
    if (revision < this.#compacted) throw new HistoryGoneError(`revision ${revision} has been compacted`);
    if (revision > this.#revision) throw new HistoryGoneError(`revision ${revision} lies in the store's future`);
  }

  #holds(compare: Compare): boolean {
    return (this.#keys.current(compare.key)?.modRevision ?? 0) === compare.modRevision;
  }

  #checkLease(write: Write): void {
    if (write.type !== 'put' || write.lease === undefined || this.#leases.has(write.lease)) return;
    throw new LeaseGoneError(`lease ${write.lease} has ended; nothing was written`);
  }

  /** Writes at the next revision. Deleting what isn't there changes nothing, so it moves no revision. */
  #commit(writes: readonly Write[]): void {
    const revision = this.#revision + 1;
    const events = writes.flatMap((write): WatchEvent[] => this.#write(write, revision));
    if (events.length === 0) return;
    this.#revision = revision;
    this.#log.push({ revision, events });
    this.#wakeSleepers();
  }

  #write(write: Write, revision: number): WatchEvent[] {
    const { key } = write;
    const before = this.#keys.current(key);
    if (before !== null && before.lease !== null) this.#leases.get(before.lease)?.keys.delete(key);
    if (write.type === 'delete') {
      if (before === null) return [];
      this.#keys.set(key, revision, null);
      return [{ type: 'delete', key, modRevision: revision }];
    }
    const lease = write.lease ?? null;
    if (lease !== null) this.#leases.get(lease)?.keys.add(key);
    const createRevision = before?.createRevision ?? revision;
    const keyValue: KeyValue = { key, value: write.value, createRevision, modRevision: revision, lease };
    this.#keys.set(key, revision, keyValue);
    return [{ type: 'put', keyValue }];
  }

  #leaseTimer(id: LeaseId, ttlSeconds: number): Timer {
    return this.#clock.setTimer(ttlSeconds * 1000, () => this.#endLease(id));
  }

  /** All keys of a lease go at one revision, in the order of their bytes. */
  #endLease(id: LeaseId): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.timer.cancel();
    this.#leases.delete(id);
    this.#commit([...lease.keys].sort(byBytes).map((key) => ({ type: 'delete', key })));
  }

  /** What there is for a watch from revision `next` on, up to a number of revisions. */
  #read(prefix: string, next: number): WatchBatch {
    // Every revision after the compacted one is logged, so positions follow from revisions.
    const first = this.#log[0]?.revision ?? this.#revision + 1;
    const start = Math.max(0, next - first);
    const logged = this.#log.slice(start, start + WATCH_REVISIONS_MAX);
    const events = logged.flatMap((one) => one.events.filter((event) => keyOf(event).startsWith(prefix)));
    return { revision: logged.at(-1)?.revision ?? this.#revision, events };
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #wakeSleepers(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}

function keyOf(event: WatchEvent): string {
  return event.type === 'put' ? event.keyValue.key : event.key;
}
