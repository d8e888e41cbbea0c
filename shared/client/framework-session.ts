/**
 * One session of a framework, for whoever writes one: its stream, the offers that it holds, and the calls that name the session.
 * It goes on over lost connections and replicas by itself; the address of each is the client's to know.
 */
import type {
  Acknowledged,
  AcknowledgedOperations,
  FrameworkEvent,
  FrameworkUpdateInput,
  FrameworkView,
  OfferView,
  OperationStatusView,
  SentMessage,
  SubscriptionInput,
  TaskUpdateView,
} from '../protocol/framework.ts';
import type { AcceptedView, AcceptInput, DeclinedView, OfferWishesView } from '../protocol/offers.ts';
import type { BerthClient } from './client.ts';

/** The calls that a session makes. */
export type SessionClient = Pick<BerthClient, 'frameworks' | 'offers'>;

export class FrameworkSession {
  readonly id: string;
  readonly session: number;
  readonly #client: SessionClient;
  readonly #offers = new Map<string, OfferView>();

  constructor(client: SessionClient, { id, session }: Pick<FrameworkView, 'id' | 'session'>) {
    this.#client = client;
    this.id = id;
    this.session = session;
  }

  /** Subscribes, as a new framework or (with an id) as one that comes back. */
  static async begin(client: SessionClient, subscription: SubscriptionInput): Promise<FrameworkSession> {
    return new FrameworkSession(client, await client.frameworks.subscribe(subscription));
  }

  /** All that stand, as far as the events that were read say so, but for those that were answered. */
  get offers(): ReadonlyMap<string, OfferView> {
    return this.#offers;
  }

  /** Reads the stream: see {@link FrameworkCalls.events}. To be read by one reader at a time. */
  async *events(signal: AbortSignal): AsyncGenerator<FrameworkEvent, void> {
    for await (const event of this.#client.frameworks.events(this.id, { session: this.session, signal })) {
      this.#take(event);
      yield event;
    }
  }

  /** Uses offers of one node: carries the operations out, and gives back what they leave over. */
  accept(answer: Omit<AcceptInput, 'session'>): Promise<AcceptedView> {
    this.#answered(answer.offers);
    return this.#client.offers.accept(this.id, { ...answer, session: this.session });
  }

  /** Wants none of these offers, nor what they hold for a while. */
  decline(offers: readonly string[], options: { refuseSeconds?: number } = {}): Promise<DeclinedView> {
    this.#answered(offers);
    return this.#client.offers.decline(this.id, { session: this.session, offers: [...offers], ...options });
  }

  /** Wants to be offered again what it has refused, in these roles or in all of its own. */
  revive(roles?: readonly string[]): Promise<OfferWishesView> {
    return this.#client.offers.revive(this.id, this.#wish(roles));
  }

  /** Wants no offers for now, in these roles or in any. */
  suppress(roles?: readonly string[]): Promise<OfferWishesView> {
    return this.#client.offers.suppress(this.id, this.#wish(roles));
  }

  /** Replaces all that it said when it subscribed. Offers that it no longer wants are withdrawn. */
  update(wishes: Omit<FrameworkUpdateInput, 'session'>): Promise<FrameworkView> {
    return this.#client.frameworks.update(this.id, { ...wishes, session: this.session });
  }

  /** Of the updates, those that want to be acknowledged are. */
  async acknowledge(...updates: readonly TaskUpdateView[]): Promise<Acknowledged> {
    const ids = updates.flatMap(({ id }) => id ?? []);
    if (ids.length === 0) return { results: [] };
    return this.#client.frameworks.acknowledge(this.id, { session: this.session, updates: ids });
  }

  /** Answers how the task stands; its end comes as an update. */
  kill(task: string, options: { graceSeconds?: number } = {}): Promise<TaskUpdateView> {
    return this.#client.frameworks.kill(this.id, { session: this.session, task, ...options });
  }

  /** Says something to an executor, or to a task that one runs; what they say comes as `message`. Best effort. */
  message(task: string, data: string): Promise<SentMessage> {
    return this.#client.frameworks.message(this.id, { session: this.session, task, data });
  }

  /** How these tasks stand, or (without names) all that have not ended. */
  async reconcile(tasks?: readonly string[]): Promise<TaskUpdateView[]> {
    return (await this.#client.frameworks.reconcile(this.id, { session: this.session, tasks })).updates;
  }

  /** Of the statuses, those that want to be acknowledged are. */
  async acknowledgeOperations(...statuses: readonly OperationStatusView[]): Promise<AcknowledgedOperations> {
    const operations = statuses.flatMap(({ id }) => id ?? []);
    if (operations.length === 0) return { results: [] };
    return this.#client.frameworks.acknowledgeOperations(this.id, { session: this.session, operations });
  }

  /** How the operations of these names stand, or (without names) all that were carried out and are not acknowledged. */
  async reconcileOperations(operations?: readonly string[]): Promise<OperationStatusView[]> {
    const answer = await this.#client.frameworks.reconcileOperations(this.id, { session: this.session, operations });
    return answer.operations;
  }

  /** Ends the framework for good, and with it its tasks. */
  tearDown(reason?: string): Promise<FrameworkView> {
    return this.#client.frameworks.tearDown(this.id, reason === undefined ? {} : { reason });
  }

  #wish(roles: readonly string[] | undefined): { session: number; roles?: string[] } {
    return { session: this.session, ...(roles !== undefined && { roles: [...roles] }) };
  }

  /** They can't be answered again. */
  #answered(offers: readonly string[]): void {
    for (const id of offers) this.#offers.delete(id);
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
