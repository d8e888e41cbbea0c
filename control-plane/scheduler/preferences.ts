/**
 * Where a task is rather to be. Points are added up: the weights of all preferences that hold, what each spread gives, and
 * {@link TARGET_POINTS} for the node that its pass has chosen for it. How full nodes are decides only between equals.
 */
import type { SpreadSpec } from '../../shared/domain/service.ts';
import type { Demand } from './demand.ts';
import { isLastChoice } from './filters/gpu-node-kept.ts';
import type { PeerCounts } from './peer-rules.ts';
import { attributeOf, type GroupPeers } from './peers.ts';
import type { Room } from './room.ts';

/** As much as the strongest preference: a place that has been made for it, or where its image is. */
export const TARGET_POINTS = 100;

/** More than preferences (at most 50) and spreads (at most 10) of 100 points each come to, and the target's, either way. */
const LAST_CHOICE_POINTS = 100_000;

/** What doesn't change while a round is planned. */
export function lastingPoints(room: Room, demand: Demand): number {
  let points = 0;
  for (const { condition, weight } of demand.preferences) {
    if (condition.holds(room.node.attributes)) points += weight;
  }
  return isLastChoice(room, demand) ? points - LAST_CHOICE_POINTS : points;
}

/** What its spreads give a room, as the other tasks of the group stand now. */
export function spreadPoints(room: Room, demand: Demand, peers: GroupPeers): number {
  let points = 0;
  for (const spread of demand.spreads) {
    points += pointsOf(spread, attributeOf(room.node.attributes, spread.attribute), peers.by(spread.attribute));
  }
  return points;
}

/**
 * Evenly: all of the weight for the emptiest value, a half of it for one that has a task more, a third for two more. By targets: the
 * part of its target that a value lacks, so that those furthest from theirs come first; what is beyond it counts against it. A node
 * without the attribute has the whole weight against it.
 */
export function pointsOf(spread: SpreadSpec, value: string | undefined, counts: PeerCounts): number {
  const { weight, targets } = spread;
  if (value === undefined) return -weight;
  const count = counts.of(value);
  if (targets === undefined) return weight / (1 + count - Math.min(counts.leastPossible, count));
  const target = targetOf(value, targets, counts);
  return target <= 0 ? -weight : weight * Math.max(-1, 1 - count / target);
}

/** In tasks. What the targets leave is shared out among the values that they don't name. */
function targetOf(value: string, targets: NonNullable<SpreadSpec['targets']>, counts: PeerCounts): number {
  const named = targets.find((target) => target.value === value);
  if (named !== undefined) return (counts.wanted * named.percent) / 100;
  const left = 100 - targets.reduce((sum, { percent }) => sum + percent, 0);
  const others = counts.possible.difference(new Set(targets.map((target) => target.value))).size;
  return (counts.wanted * left) / 100 / Math.max(1, others);
}
