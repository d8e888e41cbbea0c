/** Which of the nodes that admit a task is the best one for it. */
import { describeConstraint } from '../../shared/domain/constraint.ts';
import type { Placement } from '../../shared/domain/job.ts';
import { LEDGER_ENTRIES_MAX } from '../../shared/domain/ledger.ts';
import { scalarOf } from '../../shared/domain/resources.ts';
import { unreachable } from '../../shared/util/assert.ts';
import type { Demand } from './demand.ts';
import { gpuNodesOf, isLastChoice } from './filters/gpu-node-kept.ts';
import type { Room } from './room.ts';

/** Why `chosen` is the best, in a sentence for people. Asked before the task has taken its place there. */
export function describeChoice(
  chosen: Room,
  demand: Demand,
  nodes: { readonly fitting: number; readonly total: number; readonly isTarget: boolean },
): string {
  if (demand.target !== null) return `${chosen.id} is the node that the task is made for`;
  const { name, share } = dominantUse(chosen, demand);
  const use = `${name} ${Math.round(share * 100)} % used after placement`;
  if (nodes.total === 1) return `${chosen.id} is the only node, and has room (${use})`;
  if (nodes.fitting === 1) return `${chosen.id} is the only one of ${nodes.total} nodes that had room (${use})`;
  const among = describeRank(chosen, demand);
  const head = `${nodes.fitting} of ${nodes.total} nodes had room; ${chosen.id}`;
  const preferred = describePreferred(demand, nodes.isTarget);
  if (preferred !== null)
    return `${head} is where it is rather to be (${preferred}), by how full nodes are only between equals${among}`;
  return `${head} ${describeBest(chosen, demand, use)}${among}`;
}

/** What decides before how full nodes are; null: nothing does. */
function describePreferred({ preferences, spreads }: Demand, isTarget: boolean): string | null {
  const reasons = [
    ...(isTarget ? ['it was chosen beforehand'] : []),
    ...preferences.map(({ condition, weight }) => `${describeConstraint(condition.constraint)}: ${weight}`),
    ...spreads.map(({ attribute, weight }) => `spread over ${attribute}: ${weight}`),
  ];
  return reasons.length === 0 ? null : reasons.join(', ');
}

/** Among which nodes it is the best, where it isn't all that had room. */
function describeRank(chosen: Room, demand: Demand): string {
  if (isLastChoice(chosen, demand)) return '; only nodes with GPUs had room';
  const hasRanks = demand.scalars.gpus === 0 && gpuNodesOf(chosen, demand) === 'preferred';
  return hasRanks ? '; nodes with GPUs come last' : '';
}

function describeBest(chosen: Room, demand: Demand, use: string): string {
  switch (demand.placement) {
    case 'pack':
      return `is the fullest that fits (${use})`;
    case 'spread': {
      const held = chosen.tasksOf(demand.key);
      return `holds the fewest tasks of the group (${held}) and is the least loaded of those (${use})`;
    }
    default:
      return unreachable(demand.placement);
  }
}

/** How good a room that admits the demand is for it: higher is better. It changes only when a task takes a place there. */
export type Score = (room: Room, demand: Demand) => number;

export function scoreOf(placement: Placement): Score {
  const score = scoreAmongEquals(placement);
  return (room, demand) => score(room, demand) - (isLastChoice(room, demand) ? LAST_CHOICE : 0);
}

/** More than any two nodes' scores differ by. */
const LAST_CHOICE = 10 * LEDGER_ENTRIES_MAX;

function scoreAmongEquals(placement: Placement): Score {
  switch (placement) {
    case 'pack':
      return usedShare;
    case 'spread':
      // Whole tasks weigh more than the load, which is a share of at most 1 and so only decides between equals.
      return (room, demand) => -(room.tasksOf(demand.groupKey) + usedShare(room, demand) / 2);
    default:
      return unreachable(placement);
  }
}

/**
 * The dominant share: of the scalars that the task needs, the one of which the node will have given away most, from 0 to
 * 1, with the task placed.
 */
function usedShare(room: Room, demand: Demand): number {
  let most = 0;
  for (const name of demand.scalarNames) most = Math.max(most, usedShareOf(room, demand, name));
  return most;
}

function usedShareOf(room: Room, demand: Demand, name: string): number {
  const total = scalarOf(room.ledger.total, name);
  return (total - room.availableTo(demand.role, name) + scalarOf(demand.scalars, name)) / total;
}

function dominantUse(room: Room, demand: Demand): { readonly name: string; readonly share: number } {
  const share = usedShare(room, demand);
  const name = demand.scalarNames.find((candidate) => usedShareOf(room, demand, candidate) === share);
  return { name: name ?? 'nothing', share };
}
