/**
 * Changes of what of a node is reserved, and of the volumes on it. Each gives the changed ledger, or says what stands in the
 * way; who may ask for it is decided elsewhere.
 */

import { utf8Length } from '../util/codec.ts';
import type { ReservationId, VolumeId } from './ids.ts';
import { freeReserved, freeResources, type Ledger, renewAssignment } from './ledger.ts';
import {
  LEDGER_RESERVATIONS_BYTES_MAX,
  LEDGER_RESERVATIONS_MAX,
  LEDGER_VOLUMES_MAX,
  type Reservation,
  type Volume,
} from './reservation.ts';
import { isNothing, missingScalars, type Scalars, subtractScalars } from './resources.ts';

/** `why` is a sentence without its full stop. */
export type LedgerChange =
  | { readonly ok: true; readonly ledger: Ledger }
  | { readonly ok: false; readonly why: string };

/** Keeps what is free for a role. What is offered to frameworks isn't free. */
export function reserve(ledger: Ledger, reservation: Reservation): LedgerChange {
  const missing = missingScalars(reservation.scalars, freeResources(ledger));
  if (missing.length > 0) return refused(`node "${ledger.node}" has too little of ${missing.join(', ')} left`);
  return addReservation(ledger, reservation);
}

/** The same, of resources that the caller knows to be there for it, such as those of an offer that has just been accepted. */
export function addReservation(ledger: Ledger, reservation: Reservation): LedgerChange {
  const { id, scalars } = reservation;
  if (Object.hasOwn(ledger.reservations, id)) return refused(`node "${ledger.node}" has a reservation "${id}" already`);
  if (isNothing(scalars)) return refused(`reservation "${id}" would hold nothing`);
  if (!Number.isInteger(scalars.gpus)) return refused(`GPUs are reserved whole, so ${scalars.gpus} of them can't be`);
  if (Object.keys(ledger.reservations).length >= LEDGER_RESERVATIONS_MAX) {
    return refused(`node "${ledger.node}" has ${LEDGER_RESERVATIONS_MAX} reservations, which is the most`);
  }
  return bounded({ ...ledger, reservations: { ...ledger.reservations, [id]: reservation } });
}

/** Makes a reservation smaller by `scalars`, or ends it: null. What tasks, offers or volumes hold of it has to stay. */
export function unreserve(ledger: Ledger, id: ReservationId, scalars: Scalars | null = null): LedgerChange {
  const reservation = ownOf(ledger.reservations, id);
  if (reservation === undefined) return refused(noReservation(ledger, id));
  if (reservation.source === 'static') {
    return refused(`reservation "${id}" was set at the agent of node "${ledger.node}", and is changed only there`);
  }
  const given = scalars ?? reservation.scalars;
  const held = missingScalars(given, freeReserved(ledger, reservation));
  if (held.length > 0) {
    return refused(`tasks, offers or volumes hold ${held.join(', ')} of reservation "${id}", or it never had as much`);
  }
  const left = subtractScalars(reservation.scalars, given);
  if (!isNothing(left)) {
    return changed({ ...ledger, reservations: { ...ledger.reservations, [id]: { ...reservation, scalars: left } } });
  }
  return changed({ ...ledger, reservations: without(ledger.reservations, id) });
}

/** Sets disk of a reservation aside for a volume. Its agent is to make it. */
export function createVolume(ledger: Ledger, volume: Volume): LedgerChange {
  const { id, reservation: from, sizeMiB } = volume;
  const reservation = ownOf(ledger.reservations, from);
  if (reservation === undefined) return refused(noReservation(ledger, from));
  if (Object.hasOwn(ledger.volumes, id)) return refused(`node "${ledger.node}" has a volume "${id}" already`);
  if (sizeMiB <= 0) return refused(`volume "${id}" would have no size`);
  const { diskMiB } = freeReserved(ledger, reservation);
  if (sizeMiB > diskMiB) return refused(`reservation "${from}" has ${diskMiB} MiB of disk left, not ${sizeMiB}`);
  if (Object.keys(ledger.volumes).length >= LEDGER_VOLUMES_MAX) {
    return refused(`node "${ledger.node}" has ${LEDGER_VOLUMES_MAX} volumes, which is the most`);
  }
  return bounded(renewAssignment({ ...ledger, volumes: { ...ledger.volumes, [id]: volume } }));
}

/**
 * Asks for a volume's end, with all that is in it. Its disk stays held until the agent has deleted it; see
 * {@link removeVolume}. `mounted`: the volumes that tasks on the node have, ended ones whose place isn't free yet included.
 */
export function destroyVolume(ledger: Ledger, id: VolumeId, mounted: ReadonlySet<VolumeId>): LedgerChange {
  const volume = ownOf(ledger.volumes, id);
  if (volume === undefined) return refused(noVolume(ledger, id));
  if (mounted.has(id)) return refused(`a task on node "${ledger.node}" has volume "${id}"; stop it first`);
  if (volume.removing) return changed(ledger);
  return changed(renewAssignment({ ...ledger, volumes: { ...ledger.volumes, [id]: { ...volume, removing: true } } }));
}

/** The agent has deleted what was in it. The very same ledger where there is no such volume, or its end wasn't asked for. */
export function removeVolume(ledger: Ledger, id: VolumeId): Ledger {
  if (ownOf(ledger.volumes, id)?.removing !== true) return ledger;
  return renewAssignment({ ...ledger, volumes: without(ledger.volumes, id) });
}

/** What has come into the ledger stays in it until somebody takes it out again. */
function bounded(ledger: Ledger): LedgerChange {
  const { node, reservations, volumes } = ledger;
  const bytes = utf8Length(JSON.stringify(reservations)) + utf8Length(JSON.stringify(volumes));
  if (bytes <= LEDGER_RESERVATIONS_BYTES_MAX) return changed(ledger);
  return refused(
    `the reservations and volumes of node "${node}" would take more than ${LEDGER_RESERVATIONS_BYTES_MAX} bytes`,
  );
}

function changed(ledger: Ledger): LedgerChange {
  return { ok: true, ledger };
}

/** Also what is said of one that whoever names it may not know of. */
export function noReservation({ node }: Pick<Ledger, 'node'>, id: ReservationId): string {
  return `node "${node}" has no reservation "${id}"`;
}

export function noVolume({ node }: Pick<Ledger, 'node'>, id: VolumeId): string {
  return `node "${node}" has no volume "${id}"`;
}

function refused(why: string): LedgerChange {
  return { ok: false, why };
}

/** Own members only: `constructor` is a valid id. */
function ownOf<T>(record: Readonly<Record<string, T>>, id: string): T | undefined {
  return Object.hasOwn(record, id) ? record[id] : undefined;
}

function without<T>(record: Readonly<Record<string, T>>, id: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([other]) => other !== id));
}
