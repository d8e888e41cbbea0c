/** The bounds on how many tasks hold a place on one node, and on what they take in its ledger. */
import { LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX } from '../../../shared/domain/ledger.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const ledgerFullFilter: Filter = {
  obstacle: 'ledger-full',
  applies: () => true,
  admits: (room, demand) => !isCrowded(room) && room.bytes + demand.entryBytes <= LEDGER_BYTES_MAX,
  shortage: allOrNothing,
  explain: (room, demand) =>
    isCrowded(room)
      ? `holds ${room.entries} tasks already; ${LEDGER_ENTRIES_MAX} is the most`
      : `has ${Math.max(0, LEDGER_BYTES_MAX - room.bytes)} of ${LEDGER_BYTES_MAX} bytes left in its ledger, where such a task takes ${demand.entryBytes}`,
  sum: (nodes) =>
    `${nodes === 1 ? 'holds' : 'hold'} as many tasks as a node may (${LEDGER_ENTRIES_MAX}, or ${LEDGER_BYTES_MAX} bytes of its ledger)`,
};

function isCrowded(room: Room): boolean {
  return room.entries >= LEDGER_ENTRIES_MAX;
}
