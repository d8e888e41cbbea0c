/**
 * A cluster with frameworks that answer by rule, round after round, beside jobs whose tasks come and go: for properties about what
 * becomes of them over time.
 */
import { acceptOffers } from '../../../control-plane/scheduler/accept-offers.ts';
import type { RoundPlan } from '../../../control-plane/scheduler/plan.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import type { JobUid } from '../../../shared/domain/ids.ts';
import { endOffers, type Ledger } from '../../../shared/domain/ledger.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { filterFor } from '../../../shared/domain/offer-filters.ts';
import type { Resources, Scalars } from '../../../shared/domain/resources.ts';
import { advance, isTerminal, type Task } from '../../../shared/domain/task.ts';
import { present } from '../../../shared/util/assert.ts';
import { launchRequest } from '../../support/answers.ts';
import { applyRound, literalOf } from '../../support/apply-plan.ts';
import { clusterOf } from '../../support/builders.ts';

/**
 * `takes`: starts tasks of its size as long as it wants some. `declines`: wants nothing. `hoards`: never answers.
 */
export interface Model {
  readonly framework: Framework;
  readonly answers: 'takes' | 'declines' | 'hoards';
  readonly task: Pick<Scalars, 'cpus' | 'memMiB'>;
  /** How many tasks it wants to run, for good. */
  readonly wants: number;
  /** For how long it refuses what it has no use for. */
  readonly refuseSeconds: number;
}

/** Answers come at once, and so does the round that they cause: sooner than even the shortest filter ends. */
export const STEP_MS = 250;

/** What a step has brought about. */
export interface Step {
  readonly plan: RoundPlan;
  /** Something has changed, so that the next round follows at once. Otherwise it waits for the time that the plan names. */
  readonly isActive: boolean;
}

export class ModelCluster {
  readonly #models: readonly Model[];
  readonly #lifeMs: ReadonlyMap<JobUid, number>;
  readonly #memory = new RoundMemory();
  #started = 0;
  cluster: ClusterView;
  nowMs: number;

  /** `lifeMs`: how long the tasks of a job run. Those of other jobs, and all that frameworks start, run for good. */
  constructor(
    cluster: ClusterView,
    { models, nowMs, lifeMs }: { models: readonly Model[]; nowMs: number; lifeMs: ReadonlyMap<JobUid, number> },
  ) {
    this.cluster = cluster;
    this.#models = models;
    this.#lifeMs = lifeMs;
    this.nowMs = nowMs;
  }

  /** What has ended by now, one round, and the answers of everybody. */
  step(): Step {
    const hasEnded = this.#endTasks();
    const plan = planRound({ cluster: this.cluster, nowMs: this.nowMs, memory: this.#memory });
    this.cluster = applyRound(this.cluster, plan, this.nowMs);
    const haveAnswered = this.#models.map((model) => this.#answer(model));
    const hasPlanned = plan.sweeps.length + plan.placements.length + plan.offers.length + plan.stops.length > 0;
    return { plan, isActive: hasEnded || hasPlanned || haveAnswered.includes(true) };
  }

  /** Null: nothing will ever change. */
  nextAtMs({ plan, isActive }: Step): number | null {
    if (isActive) return this.nowMs + STEP_MS;
    const ends = [...this.cluster.tasks.values()].flatMap((task) => this.#endsAtMs(task) ?? []);
    const next = Math.min(plan.wakeAtMs ?? Number.POSITIVE_INFINITY, ...ends);
    // What has been named for a time that is past by now comes at once.
    return next === Number.POSITIVE_INFINITY ? null : Math.max(next, this.nowMs + 1);
  }

  runningOf({ framework }: Model): Task[] {
    return [...this.cluster.tasks.values()].filter(
      (task) => task.framework?.id === framework.id && !isTerminal(task.state),
    );
  }

  /** Null: it runs for good. */
  #endsAtMs({ state, stop, jobUid, history }: Task): number | null {
    if (isTerminal(state) || state === 'pending') return null;
    if (stop !== null) return this.nowMs;
    const lifeMs = this.#lifeMs.get(jobUid);
    return lifeMs === undefined ? null : (history.at(-1)?.atMs ?? 0) + lifeMs;
  }

  #endTasks(): boolean {
    const ends = [...this.cluster.tasks.values()].some(
      (task) => (this.#endsAtMs(task) ?? this.nowMs + 1) <= this.nowMs,
    );
    if (!ends) return false;
    const literal = literalOf(this.cluster);
    const ended = { state: 'killed', atMs: this.nowMs, reason: 'stop-requested', message: '' } as const;
    const tasks = literal.tasks.map((task) => {
      const endsAtMs = this.#endsAtMs(task);
      return endsAtMs === null || endsAtMs > this.nowMs ? task : advance(task, ended);
    });
    this.cluster = clusterOf({ ...literal, tasks });
    return true;
  }

  #answer(model: Model): boolean {
    const isOffered = [...this.cluster.ledgers.values()].some(({ offers }) =>
      Object.values(offers).some(({ framework }) => framework === model.framework.id),
    );
    if (model.answers === 'hoards' || !isOffered) return false;
    const literal = literalOf(this.cluster);
    const tasks = [...literal.tasks];
    const wanted = model.answers === 'takes' ? model.wants - this.runningOf(model).length : 0;
    const ledgers = literal.ledgers.map((ledger) => {
      const own = Object.values(ledger.offers).filter(({ framework }) => framework === model.framework.id);
      return own.reduce((after, offer) => {
        const left = wanted - (tasks.length - literal.tasks.length);
        const count = Math.min(left, howOften(model.task, offer.resources));
        if (count <= 0) return this.#declined(model, after, offer);
        const accepted = this.#accepted(model, { ledger: after, offer, count });
        tasks.push(...accepted.tasks);
        return accepted.ledger;
      }, ledger);
    });
    this.cluster = clusterOf({ ...literal, ledgers, tasks });
    return true;
  }

  #declined({ framework, refuseSeconds: seconds }: Model, ledger: Ledger, offer: Offer): Ledger {
    const { id, role, resources: refused } = offer;
    const refusing = { framework, role, offer: id, refused, because: 'declined', seconds, nowMs: this.nowMs } as const;
    const filter = filterFor(ledger.filters, refusing);
    return endOffers(ledger, [id], filter === null ? [] : [filter]);
  }

  #accepted(
    { framework, refuseSeconds, task }: Model,
    { ledger, offer, count }: { ledger: Ledger; offer: Offer; count: number },
  ): { readonly ledger: Ledger; readonly tasks: readonly Task[] } {
    const names = Array.from({ length: count }, () => `${framework.name}-${this.#started++}`);
    const accepted = acceptOffers({
      ledger,
      node: present(this.cluster.nodes.get(ledger.node), ledger.node),
      framework,
      offers: [offer],
      operations: [{ type: 'launch', tasks: names.map((name) => launchRequest(name, task)) }],
      refuseSeconds,
      mounted: new Set(),
      by: 'alice',
      nowMs: this.nowMs,
    });
    if (!accepted.ok) throw new Error(accepted.faults.map(({ message }) => message).join());
    return accepted;
  }
}

/** How many tasks of the size there is room for. */
function howOften({ cpus, memMiB }: Model['task'], resources: Resources): number {
  return Math.floor(Math.min(resources.cpus / cpus, resources.memMiB / memMiB) + EXACTNESS);
}

const EXACTNESS = 1e-9;
