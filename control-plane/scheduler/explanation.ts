/**
 * Why a task has no place: the filters of the round, asked about every node and told in words. A node is counted under the
 * first filter that refuses it; how close it is to taking the task is judged by all that do.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { PlacementObstacle } from '../../shared/domain/placement-obstacle.ts';
import type { Demand } from './demand.ts';
import { FILTERS, NATURE_FILTERS } from './filters/all.ts';
import type { Filter } from './filters/filter.ts';
import type { Room } from './room.ts';
import type { Hold } from './wanted.ts';

export interface Explanation {
  /** A round that had only this task to place would place it. */
  readonly placeable: boolean;
  /** What keeps it from being considered, whatever room there is, or what it displaces and is to have the place of; null: nothing. */
  readonly waiting: Hold | 'backoff' | 'displacing' | null;
  /** When a backoff ends; null unless that is what it waits for. */
  readonly notBeforeMs: number | null;
  readonly nodesTotal: number;
  /** In the order in which the filters are asked. */
  readonly refusals: readonly NodeRefusals[];
  /** Of the nodes that refuse, the one that lacks least; null where a node would take it, and where there is none. */
  readonly closest: ClosestNode | null;
  /** All of that in a sentence. */
  readonly summary: string;
}

export interface NodeRefusals {
  readonly code: PlacementObstacle;
  /** How many nodes this was the first obstacle on. */
  readonly nodes: number;
  readonly message: string;
}

export interface ClosestNode {
  readonly node: NodeId;
  readonly missing: readonly { readonly code: PlacementObstacle; readonly message: string }[];
  readonly message: string;
}

/** What all nodes say to a demand. */
export interface Verdict {
  readonly nodesTotal: number;
  readonly nodesFitting: number;
  /** `clause` follows the number of nodes: `has too little memory free`. */
  readonly refusals: readonly (Omit<NodeRefusals, 'message'> & { readonly clause: string })[];
  readonly closest: ClosestNode | null;
}

/** The verdict as an explanation of a task that nothing but the nodes keeps from its place. */
export function explanationOf(verdict: Verdict): Explanation {
  return {
    placeable: verdict.nodesFitting > 0,
    waiting: null,
    notBeforeMs: null,
    nodesTotal: verdict.nodesTotal,
    refusals: verdict.refusals.map(({ code, nodes, clause }) => ({
      code,
      nodes,
      message: `${plural(nodes, 'node')} ${clause}`,
    })),
    closest: verdict.closest,
    summary: summarize(verdict),
  };
}

/** `rooms` are all nodes, open or not. */
export function judge(rooms: readonly Room[], demand: Demand): Verdict {
  const filters = FILTERS.filter((filter) => filter.applies(demand));
  const refused = refusalsBy(rooms, demand);
  const nodesFitting = rooms.length - refused.length;
  return {
    nodesTotal: rooms.length,
    nodesFitting,
    refusals: filters.flatMap((filter) => {
      const nodes = refused.filter(({ broken }) => broken[0] === filter).length;
      if (nodes === 0) return [];
      return [{ code: filter.obstacle, nodes, clause: filter.sum(nodes, demand) }];
    }),
    closest: nodesFitting > 0 ? null : closestOf(refused, demand),
  };
}

/** The nodes that refuse, each with every filter that does, in their order. */
export function refusalsBy(rooms: readonly Room[], demand: Demand): RefusingNode[] {
  const filters = FILTERS.filter((filter) => filter.applies(demand));
  return rooms
    .map((room) => ({ room, broken: filters.filter((filter) => !filter.admits(room, demand)) }))
    .filter(({ broken }) => broken.length > 0);
}

/** The verdict as one sentence, to stand alone. */
function summarize({ nodesTotal, nodesFitting, refusals, closest }: Verdict): string {
  if (nodesTotal === 0) return NO_NODES;
  const head = `${nodesFitting} of ${plural(nodesTotal, 'node')} can take it`;
  if (nodesFitting > 0) return `${head}; it gets a place when its turn comes.`;
  const reasons = refusals.map(({ code, nodes, clause }) => {
    const nearest = closest?.missing[0]?.code === code ? ` (closest: ${closest.message})` : '';
    return `${nodes} ${clause}${nearest}`;
  });
  return `${head}: ${reasons.join(', ')}.`;
}

const NO_NODES =
  'No node has joined the cluster. Make a join token with "berth token create", and run "berth agent" with it on a ' +
  'machine that is to take tasks.';

export interface RefusingNode {
  readonly room: Room;
  readonly broken: readonly Filter[];
}

/**
 * Fewest obstacles first, then the smallest sum of what is short, relative to what is needed; then those that are as the task asks for,
 * since a node that is out of service comes back and one of another zone stays there; then the first id.
 */
export function closestOf(refused: readonly RefusingNode[], demand: Demand): ClosestNode | null {
  let best: RefusingNode | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of refused) {
    const distance = distanceOf(candidate, demand);
    const isNearer = distance === bestDistance && best !== null && isOfOtherKind(best) && !isOfOtherKind(candidate);
    if (distance >= bestDistance && !isNearer) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best === null ? null : describeClosest(best, demand);
}

function isOfOtherKind({ broken }: RefusingNode): boolean {
  return broken.some((filter) => NATURE_FILTERS.includes(filter));
}

/** The number of obstacles, plus a fraction below 1 for how much is short in all: it only decides between equals. */
function distanceOf({ room, broken }: RefusingNode, demand: Demand): number {
  const short = broken.reduce((sum, filter) => sum + filter.shortage(room, demand), 0);
  return broken.length + short / (broken.length + 1);
}

function describeClosest({ room, broken }: RefusingNode, demand: Demand): ClosestNode {
  const missing = broken.map((filter) => ({ code: filter.obstacle, message: filter.explain(room, demand) }));
  return { node: room.id, missing, message: `${room.id} ${missing.map(({ message }) => message).join('; it ')}` };
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
