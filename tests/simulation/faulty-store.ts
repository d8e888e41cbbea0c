/**
 * One replica's way to the store that all share. Requests travel through the world, not through the replica: one that was
 * sent takes effect even if its sender is killed or stalls meanwhile. Calls come late, fail before they got through, after
 * they did, or even before they do; watches break off and are resumed without a loss, as the contract demands of every adapter.
 */
import type { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import {
  type KeyValue,
  type LeaseId,
  type RangePage,
  type RangeRequest,
  type Store,
  type StoreStatus,
  StoreUnavailableError,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchRequest,
} from '../../control-plane/store/contract.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { latency, type Weather } from './weather.ts';

/** Who caused a transaction. */
export interface Origin {
  readonly replica: string;
  /** Set for what an agent's call caused: the session that it named. */
  readonly session: { readonly node: string; readonly epoch: number } | null;
  /** Set for what a framework's call caused: the session that it named. */
  readonly framework?: { readonly id: string; readonly session: number };
}

/** A transaction that was carried out. */
export interface Commit {
  readonly origin: Origin;
  readonly transaction: Transaction;
  readonly revision: number;
  /** The revision at which the store stood when the transaction was sent. */
  readonly sentAtRevision: number;
}

/** The way from one replica to the store, which may be interrupted as a whole. It survives the replica's restarts. */
export class StoreLink {
  /** No request gets through. What comes back still does: answers to earlier ones, and watches. */
  losesRequests = false;
  /** Nothing comes back, neither answers nor what watches see. Requests are carried out all the same. */
  losesAnswers = false;
  /** Until then, on the monotonic clock, watches stand still. */
  watchStalledUntilMs = 0;
}

export interface FaultyStoreParts {
  readonly shared: MemoryStore;
  readonly clock: Clock;
  readonly process: SimulatedProcess;
  readonly link: StoreLink;
  readonly random: SeededRandom;
  readonly weather: Pick<Weather, 'store'>;
  /** Where a watch that broke off goes on: as it should, at `next`, unless a bug is planted. */
  readonly resumeWatch?: (next: number, reached: number) => number;
  /** At which the store stands now. */
  readonly revision: () => number;
  /** For how long a transaction is held up on its way, beside what the weather does. */
  readonly holdUpMs?: (transaction: Transaction, replica: string) => number;
  /** Called for every transaction right before the store looks at it. */
  readonly onArrival?: (transaction: Transaction, replica: string) => void;
  /** Called for every transaction that was carried out, at the moment when it was. */
  readonly onCommit: (commit: Commit) => void;
}

/** How long a caller waits for an answer that never comes. */
const TIMEOUT_MS: readonly [number, number] = [200, 4000];

export class FaultyStore implements Store {
  readonly #parts: FaultyStoreParts;
  readonly #origin: Origin;

  constructor(parts: FaultyStoreParts, origin: Origin) {
    this.#parts = parts;
    this.#origin = origin;
  }

  get(key: string): Promise<{ readonly keyValue: KeyValue | null; readonly revision: number }> {
    return this.#call('get', (store) => store.get(key));
  }

  range(request: RangeRequest): Promise<RangePage> {
    return this.#call('range', (store) => store.range(request));
  }

  transact(transaction: Transaction): Promise<TransactionResult> {
    const sentAtRevision = this.#parts.revision();
    const heldUpMs = this.#parts.holdUpMs?.(transaction, this.#origin.replica) ?? 0;
    return this.#call('transact', async (store) => {
      if (heldUpMs > 0) await sleep(this.#parts.clock, heldUpMs);
      this.#parts.onArrival?.(transaction, this.#origin.replica);
      const result = await store.transact(transaction);
      const { revision } = result;
      if (result.committed) this.#parts.onCommit({ origin: this.#origin, transaction, revision, sentAtRevision });
      return result;
    });
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncGenerator<WatchBatch, void, void> {
    let next = fromRevision;
    while (!signal.aborted) {
      for await (const batch of this.#parts.shared.watch({ prefix, fromRevision: next, signal })) {
        if (!(await this.#arrives())) {
          const { resumeWatch, revision } = this.#parts;
          next = resumeWatch?.(next, revision()) ?? next;
          break;
        }
        if (signal.aborted) return;
        next = batch.revision + 1;
        yield batch;
      }
    }
  }

  grantLease(ttlSeconds: number): Promise<LeaseId> {
    return this.#call('grantLease', (store) => store.grantLease(ttlSeconds));
  }

  keepLeaseAlive(lease: LeaseId): Promise<boolean> {
    return this.#call('keepLeaseAlive', (store) => store.keepLeaseAlive(lease));
  }

  leaseSilenceSeconds(lease: LeaseId): Promise<number | null> {
    return this.#call('leaseSilenceSeconds', (store) => store.leaseSilenceSeconds(lease));
  }

  revokeLease(lease: LeaseId): Promise<void> {
    return this.#call('revokeLease', (store) => store.revokeLease(lease));
  }

  status(): Promise<StoreStatus> {
    return this.#call('status', (store) => store.status());
  }

  compact(revision: number): Promise<void> {
    return this.#call('compact', (store) => store.compact(revision));
  }

  /** The shared store is the world's to close. */
  async close(): Promise<void> {}

  #call<T>(what: string, work: (store: MemoryStore) => Promise<T>): Promise<T> {
    return this.#parts.process.receive(this.#travel(what, work));
  }

  async #travel<T>(what: string, work: (store: MemoryStore) => Promise<T>): Promise<T> {
    const { clock, random, weather, link, shared } = this.#parts;
    const { failBeforeChance, failAfterChance, failAfterMs, lateChance } = weather.store;
    const fails = {
      before: random.chance(failBeforeChance),
      after: random.chance(failAfterChance),
      late: random.chance(lateChance),
    };
    await sleep(clock, latency(random, weather.store));
    if (fails.before || fails.late || link.losesRequests) {
      if (fails.late) void this.#arriveLate(work);
      await sleep(clock, random.between(...TIMEOUT_MS));
      throw new StoreUnavailableError(`${what}: the store did not answer`);
    }
    const result = await work(shared);
    await sleep(clock, fails.after ? random.between(...failAfterMs) : latency(random, weather.store));
    if (fails.after || link.losesAnswers) throw new StoreUnavailableError(`${what}: the store's answer was lost`);
    return result;
  }

  /** The request was only held up on its way: it is carried out, perhaps long after its sender has given up on it. */
  async #arriveLate<T>(work: (store: MemoryStore) => Promise<T>): Promise<void> {
    const { clock, random, weather, link, shared } = this.#parts;
    await sleep(clock, random.between(...weather.store.lateMs));
    if (link.losesRequests) return;
    // Whether the store says yes or no by then, nobody hears of it.
    await work(shared).catch(() => undefined);
  }

  /** Whether a batch of a watch reaches the replica; if not, the watch has been made anew by the time this resolves. */
  async #arrives(): Promise<boolean> {
    const { clock, random, weather, link, process } = this.#parts;
    const { watchCutChance, watchReconnectMs } = weather.store;
    const isCut = link.losesAnswers || random.chance(watchCutChance);
    const stalledMs = Math.max(0, link.watchStalledUntilMs - clock.monotonicMs());
    await process.receive(sleep(clock, latency(random, weather.store) + stalledMs));
    if (!isCut && !link.losesAnswers) return true;
    await process.receive(sleep(clock, random.between(...watchReconnectMs)));
    while (link.losesAnswers || link.losesRequests) await process.receive(sleep(clock, RECONNECT_PAUSE_MS));
    return false;
  }
}

const RECONNECT_PAUSE_MS = 100;
