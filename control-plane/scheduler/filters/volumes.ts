/** Persistent volumes that the task mounts: they are where they are, so it has to go there. */
import { missingVolumes } from '../../../shared/domain/volumes.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const volumesFilter: Filter = {
  obstacle: 'no-volume',
  applies: (demand) => demand.volumes.length > 0,
  admits: (room, demand) => missingVolumes(room.ledger, demand.volumes, demand.role).length === 0,
  shortage: allOrNothing,
  explain: (room, demand) => missingVolumes(room.ledger, demand.volumes, demand.role).join(' and '),
  sum: (nodes, demand) => {
    const ids = demand.volumes.join(', ');
    return `${nodes === 1 ? "doesn't" : "don't"} have all of its volumes for its role: ${ids}`;
  },
};
