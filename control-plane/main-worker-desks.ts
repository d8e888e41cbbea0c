/**
 * Replicas at which one request at a time is served. On Workers nothing runs between two requests, and what one of them has opened
 * another may not touch; plain data stays in the isolate, though, for as long as the platform keeps it. So the isolate keeps the state
 * as it was known last, and some replicas that are put together over it: a request takes one that is free, has its mirror come to the
 * present, and gives it back when all that it has opened has ended.
 */
import { type Clock, sleep } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import { type Random, randomId } from '../shared/util/random.ts';
import { assembleReplica, type Replica, type ReplicaOptions } from './app.ts';
import type { Envelope } from './auth/envelope.ts';
import { CountedStore } from './main-worker-store.ts';
import { ensureCluster } from './services/cluster.ts';
import { type RangePage, type RangeRequest, type Store, StoreUnavailableError } from './store/contract.ts';
import { KnownState } from './store/known-state.ts';
import { Mirror } from './store/mirror.ts';
import { Snapshot } from './store/snapshot.ts';

/** With a stream open at each, workerd takes 1.8 MB for one, of which 0.6 MB stay. An isolate has 128 MB for everything. */
export const DESKS_MAX = 40;

/** From this share on, those who only wait make room. */
const CROWDED_SHARE = 0.75;

/** Changes that are remembered, for those who resume: as many as a restart of a replica remembers. */
const HISTORY_MAX = 2000;

/** Characters of a state that an isolate has room for, beside itself and its requests: decoded it takes about twice that. */
export const STATE_LENGTH_MAX = 16 * 1024 ** 2;

/** After this time a desk is put together anew, so that keys and the like are read again. */
const DESK_AGE_MAX_MS = 600_000;

/** Changes that a desk which is not in use may keep waiting: the past takes room. */
const DESK_BEHIND_MAX = 500;

/** A request that is listing the state keeps others from doing the same for so long. */
const LISTING_MAX_MS = 10_000;
const LISTING_LOOK_MS = 10;

/** A request that hasn't come back after its own bound and this much more was ended by the platform, without a word. */
const LEFT_MS = 60_000;

export interface DesksOptions extends Omit<ReplicaOptions, 'replica' | 'store' | 'nudge' | 'signal' | 'envelope'> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where peers reach the Worker. */
  readonly url: string;
  readonly openStore: () => Store;
  /** What is stored in confidence is sealed with it. Read anew for each desk: nothing that is waited for outlives its request. */
  readonly readEnvelope: () => Promise<Envelope | undefined>;
  /** The longest that a request may last. */
  readonly requestMsMax: number;
}

export interface Desk {
  readonly replica: Replica;
  readonly mirror: Mirror;
  readonly store: CountedStore;
  readonly madeAtMs: number;
  /** What is called when something may have to be done, since it has been written from here; set by whoever sits there. */
  onChange: () => void;
}

/** All desks are taken. */
export class NoDeskError extends Error {
  override readonly name = 'NoDeskError';
}

/** What is being put together for a request, or taken by it. */
interface Place {
  desk: Desk | null;
  readonly countsUntilMs: number;
}

export class Desks {
  readonly #options: DesksOptions;
  readonly #store: Store;
  /** Ends nothing: desks go with their isolate. */
  readonly #isolate = new AbortController().signal;
  #known: KnownState | null = null;
  #listingUntilMs = 0;
  #free: Desk[] = [];
  #taken: Place[] = [];

  constructor(options: DesksOptions) {
    this.#options = options;
    this.#store = options.openStore();
  }

  /** How many requests are served. */
  get taken(): number {
    return this.#taken.length;
  }

  /** Whether those who come next may soon find none. */
  get isCrowded(): boolean {
    return this.#taken.length >= DESKS_MAX * CROWDED_SHARE;
  }

  /**
   * A desk whose mirror stands at the store's present state, and may follow until the signal is aborted; `usual`, if that is free and still
   * of use. Throws {@link NoDeskError}, StoreUnavailableError and what reading the state throws.
   */
  async take(signal: AbortSignal, usual: Desk | null = null): Promise<Desk> {
    const place = this.#takePlace();
    try {
      const known = await this.#knownState(signal);
      const free = this.#takeFree(usual);
      place.desk = free;
      const desk = free ?? (await this.#make(known, signal));
      place.desk = desk;
      if (free !== null) await free.mirror.resume(signal);
      return desk;
    } catch (error) {
      this.#taken = this.#taken.filter((one) => one !== place);
      place.desk?.mirror.close();
      throw error;
    }
  }

  /** Once nothing that was opened at the desk is open any more. */
  giveBack(desk: Desk): void {
    desk.onChange = () => undefined;
    const place = this.#taken.find((one) => one.desk === desk);
    this.#taken = this.#taken.filter((one) => one !== place);
    if (place !== undefined) this.#free.push(desk);
    this.#free = this.#free.filter((one) => this.#isOfUse(one));
  }

  #takePlace(): Place {
    const { clock, requestMsMax } = this.#options;
    const nowMs = clock.now();
    const [left, taken] = [this.#taken.filter(hasLeft), this.#taken.filter((one) => !hasLeft(one))];
    for (const { desk } of left) desk?.mirror.close();
    this.#taken = taken;
    function hasLeft({ countsUntilMs }: Place): boolean {
      return countsUntilMs <= nowMs;
    }
    if (taken.length >= DESKS_MAX) throw new NoDeskError(`${DESKS_MAX} requests are served here at the moment`);
    const place: Place = { desk: null, countsUntilMs: nowMs + requestMsMax + LEFT_MS };
    taken.push(place);
    return place;
  }

  #takeFree(usual: Desk | null): Desk | null {
    this.#free = this.#free.filter((one) => this.#isOfUse(one));
    const desk = this.#free.find((one) => one === usual) ?? this.#free.at(-1) ?? null;
    this.#free = this.#free.filter((one) => one !== desk);
    return desk;
  }

  #isOfUse({ madeAtMs, mirror }: Desk): boolean {
    const isOfUse = this.#options.clock.now() - madeAtMs < DESK_AGE_MAX_MS && mirror.behind <= DESK_BEHIND_MAX;
    if (!isOfUse) mirror.close();
    return isOfUse;
  }

  async #make(known: KnownState, signal: AbortSignal): Promise<Desk> {
    const { clock, log, random, url } = this.#options;
    let sitter: Desk | null = null;
    const changed = () => sitter?.onChange();
    const store = new CountedStore(this.#store, changed);
    const mirror = Mirror.of(known, { store, clock, log });
    await mirror.resume(signal);
    const options: ReplicaOptions = {
      ...this.#options,
      ...{ store, nudge: changed, signal: this.#isolate },
      // One of its own, since what it puts on record goes with its requests.
      replica: { id: `edge-${randomId(random, 6)}`, url },
    };
    const envelope = await this.#options.readEnvelope();
    const replica = await assembleReplica({ ...options, envelope }, mirror, signal);
    sitter = { replica, mirror, store, madeAtMs: clock.now(), onChange: () => undefined };
    return sitter;
  }

  /** Of those who come to an isolate that knows nothing yet, one lists the state and the others wait for it. */
  async #knownState(signal: AbortSignal): Promise<KnownState> {
    const { clock, random } = this.#options;
    while (this.#known === null && clock.now() < this.#listingUntilMs) await sleep(clock, LISTING_LOOK_MS, signal);
    if (this.#known !== null) return this.#known;
    signal.throwIfAborted();
    this.#listingUntilMs = clock.now() + LISTING_MAX_MS;
    try {
      await ensureCluster(this.#store, random);
      const known = new KnownState(await Snapshot.load(new BoundedReads(this.#store)), HISTORY_MAX);
      this.#known ??= known;
    } finally {
      this.#listingUntilMs = 0;
    }
    return this.#known;
  }
}

/** Refuses to read more of a state than an isolate has room for. */
class BoundedReads implements Pick<Store, 'range'> {
  readonly #store: Store;
  #length = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  async range(request: RangeRequest): Promise<RangePage> {
    const page = await this.#store.range(request);
    for (const { value } of page.keyValues) this.#length += value.length;
    if (this.#length <= STATE_LENGTH_MAX) return page;
    throw new StoreUnavailableError(
      `the state is larger than the ${STATE_LENGTH_MAX / 1024 ** 2} MiB that a Worker has room for; use the Node.js replicas, or keep fewer ended jobs and tasks`,
    );
  }
}
