/**
 * What an operator keeps for roles, as it is written: `eng/ml:cpus=2,memMiB=1024;ops:diskMiB=5000`. Roles are joined by semicolons;
 * amounts are written as everywhere.
 */
import { ROLE_PATTERN, ROLE_RULE, type RolePath } from '../../shared/domain/ids.ts';
import {
  STATIC_RESERVATIONS_BYTES_MAX,
  STATIC_RESERVATIONS_MAX,
  type StaticReservation,
} from '../../shared/domain/reservation.ts';
import {
  addScalars,
  missingScalars,
  NO_SCALARS,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
} from '../../shared/domain/resources.ts';
import { utf8Length } from '../../shared/util/codec.ts';
import { parseResources } from './resources.ts';

const ROLE_LENGTH_MAX = 200;

/** What could be read, and everything that couldn't. */
export interface ParsedReservations {
  readonly reservations: readonly StaticReservation[];
  readonly faults: readonly string[];
}

export function parseReservations(texts: readonly string[]): ParsedReservations {
  const faults: string[] = [];
  const reservations: StaticReservation[] = [];
  const parts = texts.flatMap((text) => text.split(';')).map((part) => part.trim());
  for (const part of parts.filter((each) => each !== '')) {
    const parsed = parseReservation(part);
    faults.push(...parsed.faults);
    if (parsed.faults.length > 0) continue;
    if (reservations.some(({ role }) => role === parsed.role)) faults.push(`names role "${parsed.role}" twice`);
    reservations.push({ role: parsed.role, scalars: parsed.scalars });
  }
  if (reservations.length > STATIC_RESERVATIONS_MAX) faults.push(`names more than ${STATIC_RESERVATIONS_MAX} roles`);
  if (utf8Length(JSON.stringify(reservations)) > STATIC_RESERVATIONS_BYTES_MAX) {
    faults.push(`takes more than ${STATIC_RESERVATIONS_BYTES_MAX} bytes as JSON`);
  }
  return { reservations, faults };
}

function parseReservation(part: string): StaticReservation & { readonly faults: readonly string[] } {
  const colon = part.indexOf(':');
  const role = part.slice(0, Math.max(0, colon)).trim();
  if (colon < 0) return { ...nothing(role), faults: [`"${part}" is not of the form role:name=amount,name=amount`] };
  const { change, faults } = parseResources(part.slice(colon + 1));
  const { cpus = 0, memMiB = 0, diskMiB = 0, gpus = 0, custom, ports } = change;
  const scalars: Scalars = { cpus, memMiB, diskMiB, gpus, custom };
  const isEmpty =
    faults.length === 0 && ports === undefined && scalarNames(scalars).every((name) => scalarOf(scalars, name) === 0);
  return {
    role,
    scalars,
    faults: [
      ...(isRole(role) ? [] : [`"${role}" can't be a role: it must be ${ROLE_RULE}`]),
      ...faults,
      ...(ports === undefined ? [] : ["names ports, which can't be reserved"]),
      ...(isEmpty ? [`keeps nothing for role "${role}"`] : []),
    ],
  };
}

function nothing(role: RolePath): StaticReservation {
  return { role, scalars: NO_SCALARS };
}

function isRole(text: string): boolean {
  return text.length <= ROLE_LENGTH_MAX && ROLE_PATTERN.test(text);
}

/** Of what more is kept for roles than the node has. `uncertain`: names of what may be there again later. */
export function overreserved(
  total: Resources,
  reservations: readonly StaticReservation[],
  uncertain: readonly string[] = [],
): string[] {
  const kept = reservations.map(({ scalars }) => scalars).reduce(addScalars, NO_SCALARS);
  return missingScalars(kept, total)
    .filter((name) => !uncertain.includes(name))
    .map((name) => `keeps ${scalarOf(kept, name)} of ${name} for roles, and the node has ${scalarOf(total, name)}`);
}
