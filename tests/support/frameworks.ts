/** What tests of frameworks put on record by hand, and how they read a framework's stream. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import type { ServiceContext } from '../../control-plane/services/context.ts';
import { FrameworkStreams } from '../../control-plane/services/framework-streams.ts';
import type { Store } from '../../control-plane/store/contract.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import { taskId } from '../../shared/domain/ids.ts';
import { addEntries, addOffers, type Ledger } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { Task } from '../../shared/domain/task.ts';
import { advance } from '../../shared/domain/task.ts';
import {
  type FrameworkEvent,
  type Subscription,
  type SubscriptionInput,
  subscriptionSchema,
} from '../../shared/protocol/framework.ts';
import { present } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { aGroup, aJob, anEntry, anOffer, aTask, T0 } from './builders.ts';
import { changed } from './changed-store.ts';
import { ADMIN, caughtUp, startReplica, type TestReplica } from './replica.ts';

export function subscriptionOf(input: Partial<SubscriptionInput> = {}): Subscription {
  return subscriptionSchema.parse({ name: 'painter', roles: ['default'], ...input });
}

/** A task that a framework has launched, as it stands before its agent has said anything, or in the state that the change names. */
export function launchedTask(
  framework: string,
  name: string,
  { state = 'staging', ...change }: Partial<Task> = {},
): Task {
  const place = { jobName: 'painter', jobUid: framework, jobVersion: 1, group: name, index: 0, attempt: 0 };
  const launched = { state: 'staging', atMs: T0, reason: 'launched', message: 'launched' } as const;
  const task: Task = {
    ...aTask(aJob()),
    ...place,
    id: taskId(place),
    state: 'staging',
    history: [launched],
    node: 'edge-1',
    framework: { id: framework, name, acknowledged: 1, labels: {}, annotations: {}, together: null },
    template: { group: aGroup({ name }), priority: 50, replaceAfterSeconds: 60 },
    ...change,
  };
  if (state === 'staging') return task;
  return advance(task, { state, atMs: T0 + 1, reason: 'started', message: state });
}

/** Changes records as another part would: an allocator that makes offers, an accept that launches, an agent that reports. */
export class Hand {
  readonly #ctx: ServiceContext;

  constructor(ctx: ServiceContext) {
    this.#ctx = ctx;
  }

  async offer(framework: string, change: Partial<Offer> & { node?: string } = {}): Promise<Offer> {
    const { node = 'edge-1', ...rest } = change;
    const offer = { ...anOffer({ framework }), ...rest };
    await this.ledger(node, (ledger) => addOffers(ledger, [offer]));
    return offer;
  }

  async launch(framework: string, name: string, change: Partial<Task> = {}): Promise<Task> {
    const task = launchedTask(framework, name, change);
    const entry = anEntry(aJob(), task, { framework, jobUid: framework });
    await this.put(task);
    if (task.node !== null) await this.ledger(task.node, (ledger) => addEntries(ledger, [entry]));
    return task;
  }

  /** The task goes on to another state, whatever it is in. */
  async report(id: string, state: Task['state']): Promise<Task> {
    await caughtUp(this.#ctx);
    const before = this.#ctx.mirror.snapshot.tasks.get(id);
    if (before === undefined) throw new Error(`there is no task ${id}`);
    const task = advance(before, { state, atMs: T0 + 2, reason: 'exited', message: `it is ${state}` });
    await this.put(task);
    return task;
  }

  async put(task: Task): Promise<void> {
    await this.#ctx.store.transact({ compares: [], writes: [putRecord('tasks', keys.task(task.id), task)] });
    await caughtUp(this.#ctx);
  }

  async ledger(node: string, change: (ledger: Ledger) => Ledger): Promise<void> {
    await caughtUp(this.#ctx);
    const ledger = this.#ctx.mirror.snapshot.ledgers.get(node);
    if (ledger === undefined) throw new Error(`there is no ledger of node ${node}`);
    await this.#ctx.store.transact({ compares: [], writes: [putRecord('ledger', keys.ledger(node), change(ledger))] });
    await caughtUp(this.#ctx);
  }
}

/** A replica's services, with the streams of frameworks that are open on it. */
export interface Side {
  readonly replica: TestReplica;
  readonly streams: FrameworkStreams;
  readonly hand: Hand;
  /** The replica goes away: its streams end. */
  stop(): void;
}

export async function startSide(store: Store, id: string, clock: Clock = new SystemClock()): Promise<Side> {
  const replica = await startReplica({ store, id, clock });
  const ending = new AbortController();
  const streams = new FrameworkStreams(replica.ctx, NO_PEERS, ending.signal);
  const stop = () => {
    ending.abort();
    replica.stop();
  };
  return { replica, streams, hand: new Hand(replica.ctx), stop };
}

/** The services of a replica, where the framework subscribes anew elsewhere right before they first put a key like that. */
export function overtaken(ctx: ServiceContext, framework: string, isIt: (key: string) => boolean): ServiceContext {
  let isOvertaken = false;
  const store: Store = changed(ctx.store, {
    async transact(transaction) {
      if (!isOvertaken && transaction.writes.some(({ key }) => isIt(key))) {
        isOvertaken = true;
        const key = keys.framework(framework);
        const record = present(ctx.mirror.snapshot.frameworks.get(framework), 'the framework');
        const moved = { ...record, session: record.session + 1 };
        await ctx.store.transact({ compares: [], writes: [putRecord('frameworks', key, moved)] });
      }
      return ctx.store.transact(transaction);
    },
  });
  return { ...ctx, store };
}

const NO_PEERS = {
  peerToken: async () => 'token',
  fetch: async () => {
    throw new TypeError('nothing answers');
  },
};

/** A reader of one stream. */
export class FrameworkReader {
  readonly #batches: AsyncGenerator<readonly FrameworkEvent[], void>;
  readonly #over: AbortController;
  readonly #unread: FrameworkEvent[] = [];

  private constructor(batches: AsyncGenerator<readonly FrameworkEvent[], void>, over: AbortController) {
    this.#batches = batches;
    this.#over = over;
  }

  static async open({ streams }: Side, id: string, session: number, principal = ADMIN): Promise<FrameworkReader> {
    const over = new AbortController();
    return new FrameworkReader(await streams.open(principal, { id, session, signal: over.signal }), over);
  }

  /** The next event; null: the stream has ended. */
  async next(): Promise<FrameworkEvent | null> {
    while (this.#unread.length === 0) {
      const { done, value } = await this.#batches.next();
      if (done) return null;
      this.#unread.push(...value);
    }
    return this.#unread.shift() ?? null;
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#batches.return(undefined);
  }
}
