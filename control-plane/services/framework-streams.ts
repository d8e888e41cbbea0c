/**
 * The streams that frameworks have open on this replica. While one is, `connections/<framework>` says so, under a lease of this
 * replica: if it dies, the framework counts as disconnected, unless another replica has taken its stream over by then, by a
 * compare. Of several streams to one framework the last that was opened counts, on whichever replica; the others are told and end.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { sleep, type Timer } from '../../shared/util/clock.ts';
import type { Principal } from '../auth/principal.ts';
import { LeaseGoneError } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Change } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { actingFramework, demandStanding, reachSession } from './framework-access.ts';
import { FrameworkFeed } from './framework-feed.ts';
import { dropMessages, outgoingMessages } from './framework-messages.ts';
import { endedOffers, FrameworkOffers } from './framework-offers.ts';
import { StreamLease } from './stream-lease.ts';

/** A comment comes at least this often, so that whoever reads can tell silence from an end. */
export const FRAMEWORK_HEARTBEAT_MS = 5000;

/** How long a framework whose replica has died still counts as connected. */
const LEASE_TTL_SECONDS = 10;

/** Frameworks that may have a stream on one replica. */
const STREAMS_MAX = 10_000;

const CLAIMS_MAX = 16;
const CATCH_UP_MS = 2000;
const RETRY: BackoffPolicy = { baseMs: 100, factor: 2, maxMs: 5000 };

/** How long another replica may take to take a question on to the stream that it holds. */
const PEER_MS = 2000;

/** How this replica reaches the others. */
export interface Peers {
  readonly peerToken: () => Promise<string>;
  readonly fetch: typeof fetch;
}

export interface StreamOpening {
  readonly id: FrameworkId;
  readonly session: number;
  /** Ends the stream. To be aborted when the reader has had enough, whatever the reason. */
  readonly signal: AbortSignal;
}

/** One stream, from its opening to its end. */
class OpenStream {
  readonly framework: FrameworkId;
  readonly session: number;
  readonly feed: FrameworkFeed;
  /** The revision of the record that says that it is open; 0: it is being put. */
  claim = 0;
  isClosed = false;
  /** Messages that were sent on it and may still be on record. */
  readonly toldMessages = new Set<string>();
  #wake = () => {};
  #isWoken = false;
  #isBroken = false;

  constructor({ id, session }: StreamOpening) {
    this.framework = id;
    this.session = session;
    this.feed = new FrameworkFeed(id);
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The history that it was opened in is lost; whoever reads opens it anew. */
  breakOff(): void {
    this.#isBroken = true;
  }

  wake(): void {
    this.#isWoken = true;
    this.#wake();
  }

  /** Resolves when it was woken since the last time, or when the signal is aborted. */
  woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        this.#isWoken = false;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
      if (this.#isWoken || signal.aborted) done();
    });
  }
}

export class FrameworkStreams {
  readonly #ctx: ServiceContext;
  readonly #peers: Peers;
  readonly #lease: StreamLease;
  readonly #offers: FrameworkOffers;
  readonly #open = new Map<FrameworkId, Set<OpenStream>>();
  readonly #over = new AbortController();
  #count = 0;

  /** All streams end with the signal. */
  constructor(ctx: ServiceContext, peers: Peers, signal: AbortSignal) {
    this.#ctx = ctx;
    this.#peers = peers;
    this.#lease = new StreamLease({ ...ctx, ttlSeconds: LEASE_TTL_SECONDS });
    this.#offers = new FrameworkOffers(ctx.mirror.snapshot.ledgers.values());
    const unsubscribe = ctx.mirror.subscribe((changes, _revision, reset) => this.#changed(changes, reset));
    const end = () => {
      unsubscribe();
      this.#over.abort();
    };
    signal.addEventListener('abort', end, { once: true });
  }

  /**
   * Opens a stream to the framework in its present session, in the place of any other. What it yields, some events at a time,
   * ends with `superseded` or `ended`, or when the signal is aborted. Throws what `actingFramework` throws.
   */
  async open(principal: Principal, opening: StreamOpening): Promise<AsyncGenerator<readonly FrameworkEvent[], void>> {
    const ctx = this.#ctx;
    await reachSession(ctx, opening);
    actingFramework(ctx, principal, opening);
    if (this.#count >= STREAMS_MAX) {
      throw new Refusal('limit-exceeded', `${STREAMS_MAX} frameworks have a stream on this replica; try another one`, {
        retryAfterSeconds: 5,
      });
    }
    const stream = new OpenStream(opening);
    this.#register(stream);
    try {
      await this.#claim(stream, () => actingFramework(ctx, principal, opening));
    } catch (error) {
      this.#close(stream);
      throw error;
    }
    return this.#follow(stream, opening.signal);
  }

  /**
   * Has the framework's stream, on whichever replica it is open, say how these tasks stand, or (null) all that have not ended. At
   * most once: what doesn't come to the stream is asked for again by whoever needs it.
   */
  async ask(framework: FrameworkId, names: readonly string[] | null): Promise<void> {
    if (this.askHere(framework, names)) return;
    const { mirror, replica, clock, log } = this.#ctx;
    const holder = mirror.snapshot.connections.get(framework)?.replica;
    const peer = holder === undefined ? undefined : mirror.snapshot.replicas.get(holder);
    if (peer === undefined || peer.id === replica.id) return;
    const over = new AbortController();
    const timer = clock.setTimer(PEER_MS, () => over.abort());
    try {
      await this.#peers.fetch(new URL(`/v1/peer/frameworks/${framework}/asked`, peer.url), {
        method: 'POST',
        headers: { authorization: `Bearer ${await this.#peers.peerToken()}`, 'content-type': 'application/json' },
        body: JSON.stringify({ tasks: names }),
        signal: over.signal,
      });
    } catch (error) {
      log.debug({ error, framework, replica: peer.id }, "the replica that holds a framework's stream was not reached");
    } finally {
      timer.cancel();
    }
  }

  /** The same, where the stream is open on this replica. False: none is, or it has too much to answer already. */
  askHere(framework: FrameworkId, names: readonly string[] | null): boolean {
    const asked = [...(this.#open.get(framework) ?? [])].filter((stream) => stream.feed.ask(names));
    for (const stream of asked) stream.wake();
    return asked.length > 0;
  }

  #register(stream: OpenStream): void {
    this.#count += 1;
    this.#lease.hold();
    const others = this.#open.get(stream.framework) ?? new Set();
    this.#open.set(stream.framework, others.add(stream));
  }

  /** Puts on record that the stream is open; the framework is connected from then on. */
  async #claim(stream: OpenStream, present: () => Framework): Promise<void> {
    const { mirror, store } = this.#ctx;
    const id = stream.framework;
    stream.claim = 0;
    for (let tries = 0; tries < CLAIMS_MAX; tries++) {
      const result = await this.#withLease((lease) => {
        // Read once the lease is there, like what is compared: the framework may have moved on while it was waited for.
        const framework = present();
        return store.transact({
          compares: [keys.framework(id), keys.connection(id)].map((key) => ({
            key,
            modRevision: mirror.snapshot.modRevision(key),
          })),
          writes: [
            putRecord(
              'connections',
              keys.connection(id),
              { session: stream.session, replica: this.#ctx.replica.id },
              lease,
            ),
            ...(framework.disconnectedSinceMs === null
              ? []
              : [putRecord('frameworks', keys.framework(id), { ...framework, disconnectedSinceMs: null })]),
          ],
        });
      });
      if (result.committed) {
        stream.claim = result.revision;
        return;
      }
      await mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
    }
    throw new Refusal('conflict', `framework "${id}" kept changing; open its stream again`, { retryAfterSeconds: 1 });
  }

  async #withLease<T>(write: (lease: string) => Promise<T>): Promise<T> {
    try {
      return await write(await this.#lease.id());
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
      this.#lease.drop();
      return write(await this.#lease.id());
    }
  }

  async *#follow(stream: OpenStream, reader: AbortSignal): AsyncGenerator<readonly FrameworkEvent[], void> {
    const signal = AbortSignal.any([reader, this.#over.signal]);
    const { clock, mirror } = this.#ctx;
    let timer: Timer | null = null;
    try {
      yield [
        {
          type: 'subscribed',
          framework: stream.framework,
          session: stream.session,
          heartbeatSeconds: FRAMEWORK_HEARTBEAT_MS / 1000,
        },
      ];
      while (!signal.aborted && !stream.isBroken) {
        this.#keepClaim(stream);
        const end = this.#endOf(stream);
        if (end !== null) return yield [end];
        const { ids, events } = outgoingMessages(mirror.snapshot, stream.framework, stream.toldMessages);
        if (ids.length > 0) {
          yield events;
          for (const id of ids) stream.toldMessages.add(id);
          // Not waited for: what comes next needn't.
          void dropMessages(this.#ctx, ids);
        }
        const monotonicMs = clock.monotonicMs();
        const offers = this.#offers.of(stream.framework);
        const step = stream.feed.step({ cluster: mirror.snapshot, offers, nowMs: clock.now(), monotonicMs });
        if (step.events.length > 0) {
          yield step.events;
          continue;
        }
        if (step.wakeAtMs !== null) timer = clock.setTimer(step.wakeAtMs - monotonicMs, () => stream.wake());
        await stream.woken(signal);
        timer?.cancel();
      }
    } finally {
      timer?.cancel();
      this.#close(stream);
    }
  }

  /** What the stream ends with, if another one counts by now or the framework is gone. */
  #endOf({ framework: id, session, claim }: OpenStream): FrameworkEvent | null {
    const { snapshot } = this.#ctx.mirror;
    const framework = snapshot.frameworks.get(id);
    if (framework === undefined) return { type: 'ended', message: 'its record is gone' };
    const { teardown } = framework;
    if (teardown !== null) return { type: 'ended', message: `torn down by ${teardown.by}: ${teardown.reason}` };
    if (framework.session > session) {
      const message = `it has subscribed anew, and is at session ${framework.session}`;
      return { type: 'superseded', session: framework.session, message };
    }
    if (claim === 0 || snapshot.modRevision(keys.connection(id)) <= claim) return null;
    return { type: 'superseded', session, message: 'its stream was opened anew' };
  }

  #changed(changes: readonly Change[], reset: boolean): void {
    if (reset) for (const id of this.#open.keys()) this.#each(id, (stream) => stream.breakOff());
    for (const change of changes) {
      switch (change.kind) {
        case 'ledger':
          for (const id of this.#offers.changed(change)) this.#each(id, ({ feed }) => feed.offersMoved());
          for (const { framework, offer, because } of endedOffers(change)) {
            this.#each(framework, ({ feed }) => feed.offerGone(offer, because));
          }
          break;
        case 'tasks':
          for (const task of [change.before, change.after]) this.#touch(task?.framework?.id, change.id);
          break;
        case 'alive':
        case 'epochs':
          for (const task of this.#ctx.mirror.snapshot.tasksOnNode(change.id)) this.#touch(task.framework?.id, task.id);
          break;
        case 'frameworks':
          this.#each(change.id, () => {});
          break;
        case 'messages':
          this.#messageChanged(change);
          break;
        case 'connections':
          this.#each(change.id, (stream) => this.#keepClaim(stream));
          this.#dropStray(change.id);
          break;
        default:
      }
    }
  }

  #messageChanged({ id, before, after }: Extract<Change, { readonly kind: 'messages' }>): void {
    const message = after ?? before;
    if (message?.to !== 'framework') return;
    this.#each(message.framework, ({ toldMessages }) => {
      if (after === null) toldMessages.delete(id);
    });
  }

  #touch(framework: FrameworkId | undefined, task: string): void {
    if (framework !== undefined) this.#each(framework, ({ feed }) => feed.touch(task));
  }

  #each(framework: FrameworkId, tell: (stream: OpenStream) => void): void {
    for (const stream of this.#open.get(framework) ?? []) {
      tell(stream);
      stream.wake();
    }
  }

  /** A record that went with its lease, though its stream is open, is put again. */
  #keepClaim(stream: OpenStream): void {
    const { snapshot } = this.#ctx.mirror;
    const isOnRecord = snapshot.modRevision(keys.connection(stream.framework)) > 0;
    if (stream.claim === 0 || snapshot.revision < stream.claim || isOnRecord || this.#endOf(stream) !== null) return;
    void this.#reclaim(stream);
  }

  /** One of this replica to a stream that isn't open any more was put too late, by a write whose outcome nobody heard of. */
  #dropStray(id: FrameworkId): void {
    const { snapshot } = this.#ctx.mirror;
    if (this.#open.has(id) || snapshot.connections.get(id)?.replica !== this.#ctx.replica.id) return;
    void this.#release(id, snapshot.modRevision(keys.connection(id)));
  }

  /** Never rejects. */
  async #reclaim(stream: OpenStream): Promise<void> {
    await this.#persist(
      () => this.#claim(stream, () => this.#presentOf(stream)),
      () => stream.isClosed,
    );
    if (stream.isClosed && stream.claim > 0) await this.#release(stream.framework, stream.claim);
    stream.wake();
  }

  #presentOf({ framework: id, session }: OpenStream): Framework {
    const framework = this.#ctx.mirror.snapshot.frameworks.get(id);
    if (framework === undefined || framework.session !== session) throw new Refusal('session-moved', 'it has moved on');
    demandStanding(framework);
    return framework;
  }

  #close(stream: OpenStream): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    this.#count -= 1;
    const others = this.#open.get(stream.framework);
    others?.delete(stream);
    if (others?.size === 0) this.#open.delete(stream.framework);
    const released = stream.claim > 0 ? this.#release(stream.framework, stream.claim) : Promise.resolve();
    released.finally(() => this.#lease.release()).catch(() => undefined);
  }

  /** Takes the record of a stream off, if it still is of that one. Never rejects. */
  async #release(id: FrameworkId, modRevision: number): Promise<void> {
    const key = keys.connection(id);
    await this.#persist(
      async () => {
        await this.#ctx.store.transact({ compares: [{ key, modRevision }], writes: [{ type: 'delete', key }] });
        this.#ctx.nudge();
      },
      () => this.#over.signal.aborted,
    );
  }

  /** Tries until it is done or needn't be any more: a record that stays would keep a framework connected for ever. */
  async #persist(act: () => Promise<void>, isNeedless: () => boolean): Promise<void> {
    const { clock, random, log } = this.#ctx;
    for (let failures = 0; ; failures++) {
      try {
        return await act();
      } catch (error) {
        if (error instanceof Refusal && error.code !== 'conflict') return;
        log.debug({ error }, "the record of a framework's stream could not be changed; trying again");
      }
      if (isNeedless() || this.#over.signal.aborted) return;
      await sleep(clock, jitteredBackoffMs(RETRY, failures, random.next()), this.#over.signal);
    }
  }
}
