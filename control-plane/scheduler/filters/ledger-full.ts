/** The bounds on how many tasks hold a place on one node, what they take in its ledger, and what their templates take. */
import { LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX, TEMPLATES_BYTES_MAX } from '../../../shared/domain/ledger.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const ledgerFullFilter: Filter = {
  obstacle: 'ledger-full',
  applies: () => true,
  admits: (room, demand) => !isCrowded(room) && !lacksBytes(room, demand) && !lacksTemplateBytes(room, demand),
  shortage: allOrNothing,
  explain: (room, demand) => {
    if (isCrowded(room)) return `holds ${room.entries} tasks already; ${LEDGER_ENTRIES_MAX} is the most`;
    if (!lacksBytes(room, demand)) {
      return `holds tasks whose descriptions would take ${room.templateBytesWith(demand.template)} bytes together with this one's; ${TEMPLATES_BYTES_MAX} is the most`;
    }
    const left = Math.max(0, LEDGER_BYTES_MAX - room.bytes);
    return `has ${left} of ${LEDGER_BYTES_MAX} bytes left in its ledger, where such a task takes ${demand.entryBytes}`;
  },
  sum: (nodes) =>
    `${nodes === 1 ? 'holds' : 'hold'} as many tasks as a node may (${LEDGER_ENTRIES_MAX}, or fewer where their descriptions are long)`,
};

function isCrowded(room: Room): boolean {
  return room.entries >= LEDGER_ENTRIES_MAX;
}

function lacksBytes(room: Room, demand: Demand): boolean {
  return room.bytes + demand.entryBytes > LEDGER_BYTES_MAX;
}

function lacksTemplateBytes(room: Room, demand: Demand): boolean {
  return room.templateBytesWith(demand.template) > TEMPLATES_BYTES_MAX;
}
