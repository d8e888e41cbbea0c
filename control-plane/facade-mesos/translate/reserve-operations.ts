/** RESERVE, UNRESERVE, CREATE and DESTROY as operations of Berth. Each is carried out as a whole, or said to be wrong. */
import { isNothing, type Scalars } from '../../../shared/domain/resources.ts';
import type { WireOfferOperation } from '../wire/offer-operation.ts';
import type { WireResource } from '../wire/resource.ts';
import {
  type AcceptBalance,
  keyOfVolume,
  reservationIdFor,
  reservationWithDisk,
  takeReserved,
  volumeOf,
  withoutDisk,
  withoutVolume,
  withReservation,
  withVolume,
} from './accept-balance.ts';
import type { NativeOperationInput } from './native-operation.ts';
import { identityKey, type ReservationIdentity, reservationLabels, reservationOf } from './reservation-identity.ts';
import { amountsOf, checkResources, resourcesText, resourceText } from './resource-amounts.ts';
import { idFault, prefixed, unsupported } from './task-checks.ts';
import { isVolume } from './task-info.ts';
import { volumeIdFor, volumeLabels } from './volume-note.ts';
import { WireFault } from './wire-fault.ts';
import type { WireFramework } from './wire-framework.ts';

export interface OperationContext {
  readonly framework: WireFramework;
  /** Of the offers, as the framework spells it. */
  readonly role: string;
  /** What tells the operation from all others. */
  readonly source: readonly unknown[];
  /** What is said before that which isn't there: whatever the operation draws on. */
  readonly lacking?: 'The offers do not contain' | 'The agent does not have';
}

const OFFERS_LACK = 'The offers do not contain';

export interface Planned {
  readonly natives: readonly NativeOperationInput[];
  readonly balance: AcceptBalance;
}

export function planReserving(
  balance: AcceptBalance,
  operation: WireOfferOperation,
  context: OperationContext,
): Planned {
  switch (operation.type) {
    case 'RESERVE':
      return reserve(balance, operation.reserve, context);
    case 'UNRESERVE':
      return unreserve(balance, operation.unreserve?.resources ?? [], context);
    case 'CREATE':
      return create(balance, operation.create?.volumes ?? [], context);
    case 'DESTROY':
      return destroy(balance, operation.destroy?.volumes ?? []);
    case undefined:
      throw new WireFault('Unknown offer operation');
    default:
      throw unsupported(`operations of the type ${operation.type}`, 'destroy the volume and create another one');
  }
}

function reserve(balance: AcceptBalance, wish: WireOfferOperation['reserve'], context: OperationContext): Planned {
  const resources = wish?.resources ?? [];
  prefixed('Invalid resources: ', () => checkResources(resources));
  if (wish?.source.some((source) => reservationOf(source) !== null)) {
    throw unsupported('reserve.source with reserved resources', 'unreserve them first');
  }
  let after: AcceptBalance = balance;
  const natives = byIdentity(resources).map(({ identity, key, parts }, index): NativeOperationInput => {
    for (const resource of parts) checkReserved(resource, identity, context);
    const scalars = scalarsOf(parts);
    const id = reservationIdFor([...context.source, index, key]);
    after = withReservation(after, { id, key, left: scalars });
    const labels = reservationLabels(identity, context.framework.subject);
    return { type: 'reserve', reservation: { id, scalars, labels } };
  });
  return { natives, balance: after };
}

function checkReserved(
  resource: WireResource,
  { type, role, principal }: ReservationIdentity,
  { framework, role: offered }: OperationContext,
): void {
  if (type !== 'DYNAMIC') throw new WireFault(`Resource ${resourceText(resource)} is not dynamically reserved`);
  if (isVolume(resource)) {
    throw new WireFault(`A persistent volume ${resourceText(resource)} must already be reserved`);
  }
  if (framework.principal !== null) {
    const tried = 'A reserve operation was attempted by ';
    if (principal === null) {
      throw new WireFault(
        `${tried}principal '${framework.principal}', but there is a reserved resource in the request with no principal set`,
      );
    }
    if (principal !== framework.principal) {
      throw new WireFault(
        `${tried}authenticated principal '${framework.principal}', which does not match a reserved resource in the request with principal '${principal}'`,
      );
    }
  }
  if (role === offered) return;
  throw new WireFault(
    `A reserve operation was attempted for a resource with role '${role}', but the resource was allocated to role '${offered}'`,
  );
}

function unreserve(
  balance: AcceptBalance,
  resources: readonly WireResource[],
  { lacking = OFFERS_LACK }: OperationContext,
): Planned {
  prefixed('Invalid resources: ', () => checkResources(resources));
  const volume = resources.find(isVolume);
  if (volume !== undefined) {
    throw new WireFault(
      `A dynamically reserved persistent volume ${resourceText(volume)} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource`,
    );
  }
  let after = balance;
  const natives = byIdentity(resources).flatMap(({ identity, key, parts }): NativeOperationInput[] => {
    if (identity.type !== 'DYNAMIC') {
      throw new WireFault(`Resource ${resourcesText(parts)} is not dynamically reserved`);
    }
    const taken = takeReserved(after, key, scalarsOf(parts));
    if (taken === null) throw new WireFault(`${lacking} ${resourcesText(parts)}`);
    after = taken.balance;
    return Object.entries(taken.parts).map(([reservation, scalars]) => ({ type: 'unreserve', reservation, scalars }));
  });
  return { natives, balance: after };
}

function create(
  balance: AcceptBalance,
  volumes: readonly WireResource[],
  { framework, lacking = OFFERS_LACK }: OperationContext,
): Planned {
  prefixed('Invalid resources: ', () => checkResources(volumes));
  prefixed('Not a persistent volume: ', () => checkVolumes(volumes));
  let after = balance;
  const natives = volumes.map((volume): NativeOperationInput => {
    const identity = reservationOf(volume);
    if (identity === null) throw new WireFault('Persistent volumes cannot be created from unreserved resources');
    const { persistence, volume: place } = volume.disk ?? {};
    const { id = '', principal = null } = persistence ?? {};
    checkVolumePrincipal(principal, framework);
    const key = keyOfVolume(volume);
    if (after.volumes.has(key)) throw new WireFault(`Persistence ID '${id}' is not unique`);
    const sizeMiB = volume.scalar?.value ?? 0;
    if (!Number.isInteger(sizeMiB) || sizeMiB < 1) {
      throw new WireFault(`Volume '${id}' has ${sizeMiB} MB, and volumes are made of whole ones: round it`);
    }
    const reservation = reservationWithDisk(after, identityKey(identity), sizeMiB);
    if (reservation === null) throw new WireFault(`${lacking} the disk of ${resourceText(volume)}`);
    const native = volumeIdFor(id);
    after = withVolume(withoutDisk(after, reservation, sizeMiB), key, native);
    const labels = volumeLabels({ id, principal, containerPath: place?.container_path ?? '' });
    return { type: 'create', volume: { id: native, reservation, sizeMiB, labels } };
  });
  return { natives, balance: after };
}

function checkVolumes(volumes: readonly WireResource[]): void {
  for (const resource of volumes) {
    const { disk } = resource;
    if (disk === undefined) throw new WireFault(`Resource ${resourceText(resource)} does not have DiskInfo`);
    if (disk.persistence === undefined) throw new WireFault("'persistence' is not set in DiskInfo");
    if (disk.volume === undefined) throw new WireFault("Expecting 'volume' to be set for persistent volume");
    if (disk.volume.host_path !== undefined) {
      throw new WireFault("Expecting 'host_path' to be unset for persistent volume");
    }
    if (disk.volume.mode === 'RO') throw new WireFault('Read-only persistent volume not supported');
    const fault = idFault(disk.persistence.id);
    if (fault !== null) throw new WireFault(`Invalid persistence ID for persistent volume: ${fault}`);
  }
}

function checkVolumePrincipal(principal: string | null, framework: WireFramework): void {
  if (framework.principal === null || principal === framework.principal) return;
  const tried = `Create volume operation has been attempted by principal '${framework.principal}', but there is a volume in the operation with `;
  throw new WireFault(
    principal === null
      ? `${tried}no principal set in 'DiskInfo.Persistence'`
      : `${tried}principal '${principal}' set in 'DiskInfo.Persistence'`,
  );
}

function destroy(balance: AcceptBalance, volumes: readonly WireResource[]): Planned {
  prefixed('Invalid resources: ', () => checkResources(volumes));
  prefixed('Not a persistent volume: ', () => checkVolumes(volumes));
  let after = balance;
  const natives = volumes.map((resource): NativeOperationInput => {
    const volume = volumeOf(after, resource);
    if (volume === null) throw new WireFault('Persistent volumes not found');
    after = withoutVolume(after, keyOfVolume(resource));
    return { type: 'destroy', volume };
  });
  return { natives, balance: after };
}

interface OfIdentity {
  readonly identity: ReservationIdentity;
  readonly key: string;
  readonly parts: readonly WireResource[];
}

/** In the order in which they come first. */
function byIdentity(resources: readonly WireResource[]): OfIdentity[] {
  const groups = new Map<string, OfIdentity>();
  for (const resource of resources) {
    const identity = reservationOf(resource);
    if (identity === null) throw new WireFault(`Resource ${resourceText(resource)} is not dynamically reserved`);
    const key = identityKey(identity);
    groups.set(key, { identity, key, parts: [...(groups.get(key)?.parts ?? []), resource] });
  }
  return [...groups.values()];
}

function scalarsOf(resources: readonly WireResource[]): Scalars & { custom: Record<string, number> } {
  const { scalars, ports, others } = amountsOf(resources);
  const [odd] = [...others, ...(ports.length > 0 ? ['ports'] : [])];
  if (odd !== undefined) throw unsupported(`reservations of '${odd}'`, 'reserve scalars only');
  if (isNothing(scalars)) throw new WireFault(`Resource ${resourcesText(resources)} is empty`);
  return { ...scalars, custom: { ...scalars.custom } };
}
