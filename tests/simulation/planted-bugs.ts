/**
 * Bugs that are put in on purpose, to prove that the simulator finds their like. Each sits in a seam between the product
 * and the world, never in the product's code, and makes it behave as if a line of it had been forgotten.
 */

import type { Store, Transaction, TransactionResult, WatchBatch } from '../../control-plane/store/contract.ts';
import { keys, parseKey } from '../../control-plane/store/keys.ts';
import type { Fence } from '../../node-agent/executor/contracts.ts';
import type { Origin } from './faulty-store.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface Plant {
  /** What a replica's code gets as its store. */
  store(store: Store, place: { readonly random: SeededRandom; readonly origin: Origin }): Store;
  /** What an agent's code gets as its fence. */
  fence?(fence: Fence): Fence;
}

export const NO_BUG: Plant = { store: (store) => store };

export const PLANTED_BUGS = {
  /** A round commits without looking whether it is still the current one. */
  'unfenced-round': { store: (store) => withTransact(store, withoutFence) },
  /** A round puts ledgers without comparing that they are as it saw them. */
  'blind-ledger': { store: (store) => withTransact(store, withoutLedgerCompares) },
  /** Statuses are committed without comparing the epoch or the task's record. */
  'blind-status': {
    store: (store, { origin }) => (origin.session === null ? store : withTransact(store, withoutStatusCompares)),
  },
  /** The answer to a request is remembered only after the request has been carried out. */
  'late-answer': { store: (store) => wrapped(store, { transact: (each) => answerLater(store, each) }) },
  /** A mirror overlooks a change now and then. */
  'skipped-event': {
    store: (store, { random }) => wrapped(store, { watch: (request) => skipping(store.watch(request), random) }),
  },
} satisfies Readonly<Record<string, Plant>>;

/**
 * Nobody outside the agent is told what must not run while the node is cut off; the agent itself stops it, if it lives. Found in a
 * world of its own, where nodes are cut off for longer than elsewhere: `cut-offs.ts`.
 */
export const SLEEPING_DEAD_MAN: Plant = {
  store: (store) => store,
  fence: (fence) => ({ ...fence, arm: () => Promise.resolve(), isArmed: () => true }),
};

export type BugName = keyof typeof PLANTED_BUGS;

export function isBugName(name: string): name is BugName {
  return Object.hasOwn(PLANTED_BUGS, name);
}

function withTransact(store: Store, change: (transaction: Transaction) => Transaction): Store {
  return wrapped(store, { transact: (transaction) => store.transact(change(transaction)) });
}

/** The store with some of its calls replaced. */
function wrapped(store: Store, changed: Partial<Store>): Store {
  return {
    get: (key) => store.get(key),
    range: (request) => store.range(request),
    transact: (transaction) => store.transact(transaction),
    watch: (request) => store.watch(request),
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepLeaseAlive: (lease) => store.keepLeaseAlive(lease),
    leaseSilenceSeconds: (lease) => store.leaseSilenceSeconds(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    status: () => store.status(),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
    ...changed,
  };
}

/** The claim itself, which puts the fence, still compares it. */
function withoutFence(transaction: Transaction): Transaction {
  if (transaction.writes.some(({ key }) => key === keys.currentRound)) return transaction;
  return { ...transaction, compares: transaction.compares.filter(({ key }) => key !== keys.currentRound) };
}

function withoutLedgerCompares(transaction: Transaction): Transaction {
  if (!transaction.compares.some(({ key }) => key === keys.currentRound)) return transaction;
  return { ...transaction, compares: transaction.compares.filter(({ key }) => parseKey(key)?.[0] !== 'ledger') };
}

function withoutStatusCompares(transaction: Transaction): Transaction {
  const isStatus = transaction.writes.every(({ key }) => parseKey(key)?.[0] === 'tasks');
  return isStatus ? { ...transaction, compares: [] } : transaction;
}

async function answerLater(store: Store, transaction: Transaction): Promise<TransactionResult> {
  const isAnswer = ({ key }: { readonly key: string }) => parseKey(key)?.[0] === 'idempotency';
  const answers = transaction.writes.filter(isAnswer);
  if (answers.length === 0) return store.transact(transaction);
  const compares = transaction.compares.filter((compare) => !isAnswer(compare));
  const result = await store.transact({ compares, writes: transaction.writes.filter((write) => !isAnswer(write)) });
  if (result.committed) await store.transact({ compares: [], writes: answers });
  return result;
}

const SKIP_CHANCE = 0.0005;

async function* skipping(batches: AsyncIterable<WatchBatch>, random: SeededRandom): AsyncGenerator<WatchBatch> {
  for await (const batch of batches) {
    const events = batch.events.filter(() => !random.chance(SKIP_CHANCE));
    yield { ...batch, events };
  }
}
