/**
 * What a role may be given at all, wherever: its limits and those of the roles above it, and what has to stay free for the
 * guarantees of others. What comes from a reservation has been charged to its role already and takes no part in it.
 */
import { scalarOf, toMilli } from '../../../shared/domain/resources.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const roleLimitFilter: Filter = {
  obstacle: 'role-limit',
  applies: () => true,
  admits: (room, demand) => overLimit(room, demand) === undefined,
  shortage: allOrNothing,
  explain: (room, demand) => `may be given no such task: ${describeLimit(room, demand)}`,
  sum: (nodes, { role }) =>
    `${nodes === 1 ? 'is' : 'are'} out of the question, since ${role} or a role above it would pass its limit`,
};

export const guaranteeFilter: Filter = {
  obstacle: 'guarantee',
  applies: () => true,
  admits: (room, demand) => keptBack(room, demand) === undefined,
  shortage: allOrNothing,
  explain: (room, demand) => {
    const name = keptBack(room, demand) ?? '';
    const left = Math.max(0, room.roles.guaranteeLeftOf(demand.role, name));
    const all = room.roles.amountOf(room.roles.root.need, name);
    return `has room, but ${all} ${name} of the cluster are kept back for what is guaranteed to roles, which leaves ${left} to ${demand.role} where ${unreservedNeed(room, demand, name)} are needed`;
  },
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} room only in what is kept back for guarantees`,
};

function overLimit(room: Room, demand: Demand): string | undefined {
  const { roles } = room;
  if (!roles.hasLimits) return undefined;
  return demand.scalarNames.find((name) => unreservedNeed(room, demand, name) > roles.limitLeftOf(demand.role, name));
}

function keptBack(room: Room, demand: Demand): string | undefined {
  const { roles } = room;
  if (!roles.hasGuarantees) return undefined;
  return demand.scalarNames.find(
    (name) => unreservedNeed(room, demand, name) > roles.guaranteeLeftOf(demand.role, name),
  );
}

/** What it needs beside what is reserved for its role there. */
function unreservedNeed(room: Room, demand: Demand, name: string): number {
  const reserved = room.availableTo(demand.role, name) - scalarOf(room.free, name);
  return Math.max(0, toMilli(scalarOf(demand.scalars, name) - Math.max(0, reserved)));
}

function describeLimit(room: Room, demand: Demand): string {
  const { roles } = room;
  const name = overLimit(room, demand) ?? '';
  const limiting = roles.limitingRole(demand.role, name);
  if (limiting === null) return 'nothing limits it';
  const need = `${unreservedNeed(room, demand, name)} more are needed`;
  const limit = roles.amountOf(limiting.limit, name);
  // What a role above holds is others' as well, and says nothing to whoever may only read this one.
  if (limiting.path !== demand.role)
    return `the limit of role ${limiting.path} is ${limit} ${name}, with all roles below it; ${need}`;
  const held = roles.amountOf(limiting.charged, name);
  return `the limit of role ${limiting.path} is ${limit} ${name}, of which it holds ${held}; ${need}`;
}
