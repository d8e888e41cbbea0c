/**
 * Nodes with GPUs are few and dear, so by default only tasks that ask for GPUs are placed there. What counts is what the node
 * has: as long as it has any, it is kept, however many of them are taken.
 */
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const gpuNodeKeptFilter: Filter = {
  obstacle: 'gpu-node-kept',
  applies: ({ scalars, gpuNodes }) => scalars.gpus === 0 && (gpuNodes ?? 'restricted') === 'restricted',
  admits: (room, demand) => !hasGpus(room) || gpuNodesOf(room, demand) !== 'restricted',
  shortage: allOrNothing,
  explain: () => 'has GPUs, and is kept for tasks that ask for them',
  sum: (nodes) =>
    nodes === 1
      ? 'has GPUs and is kept for tasks that ask for them'
      : 'have GPUs and are kept for tasks that ask for them',
};

/** Whether the node is to be taken only where no other one will do. */
export function isLastChoice(room: Room, demand: Demand): boolean {
  return demand.scalars.gpus === 0 && hasGpus(room) && gpuNodesOf(room, demand) === 'preferred';
}

function hasGpus({ ledger }: Room): boolean {
  return ledger.total.gpus > 0;
}

/** What the job says, else what the cluster's settings say. */
export function gpuNodesOf(room: Room, demand: Demand): Room['gpuNodes'] {
  return demand.gpuNodes ?? room.gpuNodes;
}
