/** A container needs an engine, and not every node has one. */
import { NO_ENGINE } from '../../../shared/domain/node.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const engineFilter: Filter = {
  obstacle: 'no-engine',
  applies: (demand) => demand.group.runtime === 'docker',
  admits: (room) => room.node.engine !== NO_ENGINE,
  shortage: allOrNothing,
  explain: () => 'has no container engine, and runs only tasks with the runtime "process"',
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} no container engine`,
};
