/**
 * Offers in the way: somebody that is owed something got nothing, since there is no room, while others hold offers beyond their
 * share. As many of those are withdrawn, the newest first, as whoever waits can use, if that helps.
 *
 * Whether it helps decides whether offers come to rest. What an offer held may go back to where it was, since nodes can't be
 * divided as evenly as a pool, and whoever it was withdrawn for may get a crumb of it: that would go on round after round. So
 * either more tasks have to be placed for it, or what all frameworks need together, counted in few whole steps, has to become less.
 * Rounds never add to either, so withdrawals end.
 */
import { byText } from '../../shared/util/order.ts';
import { type Demand, demandOf } from './demand.ts';
import { FairShares, type Wanting } from './fair-shares.ts';
import { FILTERS } from './filters/all.ts';
import type { HungryClient } from './hungry.ts';
import { roomWith, sweptLedger } from './room.ts';
import { putBack, type StandingOffer, standingOffers, withdraw } from './standing-offers.ts';
import type { Survey } from './survey.ts';
import type { EndedOfferOn } from './sweeps.ts';
import type { WantedTask } from './wanted.ts';

export interface LeftWanting {
  /** What is left to be had, and who holds the rest: after all has been given that can be. */
  readonly survey: Survey;
  /** The first task of each group that found no place. */
  readonly tasks: readonly WantedTask[];
  /** Frameworks that have got nothing. */
  readonly frameworks: readonly HungryClient[];
  /** Everybody who wanted something. */
  readonly wanting: readonly Wanting[];
}

export interface UnfairWithdrawals {
  readonly ended: readonly EndedOfferOn[];
  /** By which the outcome with these offers gone is compared with the one in which they stay. */
  readonly shares: FairShares;
}

/** Tasks that offers are withdrawn for in one round: each looks at all nodes that offers are withdrawn on. */
const TASKS_MAX = 20;

/** Null: nothing is in anybody's way. */
export function unfairWithdrawals({ survey, tasks, frameworks, wanting }: LeftWanting): UnfairWithdrawals | null {
  if (tasks.length + frameworks.length === 0 || survey.list('offering').length === 0) return null;
  const shares = new FairShares(survey, wanting);
  const owedTasks = tasks.filter(({ job }) => shares.owed(survey.roles.client(job.spec.role, null)) > 0);
  const owedFrameworks = frameworks.filter(({ client }) => shares.owed(client) > 0);
  if (owedTasks.length + owedFrameworks.length === 0) return null;
  const above = standingOffers(survey).filter(({ client }) => shares.isAbove(client));
  const standing = new Set(above);
  const ended: EndedOfferOn[] = [];
  for (const wanted of owedTasks.slice(0, TASKS_MAX)) ended.push(...makeRoom(survey, { wanted, standing, shares }));
  for (const hungry of owedFrameworks) ended.push(...makeShare(survey, { hungry, standing, shares }));
  // Whether they go is not decided yet.
  for (const one of above) if (!standing.has(one)) putBack(survey, one);
  return ended.length === 0 ? null : { ended, shares };
}

/** What those that want offers in the one outcome still need, in either of them. */
export function needOf(outcome: LeftWanting, shares: FairShares, { wanting } = outcome): number {
  const { roles } = outcome.survey;
  return wanting.reduce((sum, { client: { id, role } }) => {
    return id === null ? sum : sum + shares.need(roles.client(role.path, id));
  }, 0);
}

/** On the first node where it takes the fewest offers. */
function makeRoom(
  survey: Survey,
  search: { readonly wanted: WantedTask; readonly standing: Set<StandingOffer>; readonly shares: FairShares },
): EndedOfferOn[] {
  const { wanted, standing, shares } = search;
  const demand = demandOf(wanted);
  const above = [...standing].filter(({ client }) => shares.isAbove(client));
  const byNode = Map.groupBy(above, ({ row }) => row);
  let fewest: readonly StandingOffer[] | null = null;
  for (const [row, offers] of [...byNode].sort(([a], [b]) => byText(a.ledger.node, b.ledger.node))) {
    const enough = enoughFor(survey, { row, offers, demand });
    if (enough !== null && (fewest === null || enough.length < fewest.length)) fewest = enough;
  }
  return (fewest ?? []).map((one) => {
    standing.delete(one);
    return withdraw(survey, one, 'unfair');
  });
}

/** As many of the offers, from the first, as have to go before the node takes the task. Null: it wouldn't even without all of them. */
function enoughFor(
  survey: Survey,
  { row, offers, demand }: { row: StandingOffer['row']; offers: readonly StandingOffer[]; demand: Demand },
): readonly StandingOffer[] | null {
  const room = survey.room(row);
  if (room === null) return null;
  const takesWithout = (count: number) => {
    const ended = offers
      .slice(0, count)
      .map(({ offer }) => ({ id: offer.id, because: 'unfair' as const, filter: null }));
    const freed = roomWith(room, sweptLedger(row.ledger, { node: room.id, tasks: [], offers: ended }));
    return FILTERS.every((filter) => !filter.applies(demand) || filter.admits(freed, demand));
  };
  if (!takesWithout(offers.length)) return null;
  for (let count = 1; count < offers.length; count += 1) if (takesWithout(count)) return offers.slice(0, count);
  return offers;
}

function isOfUse({ cluster }: Survey, { row }: StandingOffer, { wish }: HungryClient): boolean {
  const node = cluster.nodes.get(row.ledger.node);
  return wish === null || (node !== undefined && wish.wants(node));
}

/** Until what is withdrawn comes to what the framework is owed, or nobody holds more than its share. */
function makeShare(
  survey: Survey,
  search: { readonly hungry: HungryClient; readonly standing: Set<StandingOffer>; readonly shares: FairShares },
): EndedOfferOn[] {
  const { hungry, standing, shares } = search;
  const { roles } = survey;
  const ended: EndedOfferOn[] = [];
  let owed = shares.owed(hungry.client);
  for (const one of standing) {
    if (owed <= 0) break;
    if (!shares.isAbove(one.client) || !isOfUse(survey, one, hungry)) continue;
    owed -= roles.shareOf(one.unreserved);
    standing.delete(one);
    ended.push(withdraw(survey, one, 'unfair'));
  }
  return ended;
}
