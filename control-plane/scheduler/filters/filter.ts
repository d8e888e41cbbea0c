/**
 * The shape of one reason to refuse a node. The round asks whether the node is admitted; explanations ask the same filter
 * to say why not. So a sentence about a refusal is never a second opinion.
 */
import type { PlacementObstacle } from '../../../shared/domain/placement-obstacle.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';

export interface Filter {
  readonly obstacle: PlacementObstacle;
  /** Whether it could refuse such a demand at all: the round doesn't ask the others. */
  applies(demand: Demand): boolean;
  admits(room: Room, demand: Demand): boolean;
  /** How far a refusing node is from admitting, from 0 (almost) to 1: the share of what is needed that it lacks. */
  shortage(room: Room, demand: Demand): number;
  /** What is wrong with a refusing node, to follow its name: `lacks 512 of 2048 MiB of memory`. */
  explain(room: Room, demand: Demand): string;
  /** The same for a number of nodes, to follow the number: `has too little memory`, or for several, `have …`. */
  sum(nodes: number, demand: Demand): string;
}

/** A filter that looks at the node alone. */
export interface NodeFilter extends Filter {
  admits(room: Room): boolean;
}

/** The shortage of what is either so or not, and no matter of amounts. */
export function allOrNothing(): number {
  return 1;
}
