/** How reservations and volumes look to those who ask. Pure. */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import type { TaskId, VolumeId } from '../../shared/domain/ids.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import { freeReserved, type Ledger } from '../../shared/domain/ledger.ts';
import type { Reservation, Volume } from '../../shared/domain/reservation.ts';
import type { Scalars } from '../../shared/domain/resources.ts';
import type { ReservationView, VolumeView } from '../../shared/protocol/reservations.ts';
import { byText } from '../../shared/util/order.ts';
import { timeView } from './views.ts';

export function reservationView(ledger: Ledger, reservation: Reservation): ReservationView {
  const { id, role, source, scalars, labels, by, atMs } = reservation;
  return {
    node: ledger.node,
    id,
    role,
    source,
    amounts: scalarsView(scalars),
    free: scalarsView(freeReserved(ledger, reservation)),
    labels: { ...labels },
    by,
    at: timeView(atMs),
    tasks: tasksOn(ledger, reservation),
    volumes: volumesOn(ledger, reservation),
  };
}

/** The tasks that use something of it, sorted. */
export function tasksOn({ entries }: Ledger, { id }: Reservation): TaskId[] {
  return Object.values(entries)
    .filter(({ reserved }) => Object.hasOwn(reserved, id))
    .map(({ task }) => task)
    .sort(byText);
}

export function volumesOn({ volumes }: Ledger, { id }: Reservation): VolumeId[] {
  return Object.values(volumes)
    .filter(({ reservation }) => reservation === id)
    .map((volume) => volume.id)
    .sort(byText);
}

export function volumeView(cluster: ClusterView, ledger: Ledger, volume: Volume): VolumeView {
  const { id, reservation, sizeMiB, removing, labels, by, atMs } = volume;
  return {
    node: ledger.node,
    id,
    role: roleOf(ledger, volume),
    reservation,
    sizeMiB,
    labels: { ...labels },
    removing,
    by,
    at: timeView(atMs),
    tasks: mountedOn(cluster, ledger).get(id) ?? [],
  };
}

/** Whose it is: a volume's reservation stays for as long as the volume does. */
export function roleOf({ reservations }: Ledger, { reservation }: Volume): string {
  return reservations[reservation]?.role ?? '';
}

/** By volume, the tasks with a place on the node that mount it, sorted. */
export function mountedOn(cluster: ClusterView, { entries }: Ledger): ReadonlyMap<VolumeId, TaskId[]> {
  const mounted = new Map<VolumeId, TaskId[]>();
  for (const id of Object.keys(entries).sort(byText)) {
    const task = cluster.tasks.get(id);
    const template = task === undefined ? undefined : templateOf(cluster, task);
    if (task === undefined || template === undefined) continue;
    for (const volume of volumesOf(template.group, task.index))
      mounted.set(volume, [...(mounted.get(volume) ?? []), id]);
  }
  return mounted;
}

function scalarsView({ cpus, memMiB, diskMiB, gpus, custom }: Scalars): ReservationView['amounts'] {
  return { cpus, memMiB, diskMiB, gpus, custom: { ...custom } };
}
