/**
 * Writes whose outcome somebody is told. A transaction that timed out may have happened, so it carries a record of its own,
 * `ops/<id>`: where the answer was lost, a tombstone under the same key finds out. Either the record is there, then it
 * happened; or the tombstone takes its place, then it never will. "Mine" and "somebody else's" stay apart even when the
 * values have been overwritten since.
 */
import { invariant, present } from '../../shared/util/assert.ts';
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import { sleep } from '../../shared/util/clock.ts';
import {
  type Compare,
  type KeyValue,
  LeaseGoneError,
  type Store,
  StoreFullError,
  StoreUnavailableError,
  type TransactionResult,
  type Write,
} from './contract.ts';
import { keys } from './keys.ts';
import type { OpLeases } from './op-leases.ts';
import { decodeRecord, putRecord } from './records.ts';

export { OpLeases } from './op-leases.ts';
export { type AtomicUnit, fitsTransaction, type PackedTransaction, packTransactions } from './pack.ts';

export interface Operation {
  /** Unique for ever. */
  readonly opId: string;
  readonly leases: OpLeases;
  /** Who carries it out: the id of the replica. */
  readonly by: string;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** How long an unknown outcome is looked into before the caller is told that it is unknown. */
const SETTLE_DEADLINE_MS = 15_000;
const SETTLE_BACKOFF: BackoffPolicy = { baseMs: 20, factor: 2, maxMs: 1000 };

/** How often an operation that certainly did not happen is tried anew. */
const ATTEMPTS_MAX = 3;

/**
 * Carries out one transaction at most once and says whether it happened. One that certainly did not happen because the
 * store broke off is tried anew, so `committed: false` always means that a compare failed.
 *
 * Throws StoreUnavailableError when the store stays away: the message says whether the outcome is unknown or nothing was
 * written. Throws LeaseGoneError when a lease that the caller's writes name has ended, and StoreFullError when the store has
 * no room; nothing was written then.
 */
export async function commitOnce(store: Store, operation: Operation): Promise<TransactionResult> {
  let current = operation;
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptOnce(store, current);
    if (outcome.settled !== 'aborted') return outcome.result;
    if (attempt >= ATTEMPTS_MAX) {
      throw new StoreUnavailableError(`operation ${operation.opId} was given up; nothing was written`, {
        cause: outcome.cause,
      });
    }
    current = { ...operation, opId: `${operation.opId}.${attempt}` };
  }
}

type Outcome =
  | { readonly settled: 'answered' | 'found'; readonly result: TransactionResult }
  | { readonly settled: 'aborted'; readonly cause: unknown };

async function attemptOnce(store: Store, operation: Operation): Promise<Outcome> {
  try {
    return { settled: 'answered', result: await transactWithRecord(store, operation) };
  } catch (error) {
    if (error instanceof StoreFullError) return settleByReading(store, operation, error);
    if (error instanceof StoreUnavailableError) return settleByTombstone(store, operation, error);
    throw error;
  }
}

/** A lease of ours may have been lost with a restore: then new ones take its place, once. */
async function transactWithRecord(store: Store, operation: Operation): Promise<TransactionResult> {
  const { leases } = operation;
  const lease = await leases.opsLease();
  try {
    return await sendWithRecord(store, operation, lease);
  } catch (error) {
    if (!(error instanceof LeaseGoneError)) throw error;
    const renewed = await leases.renew(operation.writes);
    return sendWithRecord(store, { ...operation, writes: renewed }, await leases.opsLease());
  }
}

async function sendWithRecord(store: Store, operation: Operation, lease: string): Promise<TransactionResult> {
  const { opId, by } = operation;
  const key = keys.op(opId);
  const result = await store.transact({
    compares: [{ key, modRevision: 0 }, ...operation.compares],
    writes: [putRecord('ops', key, { by, aborted: false }, lease), ...operation.writes],
  });
  if (result.committed) return result;
  const [own, ...observed] = result.observed;
  invariant(own === null, `operation id ${opId} has been used before`);
  return { ...result, observed };
}

/**
 * After the store said that it is full: it may have carried the operation out all the same, but is done with it. So its
 * record is there by now or never will be.
 */
async function settleByReading(store: Store, operation: Operation, cause: StoreFullError): Promise<Outcome> {
  return settle(operation, cause, async () => {
    const { keyValue } = await store.get(keys.op(operation.opId));
    if (keyValue === null) throw cause;
    return outcomeOf(keyValue, cause);
  });
}

/** Finds out what became of the operation, or sees to it that nothing does. */
async function settleByTombstone(store: Store, operation: Operation, cause: StoreUnavailableError): Promise<Outcome> {
  return settle(operation, cause, async () => {
    const key = keys.op(operation.opId);
    try {
      const lease = await operation.leases.opsLease();
      const tombstone = await store.transact({
        compares: [{ key, modRevision: 0 }],
        writes: [putRecord('ops', key, { by: operation.by, aborted: true }, lease)],
      });
      if (tombstone.committed) return { settled: 'aborted', cause };
      return outcomeOf(present(tombstone.observed[0], `what stands under ${key}`), cause);
    } catch (error) {
      // The record would have gone with its lease, so its absence no longer says that the operation didn't happen.
      if (error instanceof LeaseGoneError) return 'unknowable';
      if (!(error instanceof StoreFullError)) throw error;
      // No room for a tombstone. A record tells all the same; without one, the operation may still be on its way.
      const { keyValue } = await store.get(key);
      return keyValue === null ? 'unknown yet' : outcomeOf(keyValue, cause);
    }
  });
}

function outcomeOf({ key, value, createRevision }: KeyValue, cause: unknown): Outcome {
  // An earlier tombstone of ours, whose answer was lost too, is as good as a new one.
  if (decodeRecord('ops', key, value).aborted) return { settled: 'aborted', cause };
  return { settled: 'found', result: { committed: true, revision: createRevision } };
}

/** Looks again, for as long as the store is away or can't tell yet. */
async function settle(
  { opId, leases: { clock } }: Operation,
  cause: Error,
  look: () => Promise<Outcome | 'unknown yet' | 'unknowable'>,
): Promise<Outcome> {
  const deadlineMs = clock.monotonicMs() + SETTLE_DEADLINE_MS;
  for (let retry = 0; clock.monotonicMs() < deadlineMs; retry++) {
    const outcome = await look().catch(unknownWhileAway);
    if (outcome === 'unknowable') break;
    if (outcome !== 'unknown yet') return outcome;
    await sleep(clock, backoffMs(SETTLE_BACKOFF, retry));
  }
  throw new StoreUnavailableError(
    `the outcome of operation ${opId} is unknown: the store did not answer; read before you repeat it`,
    { cause },
  );
}

function unknownWhileAway(error: unknown): 'unknown yet' {
  if (error instanceof StoreUnavailableError) return 'unknown yet';
  throw error;
}
