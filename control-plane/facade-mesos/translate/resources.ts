/** Berth's amounts as lists of resources, the way one reader of the wire expects them. */
import { type RolePath, roleWithin } from '../../../shared/domain/ids.ts';
import type { Reservation } from '../../../shared/domain/reservation.ts';
import {
  addScalars,
  NO_SCALARS,
  type PortRange,
  type Resources,
  type Scalars,
  subtractScalars,
} from '../../../shared/domain/resources.ts';
import type { OfferView } from '../../../shared/protocol/framework.ts';
import type { VolumeView } from '../../../shared/protocol/reservations.ts';
import type { WireReservationInfo, WrittenResource } from '../wire/resource.ts';
import { identityOf, type ReservationIdentity } from './reservation-identity.ts';
import { rangesText, toThousandths } from './resource-amounts.ts';
import { volumeNoteOf } from './volume-note.ts';

/** How a reader wants resources written. */
export interface ResourceDialect {
  /** With RESERVATION_REFINEMENT, reservations are a list; without it, `role` and `reservation`. */
  readonly isRefined: boolean;
  /** As it is spelled on the wire, with MULTI_ROLE. Null: it is left out. */
  readonly allocatedTo: string | null;
  readonly wireRole: (role: RolePath) => string;
}

/** What is reserved on a node, and the volumes there. Reservations and volumes of the API are such. */
export interface NodeHoldings {
  readonly reservations: readonly Pick<Reservation, 'id' | 'role' | 'source' | 'by' | 'labels'>[];
  readonly volumes: readonly Pick<
    VolumeView,
    'id' | 'reservation' | 'sizeMiB' | 'by' | 'removing' | 'tasks' | 'labels'
  >[];
}

/** All of it as if nothing were reserved: what a node has, or what a task holds. */
export function plainResources(
  { ports, ...scalars }: Resources,
  { isRefined, allocatedTo }: Pick<ResourceDialect, 'isRefined' | 'allocatedTo'>,
): WrittenResource[] {
  const marks = { ...(!isRefined && { role: '*' }), ...allocated(allocatedTo) };
  return [...scalarResources(scalars, marks), ...portResources(ports, marks)];
}

/**
 * What an offer holds, and the volumes that tasks on it could have: those of its role or one above it that nobody uses. Berth counts a
 * volume's disk apart from what is offered.
 */
export function offerResources(
  offer: Pick<OfferView, 'role'> & {
    readonly resources: Resources;
    readonly reserved: readonly (Omit<OfferView['reserved'][number], 'resources'> & { readonly resources: Scalars })[];
  },
  holdings: NodeHoldings,
  dialect: ResourceDialect,
): WrittenResource[] {
  // What is kept for everybody can't be told from what isn't kept for anybody.
  const kept = offer.reserved.filter(({ role }) => dialect.wireRole(role) !== '*');
  const reserved = kept.reduce<Scalars>((sum, part) => addScalars(sum, part.resources), NO_SCALARS);
  const unreserved = { ...subtractScalars(offer.resources, reserved), ports: offer.resources.ports };
  return [
    ...plainResources(unreserved, dialect),
    ...kept.flatMap(({ reservation, role, resources, labels }) => {
      const known = holdings.reservations.find(({ id }) => id === reservation);
      const identity = identityOf(known ?? { role, labels, source: 'dynamic', by: '' }, dialect.wireRole);
      return reservedResources(resources, identity, dialect);
    }),
    ...volumeResources(holdings, dialect, ({ role, volume }) => {
      return roleWithin(offer.role, role) && !volume.removing && volume.tasks.length === 0;
    }),
  ];
}

export function reservedResources(
  scalars: Scalars,
  identity: ReservationIdentity,
  dialect: Pick<ResourceDialect, 'isRefined' | 'allocatedTo'>,
): WrittenResource[] {
  return scalarResources(scalars, { ...reservationMarks(identity, dialect), ...allocated(dialect.allocatedTo) });
}

type VolumeOfRole = { readonly role: RolePath; readonly volume: NodeHoldings['volumes'][number] };

/** The volumes of a node that are wanted, as disks. */
export function volumeResources(
  { reservations, volumes }: NodeHoldings,
  dialect: ResourceDialect,
  isWanted: (volume: VolumeOfRole) => boolean,
): WrittenResource[] {
  return volumes.flatMap((volume) => {
    const reservation = reservations.find(({ id }) => id === volume.reservation);
    if (reservation === undefined || !isWanted({ role: reservation.role, volume })) return [];
    const { id, principal, containerPath } = volumeNoteOf(volume);
    const identity = identityOf(reservation, dialect.wireRole);
    return {
      name: 'disk',
      type: 'SCALAR' as const,
      scalar: { value: volume.sizeMiB },
      ...reservationMarks(identity, dialect),
      ...allocated(dialect.allocatedTo),
      disk: {
        persistence: { id, ...(principal !== null && { principal }) },
        volume: { container_path: containerPath, mode: 'RW' },
      },
    };
  });
}

type Marks = Pick<WrittenResource, 'role' | 'reservation' | 'reservations' | 'allocation_info'>;

function allocated(role: string | null): Marks {
  return role === null ? {} : { allocation_info: { role } };
}

function reservationMarks(
  { type, role, principal, labels }: ReservationIdentity,
  { isRefined }: Pick<ResourceDialect, 'isRefined'>,
): Marks {
  const info: WireReservationInfo = {
    ...(principal !== null && { principal }),
    ...(labels.length > 0 && { labels: { labels: [...labels] } }),
  };
  if (isRefined) return { reservations: [{ type, role, ...info }] };
  return { role, ...(type === 'DYNAMIC' && { reservation: info }) };
}

function scalarResources(scalars: Scalars, marks: Marks): WrittenResource[] {
  return wireScalars(scalars).flatMap(([name, amount]) => {
    const value = toThousandths(amount);
    return value > 0 ? [{ name, type: 'SCALAR', scalar: { value }, ...marks }] : [];
  });
}

function portResources(ports: readonly PortRange[], marks: Marks): WrittenResource[] {
  if (ports.length === 0) return [];
  const range = ports.map(({ first, last }) => ({ begin: first, end: last }));
  return [{ name: 'ports', type: 'RANGES', ranges: { range }, ...marks }];
}

function wireScalars({ cpus, gpus, memMiB, diskMiB, custom }: Scalars): (readonly [string, number])[] {
  return [['cpus', cpus], ['gpus', gpus], ['mem', memMiB], ['disk', diskMiB], ...Object.entries(custom)];
}

/** As `/master/state` shows amounts: the four that everything has, custom ones, and ports as text where there are any. */
export function resourceSummary({
  ports,
  ...scalars
}: Scalars & { readonly ports?: readonly PortRange[] | undefined }): Record<string, number | string> {
  const amounts = wireScalars(scalars).map(([name, amount]) => [name, toThousandths(amount)] as const);
  const text = ports === undefined || ports.length === 0 ? {} : { ports: rangesText(ports) };
  return { ...Object.fromEntries(amounts), ...text };
}
