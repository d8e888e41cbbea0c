/**
 * The streams that frameworks have open on this replica. While one is, a record says so (see `connection-claims.ts`), under a lease
 * of this replica: if it dies, the framework counts as disconnected, unless another replica has taken its stream over by then, by a
 * compare. Of several streams to one framework the last that was opened counts, on whichever replica; the others are told and end.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import { frameworksOn } from '../../shared/domain/maintenance.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import type { Timer } from '../../shared/util/clock.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import type { Change } from '../store/snapshot.ts';
import { ConnectionClaims } from './connection-claims.ts';
import type { ServiceContext } from './context.ts';
import { actingFramework, demandStanding, reachSession } from './framework-access.ts';
import { dropMessages, outgoingMessages } from './framework-messages.ts';
import { endedOffers, FrameworkOffers } from './framework-offers.ts';
import { FrameworkPeers, type Peers } from './framework-peers.ts';
import { lostNodes } from './lost-nodes.ts';
import { OpenStream, type StreamOpening } from './open-stream.ts';

/** A comment comes at least this often, so that whoever reads can tell silence from an end. */
export const FRAMEWORK_HEARTBEAT_MS = 5000;

/** Frameworks that may have a stream on one replica. */
const STREAMS_MAX = 10_000;

export class FrameworkStreams {
  readonly #ctx: ServiceContext;
  readonly #peers: FrameworkPeers;
  readonly #claims: ConnectionClaims;
  readonly #offers: FrameworkOffers;
  readonly #open = new Map<FrameworkId, Set<OpenStream>>();
  readonly #over = new AbortController();
  #count = 0;

  /** All streams end with the signal. */
  constructor(ctx: ServiceContext, peers: Peers, signal: AbortSignal) {
    this.#ctx = ctx;
    this.#peers = new FrameworkPeers(ctx, peers);
    this.#claims = new ConnectionClaims(ctx, this.#over.signal);
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
      await this.#claims.put(stream, () => actingFramework(ctx, principal, opening));
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
    if (!this.askHere(framework, names)) await this.#peers.ask(framework, names);
  }

  /** The same, where the stream is open on this replica. False: none is, or it has too much to answer already. */
  askHere(framework: FrameworkId, names: readonly string[] | null): boolean {
    const asked = [...(this.#open.get(framework) ?? [])].filter((stream) => stream.feed.ask(names));
    for (const stream of asked) stream.wake();
    return asked.length > 0;
  }

  /**
   * Has the framework's stream, on whichever replica it is open, say these events, all of them in their order or none. At most once:
   * they are kept nowhere else, a stream that breaks off loses them, and no other replica takes more of them than a request may hold.
   * Answers whether they went to a stream, as far as is known.
   */
  async tell(framework: FrameworkId, events: readonly FrameworkEvent[]): Promise<boolean> {
    return this.tellHere(framework, events) || (await this.#peers.tell(framework, events));
  }

  /** The same, where the stream is open on this replica. False: none is that counts, or too much waits for it to be said. */
  tellHere(framework: FrameworkId, events: readonly FrameworkEvent[]): boolean {
    const present = [...(this.#open.get(framework) ?? [])].filter((stream) => this.#endOf(stream) === null);
    const told = present.filter((stream) => stream.tell(events));
    for (const stream of told) stream.wake();
    return told.length > 0;
  }

  #register(stream: OpenStream): void {
    this.#count += 1;
    this.#claims.hold();
    const others = this.#open.get(stream.framework) ?? new Set();
    this.#open.set(stream.framework, others.add(stream));
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
        const said = [...step.events, ...stream.takeTold()];
        if (said.length > 0) {
          yield said;
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
          if (this.#ctx.mirror.snapshot.maintenance.has(change.id)) this.#touchMaintenance(change.id);
          break;
        case 'maintenance':
          this.#touchMaintenance(change.id);
          for (const id of this.#open.keys()) this.#retouchMaintenance(id, change.id);
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
        case 'operations':
          this.#each((change.after ?? change.before)?.framework ?? '', ({ feed }) => feed.operations.moved());
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
    const { snapshot } = this.#ctx.mirror;
    for (const { node, frameworks } of lostNodes(changes, snapshot)) {
      const lost = { type: 'node-lost', node, host: snapshot.nodes.get(node)?.hostname ?? null } as const;
      for (const id of frameworks) this.tellHere(id, [lost]);
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

  /** For those who have something on the node. */
  #touchMaintenance(node: NodeId): void {
    const ledger = this.#ctx.mirror.snapshot.ledgers.get(node);
    if (ledger === undefined) return;
    for (const id of frameworksOn(ledger)) this.#each(id, ({ feed }) => feed.maintenance.touch(node));
  }

  /** And for those who were told of it, if they have left since. */
  #retouchMaintenance(framework: FrameworkId, node: NodeId): void {
    for (const stream of this.#open.get(framework) ?? []) {
      if (!stream.feed.maintenance.hasTold(node)) continue;
      stream.feed.maintenance.touch(node);
      stream.wake();
    }
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

  /**
   * A record of this replica whose stream isn't open any more was put by a write whose outcome nobody heard of. `released`: the
   * revision of one that is being taken off already.
   */
  #dropStray(id: FrameworkId, released = 0): void {
    const { snapshot } = this.#ctx.mirror;
    if (this.#open.has(id) || snapshot.connections.get(id)?.replica !== this.#ctx.replica.id) return;
    const modRevision = snapshot.modRevision(keys.connection(id));
    if (modRevision !== released) void this.#claims.release(id, modRevision);
  }

  /** Never rejects. Where another replica holds the stream by now, that one was opened later: then this one ends. */
  async #reclaim(stream: OpenStream): Promise<void> {
    const former = stream.claim;
    await this.#claims.persist(
      () => this.#claims.put(stream, () => this.#presentOf(stream)),
      () => stream.isClosed,
    );
    if (stream.claim === 0) stream.claim = former;
    else if (stream.isClosed) await this.#claims.release(stream.framework, stream.claim);
    stream.wake();
  }

  #presentOf({ framework: id, session }: OpenStream): Framework {
    const { snapshot } = this.#ctx.mirror;
    const framework = snapshot.frameworks.get(id);
    const holder = snapshot.connections.get(id)?.replica ?? this.#ctx.replica.id;
    if (framework === undefined || framework.session !== session || holder !== this.#ctx.replica.id) {
      throw new Refusal('session-moved', 'it has moved on');
    }
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
    const released = stream.claim > 0 ? this.#claims.release(stream.framework, stream.claim) : Promise.resolve();
    released.finally(() => this.#claims.letGo()).catch(() => undefined);
    // The mirror may have shown it while this stream was still open; no change would come to tell of it again.
    this.#dropStray(stream.framework, stream.claim);
  }
}
