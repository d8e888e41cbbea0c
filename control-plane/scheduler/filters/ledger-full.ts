/** The bound on how many tasks hold a place on one node. */
import { LEDGER_ENTRIES_MAX } from '../../../shared/domain/ledger.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const ledgerFullFilter: Filter = {
  obstacle: 'ledger-full',
  applies: () => true,
  admits: (room) => room.entries < LEDGER_ENTRIES_MAX,
  shortage: allOrNothing,
  explain: (room) => `holds ${room.entries} tasks already; ${LEDGER_ENTRIES_MAX} is the most`,
  sum: (nodes) => `${nodes === 1 ? 'holds' : 'hold'} as many tasks as a node may (${LEDGER_ENTRIES_MAX})`,
};
