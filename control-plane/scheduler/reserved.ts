/** Who may use what is reserved: the role that it is for, and those below it. */
import { type ReservationId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import {
  addScalars,
  NO_SCALARS,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
  toMilli,
} from '../../shared/domain/resources.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, amountAt, type ScalarNames } from './amounts.ts';
import type { FreeReservation } from './ledger-sums.ts';

/** Those that the role may draw from: the nearest role's first, so that what others can use as well lasts longest. */
export function usableReservations(reserved: readonly FreeReservation[], role: RolePath): FreeReservation[] {
  return reserved
    .filter((one) => roleWithin(role, one.role))
    .sort((a, b) => b.role.length - a.role.length || byText(a.id, b.id));
}

/** What is taken of a node at once. */
type Part = Pick<Offer, 'resources' | 'reserved'>;

/** What is reserved on one node for one role, or for roles above it, and still there. */
export interface ReservedPart extends Part {
  readonly amounts: Amounts;
}

/** Null: nothing. */
export function reservedPart(
  reserved: readonly FreeReservation[],
  role: RolePath,
  names: ScalarNames,
): ReservedPart | null {
  if (reserved.length === 0) return null;
  const usable = usableReservations(reserved, role)
    .map(({ id, free }) => [id, atLeastNothing(free)] as const)
    .filter(([, free]) => names.amountsOf(free).some((amount) => amount > 0));
  if (usable.length === 0) return null;
  const sum = usable.reduce<Scalars>((all, [, free]) => addScalars(all, free), NO_SCALARS);
  return { resources: { ...sum, ports: [] }, reserved: Object.fromEntries(usable), amounts: names.amountsOf(sum) };
}

/** What is to be had of a node beside what is reserved there, and that as well. */
export function withReserved(unreserved: Resources, beside: ReservedPart | null): Part {
  if (beside === null) return { resources: unreserved, reserved: {} };
  const { resources, reserved } = beside;
  return { resources: { ...addScalars(unreserved, resources), ports: unreserved.ports }, reserved };
}

/** How much each of the minimums still asks for beside what is reserved. */
export function besideReserved(minimums: readonly Amounts[], beside: ReservedPart | null): readonly Amounts[] {
  if (beside === null) return minimums;
  return minimums.map((minimum) =>
    minimum.map((amount, place) => Math.max(0, amount - amountAt(beside.amounts, place))),
  );
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

/** A node of which a device has died has less than nothing of it, which isn't offered. */
function atLeastNothing({ cpus, memMiB, diskMiB, gpus, custom }: Scalars): Scalars {
  return {
    cpus: Math.max(0, cpus),
    memMiB: Math.max(0, memMiB),
    diskMiB: Math.max(0, diskMiB),
    gpus: Math.max(0, gpus),
    custom: Object.fromEntries(Object.entries(custom).filter(([, amount]) => amount > 0)),
  };
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
