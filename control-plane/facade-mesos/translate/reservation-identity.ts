/**
 * Berth's reservations have ids; on the wire one is told by its type, role, principal and labels, and all of one identity on an agent are
 * one sum. What of the identity a reservation's record has no place for is kept beside its labels, under one of them.
 */
import { z } from 'zod';
import type { RolePath } from '../../../shared/domain/ids.ts';
import type { Reservation } from '../../../shared/domain/reservation.ts';
import { byText } from '../../../shared/util/order.ts';
import type { WireReservationInfo, WireResource } from '../wire/resource.ts';
import { labelSchema, type WireLabel } from '../wire/values.ts';
import { WireFault } from './wire-fault.ts';

export interface ReservationIdentity {
  readonly type: 'STATIC' | 'DYNAMIC';
  /** As it is spelled on the wire. */
  readonly role: string;
  readonly principal: string | null;
  /** In any order, and keys may come twice. */
  readonly labels: readonly WireLabel[];
}

/** The label that holds what is no label of the framework. */
const NOTE_LABEL = 'mesos';
const LABEL_KEY_LENGTH_MAX = 128;

const noteSchema = z.strictObject({
  principal: z.string().nullable().optional(),
  labels: z.array(labelSchema).optional(),
});
type Note = z.output<typeof noteSchema>;

/** Of what a resource comes; null: it is unreserved. */
export function reservationOf(resource: WireResource): ReservationIdentity | null {
  const { reservations, reservation, role } = resource;
  const [first, ...refined] = reservations;
  if (refined.length > 0) {
    const roles = reservations.map((each) => `'${each.role ?? '*'}'`).join(' and ');
    throw new WireFault(
      `Refined reservations are not supported: '${resource.name}' is reserved to ${roles}; reserve it to one role`,
    );
  }
  if (first !== undefined) return identityOfInfo(first, first.type === 'STATIC' ? 'STATIC' : 'DYNAMIC', first.role);
  if (role === undefined || role === '*') {
    if (reservation === undefined) return null;
    throw new WireFault(`Invalid reservation: role "*" cannot be dynamically reserved`);
  }
  return identityOfInfo(reservation ?? {}, reservation === undefined ? 'STATIC' : 'DYNAMIC', role);
}

function identityOfInfo(
  { principal, labels }: WireReservationInfo,
  type: ReservationIdentity['type'],
  role: string | undefined,
): ReservationIdentity {
  if (role === undefined || role === '*') {
    throw new WireFault(
      `Invalid reservation: role "*" cannot be ${type === 'STATIC' ? 'statically' : 'dynamically'} reserved`,
    );
  }
  return { type, role, principal: principal ?? null, labels: labels?.labels ?? [] };
}

/** The same text for the same identity. */
export function identityKey({ type, role, principal, labels }: ReservationIdentity): string {
  const sorted = labels.map(({ key, value }) => JSON.stringify([key, value ?? null])).sort(byText);
  return JSON.stringify([type, role, principal, sorted]);
}

export function identityOf(
  { role, source, by, labels }: Pick<Reservation, 'role' | 'source' | 'by' | 'labels'>,
  wireRole: (role: RolePath) => string,
): ReservationIdentity {
  if (source === 'static') return { type: 'STATIC', role: wireRole(role), principal: null, labels: [] };
  const note = noteOf(labels);
  const plain = Object.entries(labels).filter(([key]) => note === null || key !== NOTE_LABEL);
  return {
    type: 'DYNAMIC',
    role: wireRole(role),
    principal: note?.principal === undefined ? by : note.principal,
    labels: note?.labels ?? plain.map(([key, value]) => ({ key, value })),
  };
}

/** The labels of a reservation that `by` makes, so that it is known again by its identity. */
export function reservationLabels(
  { principal, labels }: Pick<ReservationIdentity, 'principal' | 'labels'>,
  by: string,
): Record<string, string> {
  const isPlain = isMap(labels);
  const note: Note = {
    ...(principal !== by && { principal }),
    ...(!isPlain && { labels: [...labels] }),
  };
  return {
    ...(isPlain && Object.fromEntries(labels.map(({ key, value = '' }) => [key, value]))),
    ...(Object.keys(note).length > 0 && { [NOTE_LABEL]: JSON.stringify(note) }),
  };
}

/** Whether a map says all that the list does. */
export function isMap(labels: readonly WireLabel[]): boolean {
  const keys = new Set(labels.map(({ key }) => key));
  return keys.size === labels.length && labels.every(isPlainLabel);
}

function isPlainLabel({ key, value }: WireLabel): boolean {
  if (value === undefined || value.includes('\0')) return false;
  return key !== '' && key.length <= LABEL_KEY_LENGTH_MAX && key !== NOTE_LABEL && key !== '__proto__';
}

/** A label of that name which somebody else has chosen is a label like any other. */
function noteOf(labels: Readonly<Record<string, string>>): Note | null {
  const text = Object.hasOwn(labels, NOTE_LABEL) ? labels[NOTE_LABEL] : undefined;
  if (text === undefined) return null;
  try {
    return noteSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
