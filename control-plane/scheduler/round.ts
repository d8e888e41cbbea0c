/**
 * The allocator: reads off one snapshot what has come free, which pending task goes where, and which framework is offered what.
 * The same snapshot and time give the same plan, whoever plans, in whatever order the snapshot's maps were filled, and whatever is
 * remembered of earlier rounds.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import { type Allotment, allot } from './allot.ts';
import { boundWithdrawals } from './bound-withdrawals.ts';
import { throttledFrameworks } from './hungry.ts';
import type { DraftedOffer } from './offering.ts';
import type { PlannedOffer, RoundPlan } from './plan.ts';
import { RoundMemory, type Usage } from './round-memory.ts';
import { Survey } from './survey.ts';
import { planSweeps } from './sweeps.ts';
import { unfairWithdrawals } from './unfair-withdrawals.ts';
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
  const usage = memory.usageOf(cluster);
  const queue = queueOf(cluster, nowMs);
  const due = new Survey(cluster, usage, { sweeps: planSweeps(cluster, usage, nowMs), nowMs });
  const bounded = boundWithdrawals(due);
  const { survey, allotment } = allotFairly(bounded.length === 0 ? due : due.again(bounded), queue.wanted);
  const offers = numbered(cluster, { nowMs, roundNumber }, allotment.offers);
  const ends = [queue.wakeAtMs, nextEnd(cluster, survey, nowMs), offers[0]?.offer.expiresAtMs ?? null];
  return {
    sweeps: survey.sweeps,
    placements: allotment.placements,
    offers,
    isCutOff: allotment.isCutOff,
    wakeAtMs: earliest(ends),
  };
}

interface Allotted {
  readonly survey: Survey;
  readonly allotment: Allotment;
}

/** If somebody that is owed something is left with nothing, then once more with the offers gone that are in the way: if that helps. */
function allotFairly(survey: Survey, wanted: readonly WantedTask[]): Allotted {
  const allotment = allotAll(survey, wanted);
  const { ended, owed } = unfairWithdrawals(allotment.left);
  if (ended.length === 0) return { survey, allotment };
  const cleared = survey.again(ended);
  const again = allotAll(cleared, wanted);
  const stillOwed = again.left.frameworks.filter(({ key }) => owed.has(key)).length;
  const helps = again.placements.length > allotment.placements.length || stillOwed < owed.size;
  return helps ? { survey: cleared, allotment: again } : { survey, allotment };
}

function allotAll(survey: Survey, wanted: readonly WantedTask[]): Allotment {
  const throttled = throttledFrameworks(survey.cluster, survey, survey.nowMs);
  return allot({ survey, wanted, throttled, placementsMax: ROUND_PLACEMENTS_MAX, offersMax: ROUND_OFFERS_MAX });
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

/** When an offer expires or a filter ends next. */
function nextEnd(cluster: ClusterView, { rows }: Pick<Usage, 'rows'>, nowMs: number): number | null {
  let first = Number.POSITIVE_INFINITY;
  for (const { firstExpiryMs, ledger } of rows) {
    first = Math.min(first, firstExpiryMs);
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
