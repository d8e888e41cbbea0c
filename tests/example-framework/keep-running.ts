/**
 * A framework that keeps some tasks of one size running. Everything that one has to do is here once: subscribe, read the stream,
 * take what it needs of its offers and decline the rest, acknowledge what becomes of its tasks, and ask how they stand whenever a
 * stream begins, since the one before may have ended with news on its way.
 */
import { ApiError } from '../../shared/client/errors.ts';
import { FrameworkSession, type SessionClient } from '../../shared/client/framework-session.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { OfferView, TaskUpdateView } from '../../shared/protocol/framework.ts';

export interface Wish {
  readonly name: string;
  readonly role: string;
  readonly count: number;
  readonly image: string;
  readonly command: readonly string[];
  readonly cpus: number;
  readonly memMiB: number;
  readonly failoverTimeoutSeconds: number;
}

/** While it has all that it needs, it wants to hear no more of what it has seen. */
const REFUSE_SECONDS = 600;

export class KeepRunning {
  readonly session: FrameworkSession;
  readonly #wish: Wish;
  /** The states of its tasks that have not ended, by the names that it gave them. */
  readonly #tasks = new Map<string, string>();
  #launched = 0;
  #count: number;

  private constructor(session: FrameworkSession, wish: Wish) {
    this.session = session;
    this.#wish = wish;
    this.#count = wish.count;
  }

  /** Subscribes: as a new framework, or as the one that has this id. */
  static async begin(client: SessionClient, wish: Wish, id: string | null = null): Promise<KeepRunning> {
    const { name, role, failoverTimeoutSeconds, cpus, memMiB } = wish;
    const known = id === null ? {} : { id };
    // What is too little for one task is of no use, and as long as it is held it counts as this role's share.
    const minAllocatable = { [role]: [{ cpus, memMiB }] };
    const subscription = { ...known, name, roles: [role], failoverTimeoutSeconds, minAllocatable };
    const session = await FrameworkSession.begin(client, subscription);
    return new KeepRunning(session, wish);
  }

  /** The states of its tasks that have not ended. */
  get tasks(): ReadonlyMap<string, string> {
    return this.#tasks;
  }

  /** Keeps them running until the signal is aborted, or until somebody else acts for the framework. */
  async run(signal: AbortSignal): Promise<'aborted' | 'superseded' | 'ended'> {
    for await (const event of this.session.events(signal)) {
      switch (event.type) {
        case 'subscribed':
          await this.#lookAround();
          break;
        case 'offers':
          for (const offer of event.offers) await this.#answer(offer);
          break;
        case 'update':
          await this.#heard(event.update);
          break;
        case 'superseded':
        case 'ended':
          return event.type;
        default:
      }
    }
    return 'aborted';
  }

  /** Wants so many from now on. What is too many is killed. */
  async want(count: number): Promise<void> {
    this.#count = count;
    for (const task of [...this.#tasks.keys()].slice(count)) await this.session.kill(task);
    if (this.#missing() > 0) await this.session.revive();
  }

  #missing(): number {
    return Math.max(0, this.#count - this.#tasks.size);
  }

  async #lookAround(): Promise<void> {
    this.#tasks.clear();
    for (const { task, state } of await this.session.reconcile()) this.#tasks.set(task, state);
    if (this.#missing() > 0) await this.session.revive();
  }

  async #heard(update: TaskUpdateView): Promise<void> {
    const { task, state } = update;
    if (state === 'unknown' || isTerminal(state)) this.#tasks.delete(task);
    else this.#tasks.set(task, state);
    await this.session.acknowledge(update);
    if (this.#missing() > 0) await this.session.revive();
  }

  async #answer(offer: OfferView): Promise<void> {
    // It may have been answered, or taken back, while an earlier one was being answered.
    if (!this.session.offers.has(offer.id)) return;
    const names = Array.from({ length: Math.min(this.#missing(), this.#fitting(offer)) }, () => this.#nextName());
    if (names.length === 0) {
      await this.session.decline([offer.id], this.#missing() > 0 ? {} : { refuseSeconds: REFUSE_SECONDS });
      return;
    }
    const { image, command, cpus, memMiB } = this.#wish;
    const tasks = names.map((task) => ({ task, image, command: [...command], resources: { cpus, memMiB } }));
    for (const name of names) this.#tasks.set(name, 'staging');
    try {
      await this.session.accept({ offers: [offer.id], operations: [{ type: 'launch', tasks }] });
    } catch (error) {
      for (const name of names) this.#tasks.delete(name);
      // It expired or was withdrawn on the way. Another one will come.
      if (!(error instanceof ApiError) || error.code !== 'offer-gone') throw error;
      // Meanwhile it has declined what it seemed not to need.
      await this.session.revive();
    }
  }

  #fitting({ resources }: OfferView): number {
    const { cpus, memMiB } = this.#wish;
    return Math.floor(Math.min(resources.cpus / cpus, resources.memMiB / memMiB) + 1e-9);
  }

  /** Never one that it has used before: sessions are counted. */
  #nextName(): string {
    this.#launched += 1;
    return `${this.#wish.name}-${this.session.session}-${this.#launched}`;
  }
}
