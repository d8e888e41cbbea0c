/**
 * What a node's operator has its agent keep for roles, in the node's ledger. It is given in full at once, even while others hold what
 * it is made of: then less than nothing is free for them, so it fills as they end. What is in use stays, whatever the agent says.
 */
import type { ReservationId, RolePath } from './ids.ts';
import { freeReserved, type Ledger } from './ledger.ts';
import { LEDGER_RESERVATIONS_MAX, type Reservation, type StaticReservation } from './reservation.ts';
import { NO_SCALARS, type Scalars, scalarNames, scalarOf, subtractScalars } from './resources.ts';

/** The same ledger where it is so already. `wanted` names no role twice. */
export function withStaticReservations(
  ledger: Ledger,
  wanted: readonly StaticReservation[],
  { by, atMs }: Pick<Reservation, 'by' | 'atMs'>,
): Ledger {
  const standing = Object.values(ledger.reservations).filter(({ source }) => source === 'static');
  const known = new Set(standing.map(({ role }) => role));
  const changed = standing.flatMap((one) => {
    const scalars = larger(scalarsFor(wanted, one.role), inUse(ledger, one));
    return isSame(scalars, one.scalars) ? [] : [{ ...one, scalars }];
  });
  const room = LEDGER_RESERVATIONS_MAX - Object.keys(ledger.reservations).length;
  const added = wanted.filter(({ role, scalars }) => !known.has(role) && !isSame(scalars, NO_SCALARS)).slice(0, room);
  if (changed.length + added.length === 0) return ledger;
  const reservations: Record<ReservationId, Reservation> = { ...ledger.reservations };
  for (const one of changed) {
    if (isSame(one.scalars, NO_SCALARS)) delete reservations[one.id];
    else reservations[one.id] = one;
  }
  for (const { role, scalars } of added) {
    const id = freeId(reservations, role);
    reservations[id] = { id, role, scalars, source: 'static', by, atMs, labels: {} };
  }
  return { ...ledger, reservations };
}

function scalarsFor(wanted: readonly StaticReservation[], role: RolePath): Scalars {
  return wanted.find((one) => one.role === role)?.scalars ?? NO_SCALARS;
}

/** By tasks, offers and volumes. */
function inUse(ledger: Ledger, reservation: Reservation): Scalars {
  return subtractScalars(reservation.scalars, freeReserved(ledger, reservation));
}

/** Of each scalar the larger amount. */
function larger(a: Scalars, b: Scalars): Scalars {
  const most = (name: string) => Math.max(scalarOf(a, name), scalarOf(b, name));
  const names = new Set([...Object.keys(a.custom), ...Object.keys(b.custom)]);
  return {
    cpus: most('cpus'),
    memMiB: most('memMiB'),
    diskMiB: most('diskMiB'),
    gpus: most('gpus'),
    custom: Object.fromEntries(
      [...names].map((name) => [name, most(name)] as const).filter(([, amount]) => amount > 0),
    ),
  };
}

function isSame(a: Scalars, b: Scalars): boolean {
  return [...new Set([...scalarNames(a), ...scalarNames(b)])].every((name) => scalarOf(a, name) === scalarOf(b, name));
}

/** Leaves room for what tells two of them apart. */
const ID_STEM_LENGTH_MAX = 50;

/** One that says what it is: `static-eng-ml`. Roles may be longer than ids, and two may be spelled alike in one. */
function freeId(reservations: Readonly<Record<ReservationId, Reservation>>, role: RolePath): ReservationId {
  const stem = `static-${role.replaceAll('/', '-')}`.slice(0, ID_STEM_LENGTH_MAX).replace(/-+$/, '');
  let id = stem;
  for (let number = 2; Object.hasOwn(reservations, id); number++) id = `${stem}-${number}`;
  return id;
}
