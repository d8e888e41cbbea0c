/**
 * A replica's copy of the state, kept up to date by one watch over everything. Whoever decides reads its snapshot; whoever
 * waits for a change subscribes; whoever missed changes asks for them again by revision, as far back as they are kept.
 *
 * The snapshot only moves between awaits: code that doesn't await sees one revision from start to end.
 *
 * A record that can't be read stops the mirror for good. Going on without it would decide from half a state: a task that
 * isn't seen looks as if its place in a ledger were free.
 */
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import { HistoryGoneError, type KeyValue, type Store, StoreUnavailableError, type WatchBatch } from './contract.ts';
import { History } from './history.ts';
import type { UnkeptKind } from './kept.ts';
import { keys, PREFIX, parseKey } from './keys.ts';
import { type Change, Snapshot } from './snapshot.ts';

/** Hears of changes, in order. `reset`: history was lost, and `changes` is the difference between two states. */
export type ChangeListener = (changes: readonly Change[], revision: number, reset: boolean) => void;

/** Hears of one record that a snapshot doesn't keep, as it is put. Null: history was lost, and some may have been missed. */
export type PassingListener = (keyValue: KeyValue | null) => void;

export interface MirrorOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Ends the mirror. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** How many changes are kept for {@link Mirror.changesSince}, at the least, once there were so many. */
  readonly historyMax?: number;
}

const HISTORY_MAX = 20_000;

/** How many revisions back a mirror starts, so that readers can resume after a replica's restart. Tried in this order. */
const START_BACK_REVISIONS = [2000, 200, 0] as const;

const RETRY_BACKOFF: BackoffPolicy = { baseMs: 50, factor: 2, maxMs: 2000 };

/** How long a mirror that starts is waited for before it is compared with a listing. */
const CATCH_UP_BACKOFF: BackoffPolicy = { baseMs: 1000, factor: 2, maxMs: 15_000 };

interface Waiter {
  readonly revision: number;
  readonly wake: (reached: boolean) => void;
}

export class Mirror {
  readonly #options: MirrorOptions;
  readonly #snapshot: Snapshot;
  readonly #history: History;
  readonly #listeners = new Set<ChangeListener>();
  readonly #passing = new Map<PassingListener, UnkeptKind>();
  readonly #waiters = new Set<Waiter>();
  #stopped: Promise<Error | null> = Promise.resolve(null);
  #ended = false;

  private constructor(options: MirrorOptions, snapshot: Snapshot) {
    this.#options = options;
    this.#snapshot = snapshot;
    this.#history = new History(options.historyMax ?? HISTORY_MAX, snapshot.revision);
  }

  /**
   * Reads the state and follows it. Resolves when the mirror has the state that the store had when it began; tries for as
   * long as the store is away. Rejects when the signal is aborted before, or when a record can't be read.
   */
  static async start(options: MirrorOptions): Promise<Mirror> {
    const { snapshot, target } = await loadWithBackoff(options);
    const mirror = new Mirror(options, snapshot);
    mirror.#stopped = mirror.#run();
    if (await mirror.#catchUp(target)) return mirror;
    options.signal.throwIfAborted();
    throw (await mirror.#stopped) ?? new StoreUnavailableError('the mirror of the state has ended');
  }

  /** The state, always the same object. Read it between awaits; keep nothing of it across one. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get revision(): number {
    return this.#snapshot.revision;
  }

  /** The lowest revision that {@link changesSince} can start after. */
  get oldestRevision(): number {
    return this.#history.oldestRevision;
  }

  /** Resolves when the mirror has ended: with null because it was told to, else with what it couldn't go on after. */
  get stopped(): Promise<Error | null> {
    return this.#stopped;
  }

  /** Whether the mirror reached `revision` in time. False as well when `signal` was aborted or the mirror ended. */
  async waitFor(
    revision: number,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    if (this.revision >= revision) return true;
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    const timer = this.#options.clock.setTimer(options.timeoutMs, abort);
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) abort();
    const reached = await this.#reached(revision, giveUp.signal);
    timer.cancel();
    options.signal?.removeEventListener('abort', abort);
    return reached;
  }

  /** Calls `listener` after every step of the mirror that changed something. It must not throw. Returns how to end it. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with every record of the kind from now on, which nothing here keeps. Returns how to end it. */
  hear(kind: UnkeptKind, listener: PassingListener): () => void {
    this.#passing.set(listener, kind);
    return () => this.#passing.delete(listener);
  }

  /** Every change after `revision`, in order; null when they are no longer all known: list again. */
  changesSince(revision: number): readonly Change[] | null {
    return this.#history.since(revision);
  }

  /**
   * Whether the mirror came to hold the state of revision `target`, which it may without ever hearing of that revision: others
   * may have written last, and not every store tells how far it is where there is nothing to tell. So a mirror that is not
   * there after a while is compared with a listing, now and then.
   */
  async #catchUp(target: number): Promise<boolean> {
    for (let retry = 0; !this.#ended; retry++) {
      if (await this.waitFor(target, { timeoutMs: backoffMs(CATCH_UP_BACKOFF, retry) })) return true;
      const listed = await this.#listAt(target);
      if (listed !== null && this.#snapshot.differences(listed).length === 0) return true;
    }
    return false;
  }

  /** Null when the store is away or has forgotten the revision; whoever waits for it goes on waiting. */
  async #listAt(revision: number): Promise<Snapshot | null> {
    try {
      return await Snapshot.load(this.#options.store, revision);
    } catch (error) {
      if (error instanceof StoreUnavailableError || error instanceof HistoryGoneError) return null;
      throw error;
    }
  }

  #reached(revision: number, giveUp?: AbortSignal): Promise<boolean> {
    if (this.revision >= revision) return Promise.resolve(true);
    if (giveUp?.aborted || this.#ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      const wake = (reached: boolean) => {
        this.#waiters.delete(waiter);
        resolve(reached);
      };
      const waiter: Waiter = { revision, wake };
      this.#waiters.add(waiter);
      giveUp?.addEventListener('abort', () => wake(false), { once: true });
    });
  }

  /** Follows until the end; never rejects. */
  async #run(): Promise<Error | null> {
    const { signal, log } = this.#options;
    try {
      await this.#follow();
      return null;
    } catch (error) {
      if (signal.aborted) return null;
      const reason = error instanceof Error ? error : new Error(String(error));
      log.error({ error: reason, revision: this.revision }, 'the mirror of the state has stopped');
      return reason;
    } finally {
      this.#ended = true;
      for (const waiter of [...this.#waiters]) waiter.wake(false);
    }
  }

  async #follow(): Promise<void> {
    const { store, clock, signal, log } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const batch of store.watch({ prefix: PREFIX, fromRevision: this.revision + 1, signal })) {
          failures = 0;
          this.#apply(batch);
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error, revision: this.revision }, 'the watch over the state broke off');
        if (error instanceof HistoryGoneError) await this.#listAgain();
        else if (!(error instanceof StoreUnavailableError)) throw error;
      }
      await sleep(clock, backoffMs(RETRY_BACKOFF, failures), signal);
      failures += 1;
    }
  }

  #apply(batch: WatchBatch): void {
    const changes = this.#snapshot.apply(batch);
    this.#history.add(changes);
    this.#announce(changes, false);
    this.#passOn(batch);
  }

  #passOn({ events }: WatchBatch): void {
    if (this.#passing.size === 0) return;
    for (const event of events) {
      const kind = event.type === 'put' ? parseKey(event.keyValue.key)?.[0] : undefined;
      if (event.type !== 'put' || kind === undefined) continue;
      for (const [listener, wanted] of [...this.#passing]) if (wanted === kind) listener(event.keyValue);
    }
  }

  async #listAgain(): Promise<void> {
    const { log, signal } = this.#options;
    const before = this.revision;
    const fresh = await withBackoff(this.#options, () => Snapshot.load(this.#options.store));
    if (fresh === null) return signal.throwIfAborted();
    if (fresh.revision < before) {
      log.error({ before, now: fresh.revision }, 'the store went back in time; was it restored from an older state?');
    }
    const changes = this.#snapshot.reset(fresh);
    this.#history.restart(fresh.revision);
    this.#announce(changes, true);
    for (const listener of [...this.#passing.keys()]) listener(null);
  }

  #announce(changes: readonly Change[], reset: boolean): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.revision <= this.revision) waiter.wake(true);
    }
    if (changes.length === 0 && !reset) return;
    for (const listener of [...this.#listeners]) listener(changes, this.revision, reset);
  }
}

/** The state to begin with, as far back as the store remembers, and the revision that it has by now. */
async function loadWithBackoff(options: MirrorOptions): Promise<{ snapshot: Snapshot; target: number }> {
  const loaded = await withBackoff(options, async () => {
    const { revision: target } = await options.store.get(keys.cluster);
    for (const back of START_BACK_REVISIONS) {
      const snapshot = await loadUnlessGone(options.store, Math.max(1, target - back));
      if (snapshot !== null) return { snapshot, target };
    }
    return { snapshot: await Snapshot.load(options.store), target };
  });
  options.signal.throwIfAborted();
  if (loaded === null) throw new StoreUnavailableError('the state could not be read');
  return loaded;
}

async function loadUnlessGone(store: Store, revision: number): Promise<Snapshot | null> {
  try {
    return await Snapshot.load(store, revision);
  } catch (error) {
    if (error instanceof HistoryGoneError) return null;
    throw error;
  }
}

/** Repeats what the store was away for, or what a compaction cut short. Null: the signal was aborted first. */
async function withBackoff<T>({ clock, signal, log }: MirrorOptions, read: () => Promise<T>): Promise<T | null> {
  for (let retry = 0; !signal.aborted; retry++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError || error instanceof HistoryGoneError)) throw error;
      log.warn({ error, retry }, 'the state could not be read; trying again');
    }
    await sleep(clock, backoffMs(RETRY_BACKOFF, retry), signal);
  }
  return null;
}
