/**
 * What Berth needs of a store, in its own words. Adapters bend to this and pass the conformance suite in `tests/store`.
 *
 * Keys are text, values are JSON text. Revisions count all changes of the whole store; every key carries the revision of
 * its last change. A write is conditional on such revisions and on nothing else.
 */

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** The lease that takes the key with it when it ends, or null. */
  readonly lease: LeaseId | null;
}

export type LeaseId = string;

export interface RangeRequest {
  readonly prefix: string;
  /** Only keys after this one. */
  readonly after?: string;
  /** Read as of this revision; absent is the present. Throws {@link HistoryGoneError} when it has been compacted. */
  readonly revision?: number;
  /** At most this many; adapters page by {@link RANGE_PAGE_MAX} at the most. */
  readonly limit?: number;
}

export interface RangePage {
  /** In the order of their keys' bytes. */
  readonly keyValues: readonly KeyValue[];
  /** There are keys after the last one of this page. */
  readonly more: boolean;
  /** The revision that the page was read at. Pass it on to read the next page of the same state. */
  readonly revision: number;
}

export const RANGE_PAGE_MAX = 1000;

/** Holds when the key's last change has this revision. 0: the key doesn't exist. */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type Write =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly lease?: LeaseId }
  | { readonly type: 'delete'; readonly key: string };

/** All writes happen at one revision if all compares hold, else none. No key may be written twice. */
export interface Transaction {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** etcd's default limits on one transaction. */
export const TRANSACTION_COMPARES_MAX = 128;
export const TRANSACTION_WRITES_MAX = 128;
export const TRANSACTION_BYTES_MAX = 1_400_000;

export type TransactionResult =
  | { readonly committed: true; readonly revision: number }
  | {
      readonly committed: false;
      readonly revision: number;
      /** What stands, at `revision`, under each compared key; in the order of the compares. */
      readonly observed: readonly (KeyValue | null)[];
    };

export type WatchEvent =
  | { readonly type: 'put'; readonly keyValue: KeyValue }
  | { readonly type: 'delete'; readonly key: string; readonly modRevision: number };

/** All events of one or more whole revisions. A revision is never split over two batches. */
export interface WatchBatch {
  /** The highest revision that is now fully seen: no event at or below it will follow. */
  readonly revision: number;
  /** In the order of their revisions. Empty: only the revision has moved on. */
  readonly events: readonly WatchEvent[];
}

export interface WatchRequest {
  readonly prefix: string;
  /** The first revision whose events are wanted. */
  readonly fromRevision: number;
  readonly signal: AbortSignal;
}

export interface StoreStatus {
  readonly revision: number;
  /** Identifies the cluster of members; another one means another history. */
  readonly clusterId: string;
  readonly dbSizeBytes: number;
  /** Of that, what holds something: the rest is used again, but not given back. Null: the store doesn't say. */
  readonly dbSizeInUseBytes: number | null;
}

/** One of the processes that a store consists of. */
export interface StoreMember extends Pick<StoreStatus, 'dbSizeBytes' | 'dbSizeInUseBytes'> {
  readonly name: string;
  readonly isLeader: boolean;
}

/** What can be done for a store's members one by one. */
export interface StoreMaintenance {
  /** Those that are known. Throws StoreUnavailableError when one of them doesn't answer. */
  members(): Promise<readonly StoreMember[]>;
  /**
   * Gives space that holds nothing back. The member answers nobody meanwhile, which may take many seconds. False: the store
   * doesn't let this client do it.
   */
  defragment(member: string): Promise<boolean>;
}

export interface Store {
  /** Absent where there is nothing to maintain. */
  readonly maintenance?: StoreMaintenance;
  get(key: string): Promise<{ readonly keyValue: KeyValue | null; readonly revision: number }>;
  range(request: RangeRequest): Promise<RangePage>;
  transact(transaction: Transaction): Promise<TransactionResult>;
  /**
   * The changes under a prefix, each exactly once and in order, over any number of broken connections. Ends when the
   * signal is aborted. Throws {@link HistoryGoneError} when the next revision has been compacted, or when the store's
   * revisions went backwards or its cluster id changed: list again.
   */
  watch(request: WatchRequest): AsyncIterable<WatchBatch>;
  grantLease(ttlSeconds: number): Promise<LeaseId>;
  /** Starts the lease's time anew. False: the lease has ended. */
  keepLeaseAlive(lease: LeaseId): Promise<boolean>;
  /** How long the lease has not been kept alive, in whole seconds, rounded up. Null: it has ended. */
  leaseSilenceSeconds(lease: LeaseId): Promise<number | null>;
  /** Ends the lease and deletes its keys. Harmless when it has ended. */
  revokeLease(lease: LeaseId): Promise<void>;
  status(): Promise<StoreStatus>;
  /** Forgets the history before `revision`. Harmless when that has been done. */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}

/** The store did not answer in time or broke off. A transaction may or may not have happened. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** The revision that was asked for is no longer known. The only remedy is to list again. */
export class HistoryGoneError extends Error {
  override readonly name = 'HistoryGoneError';
}

/** A transaction names a lease that has ended. Nothing was written. */
export class LeaseGoneError extends Error {
  override readonly name = 'LeaseGoneError';
}

/**
 * The store refuses writes because its database has reached its quota. It is done with the transaction, but may have carried
 * it out: etcd notices some of what takes it over the quota only afterwards.
 */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}
