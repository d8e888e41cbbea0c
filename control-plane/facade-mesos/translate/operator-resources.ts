/** Amounts as lists of resources for operators, who see reservations in both of the formats that Mesos has had. Pure. */
import type { ReservationId, RolePath } from '../../../shared/domain/ids.ts';
import { type Ledger, reservedScalars, unreservedPart } from '../../../shared/domain/ledger.ts';
import {
  addPorts,
  NO_SCALARS,
  type PortRange,
  type Resources,
  type Scalars,
  subtractScalars,
} from '../../../shared/domain/resources.ts';
import type { WrittenResource } from '../wire/resource.ts';
import { identityOf } from './reservation-identity.ts';
import { plainResources, reservedResources, volumeResources } from './resources.ts';
import { plainWireRole } from './roles.ts';
import { ScalarSum } from './state-holdings.ts';

type MaySee = (role: RolePath) => boolean;

/** Nothing of it reserved. `role`: to whom it is allocated, as it is spelled; null: to nobody. */
export function plainList(resources: Resources, role: string | null): WrittenResource[] {
  return plainResources(resources, { isRefined: false, allocatedTo: role });
}

/** All that a node has: what isn't reserved, what is, and the volumes on that. */
export function totalList(ledger: Ledger, maySee: MaySee): WrittenResource[] {
  const { total, reservations, volumes } = ledger;
  const open = { ...subtractScalars(total, reservedScalars(ledger)), ports: total.ports };
  const shown = Object.values(reservations).filter(({ role }) => maySee(role));
  const onDisk = volumesByReservation(volumes);
  const dialect = { isRefined: true, allocatedTo: null, wireRole: plainWireRole };
  const made = Object.values(volumes).map((volume) => ({ ...volume, labels: { ...volume.labels }, tasks: [] }));
  return [
    ...plainList(open, null),
    ...shown
      .flatMap(({ id, scalars, ...about }) => {
        const left = { ...scalars, diskMiB: scalars.diskMiB - (onDisk.get(id) ?? 0) };
        return reservedResources(left, identityOf(about, plainWireRole), dialect);
      })
      .map(inBothFormats),
    ...volumeResources({ reservations: shown, volumes: made }, dialect, () => true).map(inBothFormats),
  ];
}

function volumesByReservation(volumes: Ledger['volumes']): ReadonlyMap<ReservationId, number> {
  const sums = new Map<ReservationId, number>();
  for (const { reservation, sizeMiB } of Object.values(volumes)) {
    sums.set(reservation, (sums.get(reservation) ?? 0) + sizeMiB);
  }
  return sums;
}

/** Something that holds resources of a node, such as a task or an offer. */
interface Holder {
  readonly role: RolePath;
  readonly resources: Resources;
  readonly reserved: Readonly<Record<ReservationId, Scalars>>;
}

/** What they hold together, by the roles that it is allocated to and the reservations that it comes from. */
export function allocatedList(
  holders: readonly Holder[],
  { reservations }: Pick<Ledger, 'reservations'>,
  maySee: MaySee,
): WrittenResource[] {
  const seen = holders.filter(({ role }) => maySee(role));
  return [...Map.groupBy(seen, ({ role }) => role)].flatMap(([role, own]) => {
    const allocatedTo = plainWireRole(role);
    return [
      ...plainList(openPartOf(own), allocatedTo),
      ...[...reservedPartsOf(own)].flatMap(([id, sum]) => {
        const reservation = reservations[id];
        if (reservation === undefined) return [];
        const identity = identityOf(reservation, plainWireRole);
        return reservedResources(sum.scalars, identity, { isRefined: true, allocatedTo }).map(inBothFormats);
      }),
    ];
  });
}

function openPartOf(holders: readonly Holder[]): Resources {
  const open = new ScalarSum();
  let ports: readonly PortRange[] = [];
  for (const holder of holders) {
    open.add(unreservedPart(holder));
    ports = addPorts(ports, holder.resources.ports);
  }
  return { ...open.scalars, ports };
}

function reservedPartsOf(holders: readonly Holder[]): ReadonlyMap<ReservationId, ScalarSum> {
  const parts = new Map<ReservationId, ScalarSum>();
  for (const { reserved } of holders) {
    for (const [id, scalars] of Object.entries(reserved)) {
      const sum = parts.get(id) ?? new ScalarSum();
      sum.add(scalars);
      parts.set(id, sum);
    }
  }
  return parts;
}

/** Those who know nothing of refined reservations find what they know beside. */
function inBothFormats(resource: WrittenResource): WrittenResource {
  const [only] = resource.reservations ?? [];
  if (only === undefined) return resource;
  const { type, role = '*', principal, labels } = only;
  const info = { ...(principal !== undefined && { principal }), ...(labels !== undefined && { labels }) };
  return { ...resource, role, ...(type === 'DYNAMIC' && { reservation: info }) };
}

export function scalarList(scalars: Scalars): WrittenResource[] {
  return plainList({ ...NO_SCALARS, ...scalars, ports: [] }, null);
}
