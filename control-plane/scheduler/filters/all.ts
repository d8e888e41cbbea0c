/** The filters in the order in which they are asked: the first that refuses is the reason that is counted. */
import type { Room } from '../room.ts';
import { guaranteeFilter, roleLimitFilter } from './bounds.ts';
import { consentFilter } from './consent.ts';
import { constraintFilter } from './constraints.ts';
import { engineFilter } from './engine.ts';
import type { Filter, NodeFilter } from './filter.ts';
import { gpuNodeKeptFilter } from './gpu-node-kept.ts';
import { ledgerFullFilter } from './ledger-full.ts';
import { aheadFilter, aliveFilter, drainingFilter, eligibleFilter, maintenanceFilter } from './node-state.ts';
import { peersFilter } from './peers.ts';
import { portCountFilter, portRangeFilter, portTakenFilter } from './ports.ts';
import { reservedFilter } from './reserved.ts';
import { cpusFilter, customScalarsFilter, diskFilter, gpusFilter, memoryFilter } from './scalars.ts';
import { targetFilter } from './target.ts';
import { volumesFilter } from './volumes.ts';

/** Whether the node takes new tasks at all. The same for everybody, so the round asks once per node. */
export const NODE_FILTERS: readonly NodeFilter[] = [
  eligibleFilter,
  drainingFilter,
  maintenanceFilter,
  aliveFilter,
  aheadFilter,
];

/** What the node is, rather than what it holds. */
export const NATURE_FILTERS: readonly Filter[] = [engineFilter, consentFilter, targetFilter, constraintFilter];

const ROOM_FILTERS: readonly Filter[] = [
  volumesFilter,
  gpuNodeKeptFilter,
  ledgerFullFilter,
  reservedFilter,
  cpusFilter,
  memoryFilter,
  diskFilter,
  gpusFilter,
  customScalarsFilter,
  portRangeFilter,
  portTakenFilter,
  portCountFilter,
];

/** Whether it takes such a task, whatever happens elsewhere. What one of them refuses once is refused for the rest of a round. */
export const DEMAND_FILTERS: readonly Filter[] = [...NATURE_FILTERS, ...ROOM_FILTERS];

/** Whether it takes such a task as the others of its group are now: with each that is placed, answers come and go. */
export const PEER_FILTERS: readonly Filter[] = [peersFilter];

/** Whether its role may be given so much more. The answer shrinks with all that the role is given on any node. */
export const BOUND_FILTERS: readonly Filter[] = [roleLimitFilter, guaranteeFilter];

export const FILTERS: readonly Filter[] = [
  ...NODE_FILTERS,
  roleLimitFilter,
  ...NATURE_FILTERS,
  ...PEER_FILTERS,
  ...ROOM_FILTERS,
  guaranteeFilter,
];

/** The nodes that take new tasks. */
export function openRooms(rooms: readonly Room[]): Room[] {
  return rooms.filter((room) => NODE_FILTERS.every((filter) => filter.admits(room)));
}
