/** Which tasks of a node have to go so that another one has a place: as cheap as can be, and none more than it takes. */
import type { NodeId } from '../../shared/domain/ids.ts';
import { scalarOf, toMilli } from '../../shared/domain/resources.ts';
import type { Claim, ClaimInput } from './claims.ts';
import type { Demand } from './demand.ts';
import type { Holder } from './holder.ts';
import type { Contender, Departure } from './outlook.ts';
import { hopefulNodes, lackingOn } from './prospects.ts';
import type { Lack, WaitMemory } from './wait-memory.ts';

export interface VictimSearch extends ClaimInput {
  readonly nowMs: number;
  readonly waits: WaitMemory;
  readonly contender: Contender;
  readonly claim: Claim;
  /** Where there is room for the task, so that only what its role may be given is in its way; null: nowhere. */
  readonly room: NodeId | null;
}

/**
 * Nodes of which what would have to go is worked out and compared: those that look cheapest by amounts alone. Of thousands that are
 * alike the first ones are as good as any.
 */
const NODES_COMPARED_MAX = 32;

/** The cheapest of what would do; null: nothing does. */
export function findDisplacement(search: VictimSearch): Departure | null {
  let best: Departure | null = null;
  let compared = 0;
  for (const estimate of estimates(search)) {
    if (best !== null && (compared === NODES_COMPARED_MAX || isDearer(estimate, best.holders))) break;
    const victims = victimsOn(estimate.node, search);
    if (victims === null) continue;
    compared += 1;
    if (best === null || isCheaper(victims, best.holders, search.nowMs))
      best = { node: estimate.node, holders: victims };
  }
  return best;
}

/** What making room on a node costs, judged by amounts alone. */
interface Estimate {
  readonly node: NodeId;
  /** It takes a task of at least this priority. */
  readonly ceiling: number;
  /** It takes at least so many. */
  readonly fewest: number;
  readonly workLostMs: number;
}

/** The nodes that have enough of those who may be displaced, the cheapest first. */
function estimates(search: VictimSearch): Estimate[] {
  const { outlook, waits, contender, claim, room } = search;
  const nodes = hopefulNodes(outlook, waits, { demand: contender.demand, claim, room });
  const all = nodes.flatMap((node) => estimateOf(node, search) ?? []);
  // Sorting keeps the order of equals, which is that of the nodes' ids.
  return all.sort((a, b) => a.ceiling - b.ceiling || a.fewest - b.fewest || a.workLostMs - b.workLostMs);
}

function estimateOf(node: NodeId, search: VictimSearch): Estimate | null {
  const { outlook, claim, room, nowMs } = search;
  const pool = outlook.holders(node).filter((holder) => claim.mayDisplace(holder));
  const lacking = room === null ? lackingOn(node, search) : [];
  const freed = lacking.map(() => 0);
  for (const [place, { priority, entry }] of pool.entries()) {
    for (const [at, { name }] of lacking.entries()) freed[at] = (freed[at] ?? 0) + scalarOf(entry.resources, name);
    if (lacking.some(({ amount }, at) => toMilli(freed[at] ?? 0) < amount)) continue;
    const least = pool.filter((holder) => holder.priority <= priority);
    const fewest = Math.max(1, ...lacking.map((lack) => fewestFor(lack, least)));
    return { node, ceiling: priority, fewest, workLostMs: workLostMs(pool.slice(0, place + 1), nowMs) };
  }
  return null;
}

/** How many of the largest it takes. */
function fewestFor({ name, amount }: Lack, holders: readonly Holder[]): number {
  const sizes = holders.map(({ entry }) => scalarOf(entry.resources, name)).sort((a, b) => b - a);
  let sum = 0;
  let count = 0;
  while (toMilli(sum) < amount && count < sizes.length) {
    sum += sizes[count] ?? 0;
    count += 1;
  }
  return count;
}

/** Whatever comes of the estimate, it is no cheaper than these. */
function isDearer({ ceiling, fewest }: Estimate, victims: readonly Holder[]): boolean {
  const difference = ceiling - ceilingOf(victims) || fewest - victims.length;
  return difference > 0;
}

/** By the highest priority among them, then by their number, then by how long they have run in all. */
function isCheaper(some: readonly Holder[], others: readonly Holder[], nowMs: number): boolean {
  const difference =
    ceilingOf(some) - ceilingOf(others) ||
    some.length - others.length ||
    workLostMs(some, nowMs) - workLostMs(others, nowMs);
  return difference < 0;
}

function ceilingOf(holders: readonly Holder[]): number {
  return Math.max(...holders.map(({ priority }) => priority));
}

function workLostMs(holders: readonly Holder[], nowMs: number): number {
  return holders.reduce((sum, { placedAtMs }) => sum + Math.max(0, nowMs - placedAtMs), 0);
}

/**
 * Goes up to the lowest priority that it takes. Of tasks up to there, either those that come first, or the largest, if that makes
 * fewer of them end.
 */
function victimsOn(node: NodeId, search: VictimSearch): readonly Holder[] | null {
  const { claim, contender } = search;
  const pool = search.outlook.holders(node).filter((holder) => claim.mayDisplace(holder));
  // What it has a claim to is there; it lacks something else, for which nobody has to go.
  if (suffices([], { node, search, demand: claim.asked })) return null;
  const first = leastOf(pool, node, search);
  if (first === null) return null;
  const ceiling = ceilingOf(first);
  const largestFirst = pool
    .filter(({ priority }) => priority <= ceiling)
    .map((holder) => ({ holder, gain: gainOf(holder, claim.asked) }))
    .sort((a, b) => b.gain - a.gain)
    .map(({ holder }) => holder);
  const fewer = leastOf(largestFirst, node, search);
  const victims = fewer !== null && fewer.length < first.length ? fewer : first;
  return suffices(victims, { node, search, demand: contender.demand }) ? victims : null;
}

/** From the first on as many as it takes, and of those none without which it would do as well. */
function leastOf(holders: readonly Holder[], node: NodeId, search: VictimSearch): readonly Holder[] | null {
  const { claim } = search;
  const does = (gone: readonly Holder[]) => suffices(gone, { node, search, demand: claim.asked });
  let gone: readonly Holder[] = [];
  for (const holder of holders) {
    const more = [...gone, holder];
    if (!claim.spares(more)) continue;
    gone = more;
    if (does(gone)) return gone.toReversed().reduce((left, one) => withoutIfEnough(left, one, does), gone);
  }
  return null;
}

function withoutIfEnough(
  holders: readonly Holder[],
  one: Holder,
  does: (gone: readonly Holder[]) => boolean,
): readonly Holder[] {
  const rest = holders.filter((holder) => holder !== one);
  return rest.length > 0 && does(rest) ? rest : holders;
}

interface Sufficiency {
  readonly node: NodeId;
  readonly search: VictimSearch;
  readonly demand: Demand;
}

/** Amounts are asked first, since they mostly say no and are quickly compared. */
function suffices(holders: readonly Holder[], { node, search, demand }: Sufficiency): boolean {
  const { outlook, claim, room } = search;
  if (room === null && lacksAmounts(holders, { node, search, demand })) return false;
  return outlook.admits(room ?? node, demand, { gone: { node, holders }, offered: claim.offered });
}

function lacksAmounts(holders: readonly Holder[], { node, search, demand }: Sufficiency): boolean {
  const { outlook, claim } = search;
  return demand.scalarNames.some((name) => {
    const available = outlook.available(node, demand, { scalar: name, offered: claim.offered });
    const more = holders.reduce((sum, { entry }) => sum + scalarOf(entry.resources, name), available);
    return toMilli(more) < scalarOf(demand.scalars, name);
  });
}

/** The sum, over what is asked for, of the part that would come free. */
function gainOf({ entry }: Holder, { scalars, scalarNames }: Demand): number {
  return scalarNames.reduce((sum, name) => {
    const needed = scalarOf(scalars, name);
    return sum + Math.min(needed, scalarOf(entry.resources, name)) / needed;
  }, 0);
}
