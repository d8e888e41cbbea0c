/**
 * A replica's copy of the state, kept up to date by one watch over everything. Whoever decides reads its snapshot; whoever
 * waits for a change subscribes; whoever missed changes asks for them again by revision, as far back as they are kept.
 *
 * The snapshot only moves between awaits: code that doesn't await sees one revision from start to end.
 *
 * A replica that lives on has one that follows from its start to its end. Where nothing may run between two requests, a mirror stands
 * still until a request has it follow for a while, over a state that others may have moved along meanwhile; see `known-state.ts`.
 *
 * A record that can't be read stops the mirror for good. Going on without it would decide from half a state: a task that
 * isn't seen looks as if its place in a ledger were free.
 */
import { invariant } from '../../shared/util/assert.ts';
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import { HistoryGoneError, type KeyValue, type Store, StoreUnavailableError, type WatchBatch } from './contract.ts';
import type { UnkeptKind } from './kept.ts';
import { keys, PREFIX, parseKey } from './keys.ts';
import { KnownState, type StateFeed } from './known-state.ts';
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

/** Records of a kind, from the revision after this one. */
interface Wanted {
  readonly kind: UnkeptKind;
  readonly after: number;
}

interface Waiter {
  readonly revision: number;
  readonly wake: (reached: boolean) => void;
}

export class Mirror {
  readonly #options: Omit<MirrorOptions, 'signal' | 'historyMax'>;
  readonly #known: KnownState;
  readonly #feed: StateFeed;
  readonly #listeners = new Set<ChangeListener>();
  readonly #passing = new Map<PassingListener, Wanted>();
  readonly #waiters = new Set<Waiter>();
  #signal: AbortSignal;
  #stopped: Promise<Error | null> | null = null;
  #ended = false;
  #isTakingIn = false;

  private constructor(options: MirrorOptions, known: KnownState) {
    this.#options = options;
    this.#signal = options.signal;
    this.#known = known;
    this.#feed = known.open();
  }

  /**
   * Reads the state and follows it. Resolves when the mirror has the state that the store had when it began; tries for as
   * long as the store is away. Rejects when the signal is aborted before, or when a record can't be read.
   */
  static async start(options: MirrorOptions): Promise<Mirror> {
    const { snapshot, target } = await loadWithBackoff(options);
    const mirror = new Mirror(options, new KnownState(snapshot, options.historyMax ?? HISTORY_MAX));
    mirror.follow();
    await mirror.#reach(target);
    return mirror;
  }

  /** A mirror of a state that is known already and may be shared. It stands still until it is resumed. */
  static of(known: KnownState, options: Omit<MirrorOptions, 'signal' | 'historyMax'>): Mirror {
    return new Mirror({ ...options, signal: AbortSignal.abort() }, known);
  }

  /**
   * Brings the mirror to the state that the store has now. It may follow until the signal is aborted, and does as soon as that is needed.
   * Throws StoreUnavailableError, and a `RecordError` where a record can't be read. To be called again only when the time before is over.
   */
  async resume(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#ended = false;
    this.#stopped = null;
    const before = this.revision;
    const { keyValue, revision: target } = await this.#options.store.get(keys.cluster);
    // The record is put anew after a restore, say: then the changes since may not lead from what is known to what stands now.
    const isSameHistory = (keyValue?.modRevision ?? 0) === this.snapshot.modRevision(keys.cluster);
    if (target < before || !isSameHistory) await this.#listAgain(before);
    this.#takeIn();
    if (this.revision >= target) return;
    this.follow();
    await this.#reach(target);
  }

  /** How many changes it has not told its listeners of, since it stands still. */
  get behind(): number {
    return this.#feed.isLost ? Number.POSITIVE_INFINITY : this.#feed.behind;
  }

  /** It is of no use any more, and holds nothing of the state's past. */
  close(): void {
    this.#feed.close();
  }

  /** Follows from now on, if it may and doesn't yet. */
  follow(): void {
    if (this.#stopped !== null) return;
    // Its own watch begins after what others have seen by now, and won't tell of that.
    this.#takeIn();
    this.#stopped ??= this.#run();
  }

  /** The state, always the same object. Read it between awaits; keep nothing of it across one. */
  get snapshot(): Snapshot {
    return this.#known.snapshot;
  }

  get revision(): number {
    return this.#known.revision;
  }

  /** The lowest revision that {@link changesSince} can start after. */
  get oldestRevision(): number {
    return this.#known.history.oldestRevision;
  }

  /** Resolves when the mirror has ended: with null because it was told to, else with what it couldn't go on after. */
  get stopped(): Promise<Error | null> {
    return this.#stopped ?? NEVER;
  }

  /** Whether the mirror reached `revision` in time. False as well when `signal` was aborted or the mirror ended. */
  async waitFor(
    revision: number,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    this.#takeIn();
    if (this.revision >= revision) return true;
    this.follow();
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
    this.#takeIn();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with every record of the kind from now on, which nothing here keeps. Returns how to end it. */
  hear(kind: UnkeptKind, listener: PassingListener): () => void {
    this.#passing.set(listener, { kind, after: this.revision });
    this.follow();
    return () => this.#passing.delete(listener);
  }

  /** Every change after `revision`, in order; null when they are no longer all known: list again. */
  changesSince(revision: number): readonly Change[] | null {
    return this.#known.history.since(revision);
  }

  /**
   * Whether the mirror came to hold the state of revision `target`, which it may without ever hearing of that revision: others
   * may have written last, and not every store tells how far it is where there is nothing to tell. So a mirror that is not
   * there after a while is compared with a listing, now and then.
   */
  async #reach(target: number): Promise<void> {
    if (await this.#catchUp(target)) return;
    this.#signal.throwIfAborted();
    throw (await this.#stopped) ?? new StoreUnavailableError('the mirror of the state has ended');
  }

  async #catchUp(target: number): Promise<boolean> {
    for (let retry = 0; !this.#ended; retry++) {
      if (await this.waitFor(target, { timeoutMs: backoffMs(CATCH_UP_BACKOFF, retry) })) return true;
      const listed = await this.#listAt(target);
      if (listed !== null && this.snapshot.differences(listed).length === 0) return true;
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
    const { log } = this.#options;
    const signal = this.#signal;
    try {
      await this.#follow(signal);
      return null;
    } catch (error) {
      if (signal.aborted) return null;
      const reason = error instanceof Error ? error : new Error(String(error));
      log.error({ error: reason, revision: this.revision }, 'the mirror of the state has stopped');
      return reason;
    } finally {
      if (this.#signal === signal) this.#end();
    }
  }

  #end(): void {
    this.#ended = true;
    for (const waiter of [...this.#waiters]) waiter.wake(false);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#options;
    let failures = 0;
    // How far its own watch has come; others may have moved the state further.
    let seen = this.revision;
    while (!signal.aborted) {
      try {
        for await (const batch of store.watch({ prefix: PREFIX, fromRevision: seen + 1, signal })) {
          failures = 0;
          this.#known.apply(batch);
          seen = batch.revision;
          this.#takeIn();
          this.#passOn(batch);
          invariant(!this.#feed.isLost, 'a mirror that follows takes in what it hears');
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error, revision: this.revision }, 'the watch over the state broke off');
        if (error instanceof HistoryGoneError) seen = await this.#loseHistory(seen);
        else if (!(error instanceof StoreUnavailableError)) throw error;
      }
      await sleep(clock, backoffMs(RETRY_BACKOFF, failures), signal);
      failures += 1;
    }
  }

  /** What its own watch brings, and nobody else's: each record once, and none from before somebody wanted to hear of it. */
  #passOn({ events }: WatchBatch): void {
    if (this.#passing.size === 0) return;
    for (const event of events) {
      const kind = event.type === 'put' ? parseKey(event.keyValue.key)?.[0] : undefined;
      if (event.type !== 'put' || kind === undefined) continue;
      for (const [listener, wanted] of [...this.#passing]) {
        if (wanted.kind === kind && event.keyValue.modRevision > wanted.after) listener(event.keyValue);
      }
    }
  }

  /** The revision to go on after. */
  async #loseHistory(seen: number): Promise<number> {
    await this.#listAgain(seen);
    this.#takeIn();
    for (const listener of [...this.#passing.keys()]) listener(null);
    return this.revision;
  }

  /** Unless somebody else has moved the state on from `lost`, which is where the history ends that is known here. */
  async #listAgain(lost: number): Promise<void> {
    const { log } = this.#options;
    const signal = this.#signal;
    const { resets } = this.#known;
    const isMoved = () => this.#known.resets !== resets || this.revision > lost;
    if (isMoved()) return;
    const before = this.revision;
    const fresh = await withBackoff({ ...this.#options, signal }, () => Snapshot.load(this.#options.store));
    if (fresh === null) return signal.throwIfAborted();
    if (isMoved()) return;
    if (fresh.revision < before) {
      log.error({ before, now: fresh.revision }, 'the store went back in time; was it restored from an older state?');
    }
    this.#known.reset(fresh);
    this.#takeIn();
  }

  /** Tells this mirror's own listeners what has become of the state since the last time, whoever moved it along. */
  #takeIn(): void {
    if (this.#isTakingIn) return;
    this.#isTakingIn = true;
    for (let step = this.#feed.take(); step !== undefined; step = this.#feed.take()) {
      const { changes, revision, reset } = step;
      if (changes.length === 0 && !reset) continue;
      for (const listener of [...this.#listeners]) listener(changes, revision, reset);
    }
    this.#isTakingIn = false;
    for (const waiter of [...this.#waiters]) {
      if (waiter.revision <= this.revision) waiter.wake(true);
    }
  }
}

/** What stands for the end of a mirror that stands still. */
const NEVER = new Promise<null>(() => undefined);

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
