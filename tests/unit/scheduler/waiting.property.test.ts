/**
 * No framework waits for ever. The law: as long as a framework that wants a task holds, with that task, no more than its share
 * at every level of the tree of roles, and the task would have a place if no offer stood, it is offered enough for it, in no more than
 * {@link ROUNDS_MAX} rounds after anybody has last started one for good.
 *
 * Its share is at the least its part by weight among all that hold or want something. Whether the task would have a place is for the explanation
 * to say: it knows limits, guarantees and reservations.
 *
 * The bound: whoever answers is out of the way at once, for the shortest filter, which is longer than a round. What keeps the
 * framework waiting is its own refusals, of nodes and slices that are too small, and those that never answer. For the first it needs
 * the time of its shortest filter, in which it has been offered everything. Of the second, each holds at most one offer at a time once it has let one
 * expire, and is kept from that node for 10 s, twice as long each time in a row. After three in a row it is away for 40 s: longer than the holds of
 * both together and time for the framework beside them. So each may be in the way three times, and there is a gap in the next 40 s.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { EXPIRED_FILTER_SECONDS } from '../../../control-plane/scheduler/sweeps.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { type Ledger, unreservedPart } from '../../../shared/domain/ledger.ts';
import { type Scalars, sumResources } from '../../../shared/domain/resources.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import { literalOf } from '../../support/apply-plan.ts';
import { aGroup, aJob, aTask, clusterOf, T0 } from '../../support/builders.ts';
import {
  arbitraryContest,
  type Contest,
  HOARDERS_MAX,
  OFFER_TIMEOUT_SECONDS,
  REFUSE_SECONDS_MIN,
} from './arbitrary-contest.ts';
import { type Model, ModelCluster, STEP_MS } from './model-frameworks.ts';
import { type Member, type Owner, siblingsOf } from './role-members.ts';

type Amounts = Pick<Scalars, 'cpus' | 'memMiB'>;

/** Whether so much more leaves it, and all that it is a part of, with no more than its share among all that want or hold something. */
function staysBelowShare(cluster: ClusterView, owner: Owner, more: Amounts): boolean {
  const owners = ownersIn(cluster);
  const total = sumResources([...cluster.ledgers.values()].map((ledger) => ledger.total));
  let due = 1;
  for (const siblings of siblingsOf(owners, (path) => cluster.roles.get(path)?.weight ?? 1)) {
    const member = siblings.find((one) => one.has(owner));
    if (member === undefined) continue;
    due *= member.weight / siblings.reduce((sum, { weight }) => sum + weight, 0);
    const held = heldBy(cluster, member);
    const share = Math.max((held.cpus + more.cpus) / total.cpus, (held.memMiB + more.memMiB) / total.memMiB);
    if (share > due) return false;
  }
  return true;
}

function ownersIn({ tasks, frameworks }: ClusterView): Owner[] {
  return [
    ...[...frameworks.values()].flatMap(({ id, roles }) => roles.map((role) => ({ role, client: id }))),
    ...[...tasks.values()]
      .filter(({ state }) => !isTerminal(state))
      .map(({ role, framework }) => ({ role, client: framework?.id ?? null })),
  ];
}

/** Tasks, and what is reserved for a role; offers are looked at as if they had been answered. */
function heldBy({ ledgers }: ClusterView, { has, isRole }: Member): Amounts {
  const all = [...ledgers.values()];
  const tasks = all
    .flatMap(({ entries }) => Object.values(entries))
    .filter(({ role, framework: client }) => has({ role, client }))
    .map((entry) => (isRole ? unreservedPart(entry) : entry.resources));
  const reservations = all
    .flatMap((ledger) => Object.values(ledger.reservations))
    .filter(({ role }) => isRole && has({ role, client: null }))
    .map(({ scalars }) => ({ ...scalars, ports: [] }));
  return sumResources([...tasks, ...reservations]);
}

/** Whether a task of its size, and what it asks for at the least, would have a place if no offer stood. */
function fits(cluster: ClusterView, { framework, task: { cpus, memMiB } }: Model, nowMs: number): boolean {
  const [role = ''] = framework.roles;
  const literal = literalOf(cluster);
  const constraints = framework.nodeConstraints[role]?.[0] ?? [];
  const job = aJob({ spec: { name: 'probe', role, groups: [aGroup({ resources: { cpus, memMiB }, constraints })] } });
  const probe = aTask(job);
  const free = clusterOf({
    ...literal,
    ledgers: literal.ledgers.map((ledger) => ({ ...ledger, offers: {} })),
    jobs: [...literal.jobs, job],
    tasks: [...literal.tasks, probe],
  });
  return explainTask({ cluster: free, nowMs, task: probe }).placeable;
}

/** After so many in a row, whoever lets offers expire is away from the node for so long. */
const EXPIRIES = 3;
const AWAY_SECONDS = EXPIRED_FILTER_SECONDS * 2 ** (EXPIRIES - 1);
const IN_THE_WAY_SECONDS = EXPIRIES * HOARDERS_MAX * (OFFER_TIMEOUT_SECONDS + REFUSE_SECONDS_MIN);
const WAIT_MS_MAX = (IN_THE_WAY_SECONDS + AWAY_SECONDS) * 1000;
const ROUNDS_MAX = WAIT_MS_MAX / STEP_MS;
const ROUNDS_PLAYED_MAX = 1.2 * ROUNDS_MAX;

/** For how long each has been owed something, since anybody has last started a task for good. */
class Waits {
  readonly #market: ModelCluster;
  readonly #since = new Map<Model, number>();
  /** What was last found of each, and of what. */
  readonly #fits = new Map<Model, { readonly of: readonly Ledger['entries'][]; readonly fits: boolean }>();
  #runningLast = 0;
  longestMs = 0;

  constructor(market: ModelCluster) {
    this.#market = market;
  }

  /** Until the next round, if nothing happens before. */
  note(models: readonly Model[], nextAtMs: number): void {
    const { nowMs } = this.#market;
    const running = models.reduce((sum, model) => sum + this.#market.runningOf(model).length, 0);
    if (running !== this.#runningLast) this.#since.clear();
    this.#runningLast = running;
    for (const model of models) {
      if (!this.#isOwed(model)) {
        this.#since.delete(model);
        continue;
      }
      const since = this.#since.get(model) ?? nowMs;
      this.#since.set(model, since);
      this.longestMs = Math.max(this.longestMs, nextAtMs - since);
    }
  }

  #isOwed(model: Model): boolean {
    const { framework, answers, wants, task } = model;
    const [role = ''] = framework.roles;
    if (answers !== 'takes' || this.#market.runningOf(model).length >= wants) return false;
    return this.#hasRoom(model) && staysBelowShare(this.#market.cluster, { role, client: framework.id }, task);
  }

  /** Looked at anew only where anything has started or ended. */
  #hasRoom(model: Model): boolean {
    const { cluster, nowMs } = this.#market;
    const known = this.#fits.get(model);
    const of = [...cluster.ledgers.values()].map(({ entries }) => entries);
    if (known !== undefined && of.every((entries, at) => entries === known.of[at])) return known.fits;
    const found = { of, fits: fits(cluster, model, nowMs) };
    this.#fits.set(model, found);
    return found.fits;
  }
}

/** The longest that any of them has waited; infinite where nothing would ever change. */
function longestWaitMs({ literal, models, lifeMs }: Contest): number {
  const market = new ModelCluster(clusterOf(literal), { models, nowMs: T0, lifeMs });
  const waits = new Waits(market);
  for (let round = 0; round < ROUNDS_PLAYED_MAX && waits.longestMs <= WAIT_MS_MAX; round += 1) {
    const nextAtMs = market.nextAtMs(market.step()) ?? Number.POSITIVE_INFINITY;
    waits.note(models, nextAtMs);
    if (nextAtMs === Number.POSITIVE_INFINITY) break;
    market.nowMs = nextAtMs;
  }
  return waits.longestMs;
}

describe('over many rounds', () => {
  it('no framework waits for ever while it is below its share and something fits it', () => {
    fc.assert(
      fc.property(arbitraryContest, (contest) => {
        expect(longestWaitMs(contest)).toBeLessThanOrEqual(WAIT_MS_MAX);
      }),
      // Shrinking would play hundreds of them to their end.
      { numRuns: 10, endOnFailure: true },
    );
  });
});
