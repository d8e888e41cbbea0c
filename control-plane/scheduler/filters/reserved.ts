/** What is there and free, but reserved for roles that the task isn't in. */
import { roleWithin } from '../../../shared/domain/ids.ts';
import { scalarOf, toMilli } from '../../../shared/domain/resources.ts';
import type { Demand } from '../demand.ts';
import type { Room } from '../room.ts';
import type { Filter } from './filter.ts';

export const reservedFilter: Filter = {
  obstacle: 'reserved',
  applies: () => true,
  admits: (room, demand) => room.reserved.length === 0 || blockedNames(room, demand).length === 0,
  shortage: (room, demand) =>
    Math.max(
      0,
      ...blockedNames(room, demand).map((name) => {
        const needed = scalarOf(demand.scalars, name);
        return (needed - Math.max(0, room.availableTo(demand.role, name))) / needed;
      }),
    ),
  explain: (room, demand) => {
    const parts = blockedNames(room, demand).map((name) => `${reservedForOthers(room, demand, name)} ${name}`);
    const roles = [...new Set(foreign(room, demand).map(({ role }) => role))].sort();
    return `keeps ${parts.join(', ')} for ${roles.join(', ')}, for which that is reserved`;
  },
  sum: (nodes) => `${nodes === 1 ? 'has' : 'have'} room only in what is reserved for other roles`,
};

/** Scalars of which enough would be there, if what is reserved for others were its own. */
function blockedNames(room: Room, demand: Demand): string[] {
  return demand.scalarNames.filter((name) => {
    const needed = scalarOf(demand.scalars, name);
    const own = room.availableTo(demand.role, name);
    return needed > own && needed <= room.unheld(name);
  });
}

function reservedForOthers(room: Room, demand: Demand, name: string): number {
  return toMilli(foreign(room, demand).reduce((sum, { free }) => sum + Math.max(0, scalarOf(free, name)), 0));
}

function foreign(room: Room, { role }: Demand) {
  return room.reserved.filter((one) => !roleWithin(role, one.role));
}
