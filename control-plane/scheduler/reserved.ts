/** Who may use what is reserved: the role that it is for, and those below it. */
import { type ReservationId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { byText } from '../../shared/util/order.ts';
import type { FreeReservation } from './ledger-sums.ts';

/** Those that the role may draw from: the nearest role's first, so that what others can use as well lasts longest. */
export function usableReservations(reserved: readonly FreeReservation[], role: RolePath): FreeReservation[] {
  return reserved
    .filter((one) => roleWithin(role, one.role))
    .sort((a, b) => b.role.length - a.role.length || byText(a.id, b.id));
}

/** What a task of the role takes from which reservation, as far as they reach. */
export function drawReserved(
  reserved: readonly FreeReservation[],
  role: RolePath,
  needed: Scalars,
): Record<ReservationId, Scalars> {
  const left = new Map(scalarNames(needed).map((name) => [name, scalarOf(needed, name)]));
  const drawn: Record<ReservationId, Scalars> = {};
  for (const { id, free } of usableReservations(reserved, role)) {
    const part = new Map<string, number>();
    for (const [name, amount] of left) {
      const taken = Math.max(0, Math.min(amount, scalarOf(free, name)));
      part.set(name, taken);
      left.set(name, toMilli(amount - taken));
    }
    if ([...part.values()].some((amount) => amount > 0)) drawn[id] = scalarsOf(part, needed);
  }
  return drawn;
}

function scalarsOf(part: ReadonlyMap<string, number>, needed: Scalars): Scalars {
  const at = (name: string) => part.get(name) ?? 0;
  const custom = Object.keys(needed.custom).filter((name) => at(name) > 0);
  return {
    cpus: at('cpus'),
    memMiB: at('memMiB'),
    diskMiB: at('diskMiB'),
    gpus: at('gpus'),
    custom: Object.fromEntries(custom.map((name) => [name, at(name)])),
  };
}
