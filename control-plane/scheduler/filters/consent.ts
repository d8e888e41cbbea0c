/** What the node's operator has to allow before a task may do more than run in its own container. */
import { missingConsents } from '../../../shared/domain/consent.ts';
import { dangersOf } from '../../../shared/domain/job.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const consentFilter: Filter = {
  obstacle: 'no-consent',
  applies: (demand) => dangersOf(demand.group).length > 0,
  admits: (room, demand) => missingConsents(demand.group, room.node.consent).length === 0,
  shortage: allOrNothing,
  explain: (room, demand) => `doesn't allow ${missingConsents(demand.group, room.node.consent).join(', ')}`,
  sum: (nodes, demand) => `${nodes === 1 ? "doesn't" : "don't"} allow all of: ${dangersOf(demand.group).join(', ')}`,
};
