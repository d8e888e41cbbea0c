/**
 * The allocator: reads off one snapshot what has come free, which pending task goes where, and which framework is offered what.
 * The same snapshot and time give the same plan, whoever plans, in whatever order the snapshot's maps were filled, and whatever is
 * remembered of earlier rounds.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import { type Allotment, allot } from './allot.ts';
import { batchFramework } from './batch-framework.ts';
import { boundWithdrawals } from './bound-withdrawals.ts';
import type { FairShares } from './fair-shares.ts';
import { throttledFrameworks } from './hungry.ts';
import { type EndingPlaces, endingFor, freedFor, keepPlaces } from './kept-places.ts';
import type { DraftedOffer } from './offering.ts';
import type { PlannedOffer, PlannedPlacement, RoundPlan } from './plan.ts';
import { planPreemptions } from './preemption.ts';
import { RoundMemory } from './round-memory.ts';
import { Survey } from './survey.ts';
import { planSweeps } from './sweeps.ts';
import { needOf, unfairWithdrawals } from './unfair-withdrawals.ts';
import { queueOf, type WantedTask } from './wanted.ts';

export interface RoundInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  /** Of the round that this is the plan of, in the ids of its offers. Absent: the one that was claimed last. */
  readonly roundNumber?: number;
  /** Of whoever plans round after round. */
  readonly memory?: RoundMemory;
}

/**
 * Placements of one round. Planning holds everything else up, so what is more than some hundredths of a second's work is left
 * for the next round, which follows at once.
 */
export const ROUND_PLACEMENTS_MAX = 2000;
export const ROUND_OFFERS_MAX = 20_000;

export function planRound({
  cluster,
  nowMs,
  roundNumber = cluster.roundNumber,
  memory = new RoundMemory(),
}: RoundInput): RoundPlan {
  const usage = memory.usageOf(cluster, nowMs);
  const queue = queueOf(cluster, nowMs);
  const sweeps = planSweeps(cluster, usage, nowMs);
  const due = keepFor(queue.wanted, new Survey(cluster, usage, { sweeps, nowMs }));
  const bounded = boundWithdrawals(due.survey);
  const bound = bounded.length === 0 ? due : keepFor(queue.wanted, due.survey.again(bounded));
  const { survey, allotment, ending } = allotFairly(bound, queue.wanted);
  const { placements, isCutOff } = allotment;
  const offers = numbered(cluster, { nowMs, roundNumber }, allotment.offers);
  const unplaced = isCutOff ? [] : without(queue.wanted, placements);
  const ends = [queue.wakeAtMs, nextEnd(survey), offers[0]?.offer.expiresAtMs ?? null];
  return {
    sweeps: survey.sweeps,
    placements,
    offers,
    stops: planPreemptions({ survey, usage, placements, offers, unplaced, ending }),
    isCutOff,
    wakeAtMs: earliest(ends),
  };
}

/** What there is to give, and what is kept of it for tasks that others make room for. */
interface Kept {
  readonly survey: Survey;
  readonly ending: EndingPlaces;
}

interface Allotted extends Kept {
  readonly allotment: Allotment;
}

/**
 * What has come free for somebody, and what still is to, is nobody else's. Before any offer is withdrawn, since what is kept counts
 * as held: else what is withdrawn for a guarantee would be given again at once.
 */
function keepFor(wanted: readonly WantedTask[], survey: Survey): Kept {
  const ending = wanted.length === 0 ? NOBODY : endingFor(survey);
  keepPlaces(
    ending,
    wanted.filter(({ task }) => ending.has(task.id)),
  );
  return { survey, ending };
}

const NOBODY: EndingPlaces = new Map();

/** If somebody that is owed something is left with nothing, then once more with the offers gone that are in the way: if that helps. */
function allotFairly(kept: Kept, wanted: readonly WantedTask[]): Allotted {
  const first = allotAll(kept, wanted);
  const unfair = unfairWithdrawals(first.allotment.left);
  if (unfair === null) return first;
  const again = allotAll(keepFor(wanted, kept.survey.again(unfair.ended)), wanted);
  return isBetter(again.allotment, first.allotment, unfair.shares) ? again : first;
}

/** More tasks are placed, or as many, and frameworks need less. Whoever held an offer may want another once it is gone. */
function isBetter(again: Allotment, first: Allotment, shares: FairShares): boolean {
  const more = again.placements.length - first.placements.length;
  if (more !== 0) return more > 0;
  return needOf(again.left, shares) < needOf(first.left, shares, again.left);
}

function allotAll({ survey, ending }: Kept, wanted: readonly WantedTask[]): Allotted {
  const { cluster } = survey;
  const inherited = inherit(survey, { wanted, ending, freed: freedFor(cluster, survey.sweeps) });
  const throttled = throttledFrameworks(survey);
  const bounds = { placementsMax: ROUND_PLACEMENTS_MAX - inherited.length, offersMax: ROUND_OFFERS_MAX };
  const allotment = allot({ survey, wanted: without(wanted, inherited), throttled, ...bounds });
  return { survey, ending, allotment: { ...allotment, placements: [...inherited, ...allotment.placements] } };
}

interface Heirs {
  readonly wanted: readonly WantedTask[];
  readonly ending: EndingPlaces;
  readonly freed: ReadonlyMap<TaskId, NodeId>;
}

/** Those for which all others have made room get just that, before anybody's turn. */
function inherit(survey: Survey, { wanted, ending, freed }: Heirs): PlannedPlacement[] {
  if (freed.size === 0) return [];
  return wanted.flatMap((one) => {
    const node = ending.has(one.task.id) ? undefined : freed.get(one.task.id);
    if (node === undefined) return [];
    const there = { rooms: survey.openRoomsOn(node), nodesTotal: survey.joined };
    return batchFramework(there, [one]).placeNext() ?? [];
  });
}

function without(wanted: readonly WantedTask[], placements: readonly PlannedPlacement[]): readonly WantedTask[] {
  if (placements.length === 0) return wanted;
  const placed = new Set(placements.map(({ task }) => task));
  return wanted.filter(({ task }) => !placed.has(task.id));
}

/** Their ids tell the round that made them, so they are never used again. */
function numbered(
  { incarnation, settings }: ClusterView,
  { nowMs, roundNumber }: { readonly nowMs: number; readonly roundNumber: number },
  drafts: readonly DraftedOffer[],
): PlannedOffer[] {
  const expiresAtMs = nowMs + Math.round(settings.offerTimeoutSeconds * 1000);
  return drafts.map(({ room, client, framework, part }, number): PlannedOffer => {
    const id = `${incarnation}-${roundNumber}-${number}`;
    const offer: Offer = { id, framework, role: client.role.path, ...part, madeAtMs: nowMs, expiresAtMs };
    return { node: room.id, offer };
  });
}

/** When an offer expires, a filter ends, or a maintenance window begins or ends next. */
function nextEnd(survey: Survey): number | null {
  const { cluster, nowMs } = survey;
  let first = Math.min(survey.firstExpiryMs, survey.nextTurnMs);
  for (const { ledger } of survey.list('filtered')) {
    for (const filter of ledger.filters) {
      if (filter.untilMs >= first) continue;
      if (isInForce(filter, cluster.frameworks.get(filter.framework), nowMs)) first = filter.untilMs;
    }
  }
  return first === Number.POSITIVE_INFINITY ? null : first;
}

function earliest(times: readonly (number | null)[]): number | null {
  const all = times.filter((time) => time !== null);
  return all.length === 0 ? null : Math.min(...all);
}
