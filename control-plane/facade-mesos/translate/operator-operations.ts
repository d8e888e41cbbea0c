/** RESERVE_RESOURCES and its like as changes of what is kept on one node. Each is carried out as a whole, or said to be wrong. Pure. */
import type { Ledger } from '../../../shared/domain/ledger.ts';
import { addScalars, NO_SCALARS, type Scalars, subtractScalars } from '../../../shared/domain/resources.ts';
import type { HoldingChange } from '../../services/holding-changes.ts';
import { mutable } from '../../services/views.ts';
import type { WireOfferOperation } from '../wire/offer-operation.ts';
import type { WireReservationInfo, WireResource } from '../wire/resource.ts';
import { type AcceptBalance, balanceOf } from './accept-balance.ts';
import { checkedOperation, type NativeOperation } from './native-operation.ts';
import { reservationOf } from './reservation-identity.ts';
import { planReserving } from './reserve-operations.ts';
import { berthRole, plainWireRole } from './roles.ts';
import { WireFault } from './wire-fault.ts';

export type OperatorOperation =
  | { readonly type: 'RESERVE'; readonly resources: readonly WireResource[]; readonly source: readonly WireResource[] }
  | { readonly type: 'UNRESERVE' | 'CREATE' | 'DESTROY'; readonly resources: readonly WireResource[] };

export interface OperatorContext {
  readonly ledger: Ledger;
  /** Whose call it is, as Berth's records name it. */
  readonly subject: string;
  /** What the caller may call itself. */
  readonly principals: readonly string[];
  /** What tells the operation from all others. */
  readonly source: readonly unknown[];
}

/** Throws a {@link WireFault} in Mesos's words. */
export function operatorChanges(operation: OperatorOperation, context: OperatorContext): HoldingChange[] {
  const { ledger, subject, principals, source } = context;
  const resources = operation.resources.map(withPlainRole);
  const role = roleOfAll(resources);
  if (operation.type === 'RESERVE' || operation.type === 'CREATE') {
    for (const resource of resources) demandOwn(resource, operation.type, principals);
  }
  const framework = { id: '', principal: null, subject, capabilities: new Set<string>(), wireRole: plainWireRole };
  const { natives } = planReserving(balanceOfNode(ledger), wireOperation({ ...operation, resources }), {
    framework,
    role,
    source,
    lacking: 'The agent does not have',
  });
  return natives.map((native) => changeOf(checkedOperation(native), role));
}

/** Spelled as Berth's own path, by which reservations are known again. */
function withPlainRole(resource: WireResource): WireResource {
  const { role, reservation, reservations } = resource;
  const renamed = <T extends WireReservationInfo>(info: T): T =>
    info.role === undefined ? info : { ...info, role: plainRole(info.role) };
  return {
    ...resource,
    ...(role !== undefined && { role: plainRole(role) }),
    ...(reservation !== undefined && { reservation: renamed(reservation) }),
    reservations: reservations.map(renamed),
  };
}

function plainRole(wireRole: string): string {
  const reading = berthRole(wireRole);
  if (reading.ok) return plainWireRole(reading.role);
  throw new WireFault(`Invalid reservation: ${reading.message}`);
}

/** One call is about one role: what the limit of one has room for would have to be judged with what others take. */
function roleOfAll(resources: readonly WireResource[]): string {
  const [role = '*', other] = new Set(resources.flatMap((resource) => reservationOf(resource)?.role ?? []));
  if (other === undefined) return role;
  throw new WireFault(`Resources of '${role}' and of '${other}' can't be changed by one call: make one for each`);
}

function demandOwn(resource: WireResource, type: 'RESERVE' | 'CREATE', principals: readonly string[]): void {
  const stated = type === 'RESERVE' ? reservationOf(resource)?.principal : resource.disk?.persistence?.principal;
  if (stated === undefined || stated === null || principals.includes(stated)) return;
  const what = type === 'RESERVE' ? 'A reserve operation was' : 'Create volume operation has been';
  throw new WireFault(
    `${what} attempted by authenticated principal '${principals[0]}', which does not match a resource in the request with principal '${stated}'`,
  );
}

/** All that is reserved there and that neither tasks nor volumes hold; offers can be taken back. */
function balanceOfNode(ledger: Ledger): AcceptBalance {
  const reservations = Object.values(ledger.reservations);
  const volumes = Object.values(ledger.volumes).map((one) => ({ ...one, labels: { ...one.labels }, tasks: [] }));
  const reserved = reservations.map((reservation) => ({
    reservation: reservation.id,
    role: reservation.role,
    labels: { ...reservation.labels },
    resources: mutable(subtractScalars(reservation.scalars, heldOf(ledger, reservation.id))),
  }));
  return balanceOf([{ reserved }], { reservations, volumes }, { wireRole: plainWireRole });
}

function heldOf({ entries, volumes }: Ledger, id: string): Scalars {
  let held = NO_SCALARS;
  for (const { reserved } of Object.values(entries)) {
    if (Object.hasOwn(reserved, id)) held = addScalars(held, reserved[id] ?? NO_SCALARS);
  }
  for (const { reservation, sizeMiB } of Object.values(volumes)) {
    if (reservation === id) held = addScalars(held, { ...NO_SCALARS, diskMiB: sizeMiB });
  }
  return held;
}

function wireOperation(operation: OperatorOperation): WireOfferOperation {
  const resources = [...operation.resources];
  switch (operation.type) {
    case 'RESERVE':
      return { type: 'RESERVE', reserve: { resources, source: [...operation.source] } };
    case 'UNRESERVE':
      return { type: 'UNRESERVE', unreserve: { resources } };
    case 'CREATE':
      return { type: 'CREATE', create: { volumes: resources } };
    case 'DESTROY':
      return { type: 'DESTROY', destroy: { volumes: resources } };
  }
}

function changeOf(operation: NativeOperation, wireRole: string): HoldingChange {
  const reading = berthRole(wireRole);
  if (operation.type === 'reserve' && reading.ok) {
    const { id = '', scalars, labels } = operation.reservation;
    return { type: 'reserve', reservation: { id, role: reading.role, scalars, labels } };
  }
  if (operation.type === 'unreserve' && operation.scalars !== undefined) {
    return { type: 'unreserve', reservation: operation.reservation, scalars: operation.scalars };
  }
  if (operation.type === 'create') {
    const { labels = {}, ...volume } = operation.volume;
    return { type: 'create', volume: { ...volume, labels } };
  }
  if (operation.type === 'destroy') return operation;
  throw new WireFault(`Operations of the type ${operation.type} are for frameworks only`);
}
