/** The one node that a task is made for, as those of a system job are. */
import { allOrNothing, type Filter } from './filter.ts';

export const targetFilter: Filter = {
  obstacle: 'other-node',
  applies: (demand) => demand.target !== null,
  admits: (room, demand) => room.id === demand.target,
  shortage: allOrNothing,
  explain: (_room, demand) => `is not ${demand.target}, which the task is made for`,
  sum: (nodes, demand) => `${nodes === 1 ? 'is' : 'are'} not ${demand.target}, which the task is made for`,
};
