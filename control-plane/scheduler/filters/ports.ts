/** Host ports: certain ones must exist on the node and be free, and for the rest enough must be left over. */
import { countPorts, hasPort } from '../../../shared/domain/resources.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const portRangeFilter: Filter = {
  obstacle: 'port-out-of-range',
  applies: (demand) => demand.fixedPorts.length > 0,
  admits: (room, demand) => demand.fixedPorts.every((port) => hasPort(room.ledger.total.ports, port)),
  shortage: allOrNothing,
  explain: (room, demand) => {
    const outside = demand.fixedPorts.filter((port) => !hasPort(room.ledger.total.ports, port));
    return `doesn't offer ${portList(outside)} but ${offeredPorts(room)}`;
  },
  sum: (nodes, demand) => `${nodes === 1 ? "doesn't" : "don't"} offer ${portList(demand.fixedPorts)}`,
};

/** Ports outside of the node's ranges aren't free either, but that is the other filter's matter. */
export const portTakenFilter: Filter = {
  obstacle: 'port-taken',
  applies: (demand) => demand.fixedPorts.length > 0,
  admits: (room, demand) => takenPorts(room, demand).length === 0,
  shortage: allOrNothing,
  explain: (room, demand) => `has given ${portList(takenPorts(room, demand))} to another task`,
  sum: (nodes, demand) => `${nodes === 1 ? 'has' : 'have'} given ${portList(demand.fixedPorts)} to another task`,
};

export const portCountFilter: Filter = {
  obstacle: 'ports',
  applies: (demand) => demand.anyPorts > 0,
  admits: (room, demand) => sparePorts(room, demand) >= demand.anyPorts,
  shortage: (room, demand) => (demand.anyPorts - sparePorts(room, demand)) / demand.anyPorts,
  explain: (room, demand) => {
    const spare = sparePorts(room, demand);
    const total = countPorts(room.ledger.total.ports);
    return `lacks ${demand.anyPorts - spare} of ${demand.anyPorts} host ports, with ${spare} of ${total} free`;
  },
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} too few host ports free`,
};

function takenPorts(room: Room, demand: Demand): number[] {
  return demand.fixedPorts.filter((port) => hasPort(room.ledger.total.ports, port) && !hasPort(room.free.ports, port));
}

/** How many ports are free once the certain ones are handed out. */
function sparePorts(room: Room, demand: Demand): number {
  return room.freePorts - demand.fixedPorts.filter((port) => hasPort(room.free.ports, port)).length;
}

function portList(ports: readonly number[]): string {
  return `${ports.length === 1 ? 'port' : 'ports'} ${ports.join(', ')}`;
}

function offeredPorts(room: Room): string {
  const ranges = room.ledger.total.ports.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
  return ranges.length === 0 ? 'no port at all' : ranges.join(', ');
}
