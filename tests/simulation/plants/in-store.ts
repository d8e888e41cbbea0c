/** Bugs of the control plane, planted between its code and the store. */
import type {
  Compare,
  Store,
  Transaction,
  TransactionResult,
  WatchBatch,
} from '../../../control-plane/store/contract.ts';
import { keys, parseKey, type RecordKind } from '../../../control-plane/store/keys.ts';
import { decodeRecord, putRecord } from '../../../control-plane/store/records.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { changed } from '../../support/changed-store.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { StorePlace } from './plant.ts';

export function withTransact(store: Store, change: (transaction: Transaction) => Transaction): Store {
  return changed(store, { transact: (transaction) => store.transact(change(transaction)) });
}

export function kindOf(key: string): RecordKind | null {
  return parseKey(key)?.[0] ?? null;
}

export function writesTo({ writes }: Transaction, kind: RecordKind): boolean {
  return writes.some(({ key }) => kindOf(key) === kind);
}

/** What commits placements and sweeps, as opposed to the claim before it. */
function isRound(transaction: Transaction): boolean {
  return !isClaim(transaction) && transaction.compares.some(({ key }) => key === keys.currentRound);
}

function isClaim({ writes }: Transaction): boolean {
  return writes.some(({ key }) => key === keys.currentRound);
}

export function withoutCompares(transaction: Transaction, isDropped: (compare: Compare) => boolean): Transaction {
  return { ...transaction, compares: transaction.compares.filter((compare) => !isDropped(compare)) };
}

export function withoutFence(transaction: Transaction): Transaction {
  if (!isRound(transaction)) return transaction;
  return withoutCompares(transaction, ({ key }) => key === keys.currentRound);
}

export function withoutLedgerCompares(transaction: Transaction): Transaction {
  if (!isRound(transaction)) return transaction;
  return withoutCompares(transaction, ({ key }) => kindOf(key) === 'ledger');
}

export function withoutStatusCompares(transaction: Transaction): Transaction {
  const isStatus = transaction.writes.every(({ key }) => kindOf(key) === 'tasks');
  return isStatus ? { ...transaction, compares: [] } : transaction;
}

/** Whoever stops tasks or gives them up writes their records whatever they have come to meanwhile. */
export function withoutEndCompares(transaction: Transaction): Transaction {
  if (isRound(transaction) || !writesTo(transaction, 'tasks')) return transaction;
  return withoutCompares(transaction, ({ key, modRevision }) => kindOf(key) === 'tasks' && modRevision > 0);
}

/**
 * What a pass makes and stops of a service rests neither on its deployment nor on the tasks that are to work meanwhile, and comes late: a
 * commit that follows at once upon what was seen hardly ever meets a change.
 */
export function lateAndUnrelied(store: Store, { clock }: StorePlace): Store {
  return changed(store, {
    transact: async (transaction) => {
      const unrelied = withoutRelied(transaction);
      if (unrelied.compares.length < transaction.compares.length) await sleep(clock, LATE_MS);
      return store.transact(unrelied);
    },
  });
}

const LATE_MS = 4000;

/** Everything but a framework's own record is committed late, so that its session may have moved by then. */
export function late(store: Store, { clock }: StorePlace): Store {
  return changed(store, {
    transact: async (transaction) => {
      if (!writesTo(transaction, 'frameworks')) await sleep(clock, LATE_MS);
      return store.transact(transaction);
    },
  });
}

function withoutRelied(transaction: Transaction): Transaction {
  const written = new Set(transaction.writes.map(({ key }) => key));
  if (isRound(transaction) || !writesTo(transaction, 'tasks')) return transaction;
  const isRelied = (key: string) => kindOf(key) === 'tasks' || kindOf(key) === 'deployments';
  return withoutCompares(transaction, ({ key }) => isRelied(key) && !written.has(key));
}

/** What a pass says of a deployment is written whatever has become of it. */
export function withoutDeploymentCompares(transaction: Transaction): Transaction {
  const isOfPass = !writesTo(transaction, 'idempotency') && writesTo(transaction, 'deployments');
  return isOfPass ? withoutCompares(transaction, ({ modRevision }) => modRevision > 0) : transaction;
}

export async function answerLater(store: Store, transaction: Transaction): Promise<TransactionResult> {
  const isAnswer = ({ key }: { readonly key: string }) => kindOf(key) === 'idempotency';
  const answers = transaction.writes.filter(isAnswer);
  if (answers.length === 0) return store.transact(transaction);
  const result = await store.transact({
    ...withoutCompares(transaction, isAnswer),
    writes: transaction.writes.filter((write) => !isAnswer(write)),
  });
  if (result.committed) await store.transact({ compares: [], writes: answers });
  return result;
}

/** First the places, then, in a transaction of their own, the tasks that have got them. */
export async function placeInTwo(store: Store, transaction: Transaction): Promise<TransactionResult> {
  if (!isRound(transaction) || !writesTo(transaction, 'tasks')) return store.transact(transaction);
  const isLedger = ({ key }: { readonly key: string }) => kindOf(key) === 'ledger';
  const result = await store.transact({ ...transaction, writes: transaction.writes.filter(isLedger) });
  if (!result.committed) return result;
  return store.transact({ compares: [], writes: transaction.writes.filter((write) => !isLedger(write)) });
}

/**
 * A round doesn't wait for its own claim: it is told that the claim stands at the revision of the one before, which its mirror
 * has long seen, and the fence is put right behind its back.
 */
export async function planAtOnce(
  store: Store,
  transaction: Transaction,
  { memory }: StorePlace,
): Promise<TransactionResult> {
  if (isClaim(transaction)) {
    const told = transaction.compares[0]?.modRevision ?? 0;
    const result = await store.transact(transaction);
    if (!result.committed || told === 0) return result;
    memory.set(fenceName(told), result.revision);
    return { ...result, revision: told };
  }
  const compares = transaction.compares.map((compare) => {
    const real = compare.key === keys.currentRound ? memory.get(fenceName(compare.modRevision)) : undefined;
    return real === undefined ? compare : { ...compare, modRevision: real };
  });
  return store.transact({ ...transaction, compares });
}

function fenceName(revision: number): string {
  return `fence ${revision}`;
}

/** New tasks get ids that nobody else would give them. */
export function withFreshIds(transaction: Transaction, random: SeededRandom): Transaction {
  const created = new Map<string, string>();
  for (const { key, modRevision } of transaction.compares) {
    if (modRevision === 0 && kindOf(key) === 'tasks') created.set(key, `${key}x${random.between(0, 1_000_000)}`);
  }
  const writes = transaction.writes.map((write) => {
    const fresh = created.get(write.key);
    if (fresh === undefined || write.type === 'delete') return write;
    const task = decodeRecord('tasks', write.key, write.value);
    return putRecord('tasks', fresh, { ...task, id: parseKey(fresh)?.[1] ?? task.id });
  });
  const compares = transaction.compares.map((compare) => ({
    ...compare,
    key: created.get(compare.key) ?? compare.key,
  }));
  return { ...transaction, compares, writes };
}

const SKIP_CHANCE = 0.0005;

export async function* skipping(batches: AsyncIterable<WatchBatch>, random: SeededRandom): AsyncGenerator<WatchBatch> {
  for await (const batch of batches) {
    const events = batch.events.filter(() => !random.chance(SKIP_CHANCE));
    yield { ...batch, events };
  }
}
