/**
 * One session of a framework, for whoever writes one: its stream, the offers that it holds, and the calls that name the session.
 * It goes on over lost connections and replicas by itself; the address of each is the client's to know.
 */
import type {
  Acknowledged,
  FrameworkEvent,
  FrameworkView,
  OfferView,
  SubscriptionInput,
  TaskUpdateView,
} from '../protocol/framework.ts';
import type { FrameworkCalls } from './frameworks.ts';

export class FrameworkSession {
  readonly id: string;
  readonly session: number;
  readonly #calls: FrameworkCalls;
  readonly #offers = new Map<string, OfferView>();

  constructor(calls: FrameworkCalls, { id, session }: Pick<FrameworkView, 'id' | 'session'>) {
    this.#calls = calls;
    this.id = id;
    this.session = session;
  }

  /** Subscribes, as a new framework or (with an id) as one that comes back. */
  static async begin(calls: FrameworkCalls, subscription: SubscriptionInput): Promise<FrameworkSession> {
    return new FrameworkSession(calls, await calls.subscribe(subscription));
  }

  /** All that stand, as far as the events that were read say so, but for those that were answered. */
  get offers(): ReadonlyMap<string, OfferView> {
    return this.#offers;
  }

  /** Reads the stream: see {@link FrameworkCalls.events}. To be read by one reader at a time. */
  async *events(signal: AbortSignal): AsyncGenerator<FrameworkEvent, void> {
    for await (const event of this.#calls.events(this.id, { session: this.session, signal })) {
      this.#take(event);
      yield event;
    }
  }

  /** These offers are being answered: they can't be answered again. */
  answered(offers: readonly string[]): void {
    for (const id of offers) this.#offers.delete(id);
  }

  /** Of the updates, those that want to be acknowledged are. */
  async acknowledge(...updates: readonly TaskUpdateView[]): Promise<Acknowledged> {
    const ids = updates.flatMap(({ id }) => id ?? []);
    if (ids.length === 0) return { results: [] };
    return this.#calls.acknowledge(this.id, { session: this.session, updates: ids });
  }

  /** Answers how the task stands; its end comes as an update. */
  kill(task: string, options: { graceSeconds?: number } = {}): Promise<TaskUpdateView> {
    return this.#calls.kill(this.id, { session: this.session, task, ...options });
  }

  /** How these tasks stand, or (without names) all that have not ended. */
  async reconcile(tasks?: readonly string[]): Promise<TaskUpdateView[]> {
    return (await this.#calls.reconcile(this.id, { session: this.session, tasks })).updates;
  }

  /** Ends the framework for good, and with it its tasks. */
  tearDown(reason?: string): Promise<FrameworkView> {
    return this.#calls.tearDown(this.id, reason === undefined ? {} : { reason });
  }

  #take(event: FrameworkEvent): void {
    switch (event.type) {
      case 'subscribed':
      case 'superseded':
      case 'ended':
        // A stream that begins tells all offers that stand.
        this.#offers.clear();
        return;
      case 'offers':
        for (const offer of event.offers) this.#offers.set(offer.id, offer);
        return;
      case 'offer-gone':
        this.#offers.delete(event.offer);
        return;
      default:
    }
  }
}
