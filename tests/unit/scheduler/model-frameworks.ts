/** A cluster with frameworks that answer by rule, round after round: for properties about what becomes of them over time. */
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import { addEntries, endOffers, type Ledger, type TaskEntry } from '../../../shared/domain/ledger.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { filterFor } from '../../../shared/domain/offer-filters.ts';
import { type Resources, subtractResources } from '../../../shared/domain/resources.ts';
import { missingAmounts } from '../../../shared/domain/role.ts';
import { applyRound, literalOf } from '../../support/apply-plan.ts';
import { aJob, anEntry, aTask, clusterOf, someResources } from '../../support/builders.ts';

/**
 * `takes`: starts tasks of its size as long as it wants some. `declines`: wants nothing. `hoards`: never answers.
 */
export interface Model {
  readonly framework: Framework;
  readonly answers: 'takes' | 'declines' | 'hoards';
  readonly taskCpus: number;
  readonly taskMemMiB: number;
  /** How many tasks it wants to run, for good. */
  readonly wants: number;
}

const REFUSE_SECONDS = 5;

export class ModelCluster {
  readonly #models: readonly Model[];
  readonly #memory = new RoundMemory();
  readonly started = new Map<string, number>();
  cluster: ClusterView;
  nowMs: number;

  constructor(cluster: ClusterView, models: readonly Model[], nowMs: number) {
    this.cluster = cluster;
    this.#models = models;
    this.nowMs = nowMs;
  }

  /** One round, and the answers of everybody. */
  step(passMs: number): void {
    this.nowMs += passMs;
    const plan = planRound({ cluster: this.cluster, nowMs: this.nowMs, memory: this.#memory });
    this.cluster = applyRound(this.cluster, plan, this.nowMs);
    for (const model of this.#models) this.#answer(model);
  }

  startedBy({ framework }: Model): number {
    return this.started.get(framework.id) ?? 0;
  }

  #answer(model: Model): void {
    if (model.answers === 'hoards') return;
    const literal = literalOf(this.cluster);
    const tasks = [...literal.tasks];
    const ledgers = literal.ledgers.map((ledger) => {
      const own = Object.values(ledger.offers).filter(({ framework }) => framework === model.framework.id);
      return own.reduce((after, offer) => this.#answerOne(model, { ledger: after, offer, tasks }), ledger);
    });
    this.cluster = clusterOf({ ...literal, ledgers, tasks });
  }

  #answerOne(
    model: Model,
    { ledger, offer, tasks }: { ledger: Ledger; offer: Offer; tasks: ReturnType<typeof aTask>[] },
  ): Ledger {
    const entries: TaskEntry[] = [];
    let left: Resources = offer.resources;
    const needs = { cpus: model.taskCpus, memMiB: model.taskMemMiB };
    while (
      model.answers === 'takes' &&
      this.startedBy(model) < model.wants &&
      missingAmounts(needs, left).length === 0
    ) {
      const count = this.startedBy(model);
      const job = aJob({ spec: { name: model.framework.name, role: offer.role } });
      const id = `${model.framework.name}-${count}`;
      const task = aTask(job, { index: count, state: 'running', node: ledger.node, id });
      const resources = someResources({ ...needs, diskMiB: 0, ports: [] });
      entries.push(anEntry(job, task, { resources, framework: model.framework.id }));
      tasks.push(task);
      left = subtractResources(left, resources);
      this.started.set(model.framework.id, count + 1);
    }
    const filter = filterFor(ledger.filters, {
      framework: model.framework,
      role: offer.role,
      offer: offer.id,
      refused: left,
      because: entries.length > 0 ? 'unused' : 'declined',
      seconds: REFUSE_SECONDS,
      nowMs: this.nowMs,
    });
    return addEntries(endOffers(ledger, [offer.id], filter === null ? [] : [filter]), entries);
  }
}
