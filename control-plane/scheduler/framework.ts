/**
 * A scheduler inside the round. It is shown what is left of the open nodes and its own tasks, and takes its share at once,
 * a task at each of its turns, where one outside would be made an offer and answer later.
 */
import type { PlannedPlacement } from './plan.ts';
import type { Room } from './room.ts';
import type { WantedTask } from './wanted.ts';

export interface BuiltInOffer {
  /** Nodes that take new tasks, in the order of their ids. What a framework takes it occupies; the next sees the rest. */
  readonly rooms: readonly Room[];
  /** How many nodes there are, open or not: what the sentences count. */
  readonly nodesTotal: number;
}

export interface BuiltInScheduler {
  /** Places the first task, in the order of their turns, that can be. Null: none can, and none will in this round. */
  placeNext(): PlannedPlacement | null;
}

/** Tasks come in the order of their turns. */
export type BuiltInFramework = (offer: BuiltInOffer, tasks: readonly WantedTask[]) => BuiltInScheduler;
