/** Amounts that are only counted: one filter each, and one for everything that operators declared. */
import { scalarOf, toMilli } from '../../../shared/domain/resources.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import type { Filter } from './filter.ts';

export const cpusFilter: Filter = {
  obstacle: 'cpus',
  applies: (demand) => demand.scalars.cpus > 0,
  admits: (room, demand) => shortageOf(room, demand, 'cpus') === 0,
  shortage: (room, demand) => shortageOf(room, demand, 'cpus'),
  explain: (room, demand) => `lacks ${describeLack(room, demand, 'cpus', 'cpus')}`,
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} too few cpus free`,
};

export const memoryFilter: Filter = {
  obstacle: 'memory',
  applies: (demand) => demand.scalars.memMiB > 0,
  admits: (room, demand) => shortageOf(room, demand, 'memMiB') === 0,
  shortage: (room, demand) => shortageOf(room, demand, 'memMiB'),
  explain: (room, demand) => `lacks ${describeLack(room, demand, 'memMiB', 'MiB of memory')}`,
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} too little memory free`,
};

export const diskFilter: Filter = {
  obstacle: 'disk',
  applies: (demand) => demand.scalars.diskMiB > 0,
  admits: (room, demand) => shortageOf(room, demand, 'diskMiB') === 0,
  shortage: (room, demand) => shortageOf(room, demand, 'diskMiB'),
  explain: (room, demand) => `lacks ${describeLack(room, demand, 'diskMiB', 'MiB of disk')}`,
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} too little disk free`,
};

export const gpusFilter: Filter = {
  obstacle: 'gpus',
  applies: (demand) => demand.scalars.gpus > 0,
  admits: (room, demand) => shortageOf(room, demand, 'gpus') === 0,
  shortage: (room, demand) => shortageOf(room, demand, 'gpus'),
  explain: (room, demand) => `lacks ${describeLack(room, demand, 'gpus', 'GPUs')}`,
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} too few GPUs free`,
};

export const customScalarsFilter: Filter = {
  obstacle: 'custom-resource',
  applies: (demand) => demand.customNames.length > 0,
  admits: (room, demand) => demand.customNames.every((name) => shortageOf(room, demand, name) === 0),
  shortage: (room, demand) => Math.max(0, ...demand.customNames.map((name) => shortageOf(room, demand, name))),
  explain: (room, demand) => {
    const missing = demand.customNames.filter((name) => shortageOf(room, demand, name) > 0);
    return `lacks ${missing.map((name) => describeLack(room, demand, name, name)).join(', ')}`;
  },
  sum: (nodes, demand) => `${nodes === 1 ? 'has' : 'have'} too little ${demand.customNames.join(' or ')} free`,
};

/** The share of what is needed that isn't there, from 0 (it fits). What is reserved for others is another filter's matter. */
function shortageOf(room: Room, demand: Demand, name: string): number {
  const needed = scalarOf(demand.scalars, name);
  const free = Math.max(0, room.unheld(name));
  return needed <= free ? 0 : (needed - free) / needed;
}

/** `512 of 2048 MiB of memory, with 1536 of 4096 free`: what to ask less of, or what to wait for. */
function describeLack(room: Room, demand: Demand, name: string, unit: string): string {
  const needed = scalarOf(demand.scalars, name);
  const free = Math.max(0, room.availableTo(demand.role, name));
  const total = scalarOf(room.ledger.total, name);
  const offered = room.offered(name);
  const inOffers = offered > 0 ? ` and ${offered} in offers` : '';
  return `${toMilli(needed - free)} of ${needed} ${unit}, with ${free} of ${total} free${inOffers}`;
}
