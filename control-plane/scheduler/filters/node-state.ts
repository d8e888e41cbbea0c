/** Nodes that take no new tasks at all, whoever asks. */
import { endsAtMs, type MaintenanceTime } from '../../../shared/domain/maintenance.ts';
import { allOrNothing, type NodeFilter } from './filter.ts';

export const eligibleFilter: NodeFilter = {
  obstacle: 'node-ineligible',
  applies: () => true,
  admits: (room) => room.ledger.eligible,
  shortage: allOrNothing,
  explain: () => 'has been made ineligible for new tasks',
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} been made ineligible for new tasks`,
};

export const drainingFilter: NodeFilter = {
  obstacle: 'node-draining',
  applies: () => true,
  admits: (room) => room.ledger.drain === null,
  shortage: allOrNothing,
  explain: (room) => `is being drained by ${room.ledger.drain?.by ?? 'nobody'}`,
  sum: (nodes) => `${nodes === 1 ? 'is' : 'are'} draining`,
};

export const maintenanceFilter: NodeFilter = {
  obstacle: 'maintenance',
  applies: () => true,
  admits: (room) => room.maintenance === null,
  shortage: allOrNothing,
  explain: (room) => `is out of service for maintenance${untilText(room.maintenance)}`,
  sum: (nodes) => `${nodes === 1 ? 'is' : 'are'} out of service for maintenance`,
};

function untilText(window: MaintenanceTime | null): string {
  const end = window === null ? Number.POSITIVE_INFINITY : endsAtMs(window);
  return end === Number.POSITIVE_INFINITY
    ? ', until somebody takes that back'
    : ` until ${new Date(end).toISOString()}`;
}

/** Its agent follows no assignment of this state, so whatever was placed there would wait for ever. */
export const aheadFilter: NodeFilter = {
  obstacle: 'node-ahead',
  applies: () => true,
  admits: (room) => !room.ahead,
  shortage: allOrNothing,
  explain: () => 'has seen a later state than this one: was the store restored? Then the cluster has to be recovered',
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} seen a later state than this one: was the store restored?`,
};

export const aliveFilter: NodeFilter = {
  obstacle: 'node-unreachable',
  applies: () => true,
  admits: (room) => room.alive,
  shortage: allOrNothing,
  explain: () => 'is unreachable: its agent sends no heartbeats',
  sum: (nodes) => `${nodes === 1 ? 'is' : 'are'} unreachable`,
};
