/**
 * What is to come next on one stream to a framework. Level-triggered: a stream begins with all that stands, and after that it is
 * told which tasks and offers to look at again, not what happened to them. So what waits for a slow reader is bounded by what
 * there is, and a stream that follows another, on whichever replica, leaves nothing out. Decides and does nothing; its only
 * state is what has been told.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { FrameworkId, OfferId, TaskId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { toldHealth } from '../../shared/domain/task-health.ts';
import { outstandingUpdate } from '../../shared/domain/task-update.ts';
import type { FrameworkEvent, GoneCause } from '../../shared/protocol/framework.ts';
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import type { StandingOffer } from '../store/offer-index.ts';
import {
  healthView,
  isUnreachable,
  offerView,
  outstandingView,
  reachabilityView,
  reconciledView,
  tasksByName,
  unknownView,
} from './framework-views.ts';
import { MaintenanceNotices } from './maintenance-notices.ts';
import { OperationNews } from './operation-news.ts';

/** An update that isn't acknowledged is told again. */
export const RESEND: BackoffPolicy = { baseMs: 10_000, factor: 2, maxMs: 600_000 };

/** Events of one step, so that none of them makes the others of this replica wait. */
const STEP_EVENTS_MAX = 500;
/** One event may not be longer than clients read at a time. */
const OFFERS_PER_EVENT_MAX = 200;
/** Names of tasks that wait to be answered about; what is asked beyond is answered to the one who asks only. */
const ASKED_MAX = 20_000;

export interface FeedFacts {
  readonly cluster: ClusterView;
  /** All that the framework holds. */
  readonly offers: ReadonlyMap<OfferId, StandingOffer>;
  readonly nowMs: number;
  /** For what is told again; doesn't step when the machine's clock is set. */
  readonly monotonicMs: number;
}

export interface FeedStep {
  readonly events: readonly FrameworkEvent[];
  /** By the steady clock, when to take a step even if nothing changes; null: only when something does. */
  readonly wakeAtMs: number | null;
}

interface Told {
  readonly place: number;
  readonly times: number;
  readonly againAtMs: number;
}

export class FrameworkFeed {
  readonly #framework: FrameworkId;
  readonly #unanswered = new Set<OfferId>();
  readonly #gone = new Map<OfferId, GoneCause>();
  readonly #touched = new Set<TaskId>();
  readonly #unacknowledged = new Map<TaskId, Told>();
  readonly #unreachable = new Set<TaskId>();
  /** Of those whose health is known to the framework. */
  readonly #healthy = new Map<TaskId, boolean>();
  readonly #asked = new Set<string>();
  readonly maintenance: MaintenanceNotices;
  readonly operations: OperationNews;
  #offersMoved = true;
  #isAllTouched = true;
  #isAllAsked = false;

  constructor(framework: FrameworkId) {
    this.#framework = framework;
    this.maintenance = new MaintenanceNotices(framework);
    this.operations = new OperationNews(framework, RESEND);
  }

  /** The framework may hold other offers than before. */
  offersMoved(): void {
    this.#offersMoved = true;
  }

  /** An offer ended in another way than by the framework's own answer. */
  offerGone(offer: OfferId, because: GoneCause): void {
    if (this.#unanswered.has(offer)) this.#gone.set(offer, because);
  }

  touch(task: TaskId): void {
    this.#touched.add(task);
  }

  /** Answers about tasks of these names, or about all that have not ended. False: too much is asked already. */
  ask(names: readonly string[] | null): boolean {
    if (names === null) this.#isAllAsked = true;
    else if (this.#asked.size + names.length > ASKED_MAX) return false;
    else for (const name of names) this.#asked.add(name);
    return true;
  }

  /** What comes next. Without events, nothing does before the time that is given or the next change. */
  step(facts: FeedFacts): FeedStep {
    const events = [...this.#goneOffers(), ...this.#newOffers(facts)];
    events.push(...this.#changedTasks(facts, STEP_EVENTS_MAX - events.length));
    events.push(...this.#toldAgain(facts, STEP_EVENTS_MAX - events.length));
    events.push(...this.#answers(facts, STEP_EVENTS_MAX - events.length));
    const notices = this.maintenance.step(facts, STEP_EVENTS_MAX - events.length);
    events.push(...notices.events);
    const operations = this.operations.step(facts, STEP_EVENTS_MAX - events.length);
    events.push(...operations.events);
    const times = [...this.#unacknowledged.values()].map(({ againAtMs }) => againAtMs);
    for (const { wakeAtMs } of [notices, operations]) if (wakeAtMs !== null) times.push(wakeAtMs);
    return { events, wakeAtMs: times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b)) };
  }

  #goneOffers(): FrameworkEvent[] {
    const events = [...this.#gone].map(([offer, because]) => ({ type: 'offer-gone', offer, because }) as const);
    for (const offer of this.#gone.keys()) this.#unanswered.delete(offer);
    this.#gone.clear();
    return events;
  }

  #newOffers({ cluster, offers }: FeedFacts): FrameworkEvent[] {
    if (!this.#offersMoved) return [];
    this.#offersMoved = false;
    for (const id of this.#unanswered) if (!offers.has(id)) this.#unanswered.delete(id);
    const fresh = [...offers.values()].filter(({ offer }) => !this.#unanswered.has(offer.id));
    for (const { offer } of fresh) this.#unanswered.add(offer.id);
    const views = fresh.map(({ node, offer }) => offerView(cluster, node, offer));
    const events: FrameworkEvent[] = [];
    for (let at = 0; at < views.length; at += OFFERS_PER_EVENT_MAX) {
      events.push({ type: 'offers', offers: views.slice(at, at + OFFERS_PER_EVENT_MAX) });
    }
    return events;
  }

  #changedTasks(facts: FeedFacts, max: number): FrameworkEvent[] {
    if (this.#isAllTouched) {
      this.#isAllTouched = false;
      for (const { id } of facts.cluster.tasksOfFramework(this.#framework)) this.#touched.add(id);
    }
    const events: FrameworkEvent[] = [];
    for (const id of this.#touched) {
      if (events.length >= max) break;
      this.#touched.delete(id);
      const task = facts.cluster.tasks.get(id);
      if (task?.framework?.id === this.#framework) events.push(...this.#newsOf(facts, task));
      else this.#forget(id);
    }
    return events;
  }

  #forget(id: TaskId): void {
    this.#unacknowledged.delete(id);
    this.#unreachable.delete(id);
    this.#healthy.delete(id);
  }

  #newsOf({ cluster, monotonicMs }: FeedFacts, task: Task): FrameworkEvent[] {
    const events: FrameworkEvent[] = [];
    const place = outstandingUpdate(task);
    if (place === null) {
      this.#unacknowledged.delete(task.id);
      events.push(...this.#healthNews(cluster, task));
    } else if (this.#unacknowledged.get(task.id)?.place !== place) {
      events.push(...this.#tell(cluster, task, { place, times: 0, monotonicMs }));
    }
    const isAway = isUnreachable(cluster, task);
    if (isAway === this.#unreachable.has(task.id)) return events;
    if (isAway) this.#unreachable.add(task.id);
    else this.#unreachable.delete(task.id);
    if (isTerminal(task.state)) return events;
    return [...events, { type: 'update', update: reachabilityView(cluster, task) }];
  }

  /** After what is to be acknowledged, never before it: a framework hears that a task works once it knows that it runs. */
  #healthNews(cluster: ClusterView, task: Task): FrameworkEvent[] {
    const healthy = toldHealth(task);
    if (isTerminal(task.state) || healthy === (this.#healthy.get(task.id) ?? null)) return [];
    this.#knowsHealth(task.id, healthy);
    return [{ type: 'update', update: healthView(cluster, task) }];
  }

  #knowsHealth(id: TaskId, healthy: boolean | null): void {
    if (healthy === null) this.#healthy.delete(id);
    else this.#healthy.set(id, healthy);
  }

  #tell(
    cluster: ClusterView,
    task: Task,
    { place, times, monotonicMs }: { readonly place: number; readonly times: number; readonly monotonicMs: number },
  ): FrameworkEvent[] {
    const againAtMs = monotonicMs + backoffMs(RESEND, times);
    this.#unacknowledged.set(task.id, { place, times: times + 1, againAtMs });
    const update = outstandingView(cluster, task);
    if (update === null) return [];
    this.#knowsHealth(task.id, update.healthy);
    return [{ type: 'update', update }];
  }

  #toldAgain({ cluster, monotonicMs }: FeedFacts, max: number): FrameworkEvent[] {
    const events: FrameworkEvent[] = [];
    for (const [id, { place, times, againAtMs }] of this.#unacknowledged) {
      if (events.length >= max) break;
      const task = cluster.tasks.get(id);
      if (againAtMs > monotonicMs || task === undefined) continue;
      events.push(...this.#tell(cluster, task, { place, times, monotonicMs }));
    }
    return events;
  }

  #answers({ cluster, nowMs }: FeedFacts, max: number): FrameworkEvent[] {
    if (!this.#isAllAsked && this.#asked.size === 0) return [];
    const known = tasksByName(cluster, this.#framework);
    if (this.#isAllAsked) for (const [name, { state }] of known) if (!isTerminal(state)) this.#asked.add(name);
    this.#isAllAsked = false;
    const events: FrameworkEvent[] = [];
    for (const name of this.#asked) {
      if (events.length >= max) break;
      this.#asked.delete(name);
      const task = known.get(name);
      const update = task === undefined ? unknownView(name, nowMs) : reconciledView(cluster, task);
      events.push({ type: 'update', update });
    }
    return events;
  }
}
