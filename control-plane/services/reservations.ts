/**
 * What operators do with reservations and volumes. To reserve grows what a role is charged with, so it happens in a round of its own:
 * it is decided from a state past its claim of `rounds/current`, and committed only while that stands. So no round that was planned
 * before takes what was checked here, neither of the node nor of the role's limit.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import {
  type NodeId,
  type OfferId,
  type ReservationId,
  type RolePath,
  roleWithin,
  type VolumeId,
} from '../../shared/domain/ids.ts';
import { endOffers, freeReserved, freeResources, type Ledger } from '../../shared/domain/ledger.ts';
import {
  createVolume,
  destroyVolume,
  type LedgerChange,
  reserve,
  unreserve,
} from '../../shared/domain/ledger-reservations.ts';
import type { Reservation, Volume } from '../../shared/domain/reservation.ts';
import { addScalars, missingScalars, type Scalars, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { ancestorsOf, scalarsOf } from '../../shared/domain/role.ts';
import type {
  ReservationRequest,
  ReservationView,
  VolumeRequest,
  VolumeView,
} from '../../shared/protocol/reservations.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { planReserving, type ReservingPlan } from '../scheduler/reserving.ts';
import { claimRound } from '../store/round-claim.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { ledgerUnit } from '../store/units.ts';
import { demand, demandAny, mayRead } from './access.ts';
import type { Answer, AnswerStatus, Call, PageRequest, ServiceContext } from './context.ts';
import { type Draft, type Fence, mutate } from './mutation.ts';
import { knownNode } from './nodes.ts';
import { withdrawOffers, withoutOffersInTheWay } from './offer-withdrawal.ts';
import { pageThrough } from './paging.ts';
import { mountedOn, reservationView, roleOf, tasksOn, volumesOn, volumeView } from './reservation-views.ts';
import { amountsText, NO_USAGE, partsShownTo, roleUsages, settledUsage } from './role-usage.ts';

export interface HoldingFilter {
  /** Null: of all nodes. */
  readonly node: NodeId | null;
  /** For this role and those below it; null: for all that the principal may read. */
  readonly role: RolePath | null;
}

const MADE_UP_ID_LENGTH = 10;

export function listReservations(
  ctx: ServiceContext,
  principal: Principal,
  filter: HoldingFilter,
  page: PageRequest,
): Page<ReservationView> {
  demandAny(principal, 'reservation:read');
  const all = ledgersOf(ctx, filter.node).flatMap((ledger) =>
    Object.values(ledger.reservations).map((reservation) => ({ ledger, reservation })),
  );
  const visible = all.filter(({ reservation: { role, id } }) =>
    isShown(principal, { kind: 'reservation', role, id }, filter),
  );
  return pageThrough(visible, page, {
    keyOf: ({ ledger, reservation }) => `${ledger.node}/${reservation.id}`,
    view: ({ ledger, reservation }) => reservationView(ledger, reservation),
  });
}

/** Keeps something of a node for a role. Offers that stand in the way are taken back in the same step. */
export async function reserveOnNode(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  request: ReservationRequest,
): Promise<Answer<ReservationView>> {
  const { role, amounts, labels } = request;
  demand(call.principal, 'reservation:write', role);
  const id = request.id ?? `r-${randomId(ctx.random, MADE_UP_ID_LENGTH)}`;
  const scalars = scalarsOf(amounts);
  const draft = (): Draft<ReservationView> => {
    const { ledger } = knownNode(ctx, node);
    checkLimits(ctx.mirror.snapshot, { principal: call.principal, role, scalars });
    const by = call.principal.subject;
    const reservation: Reservation = { id, role, scalars, source: 'dynamic', by, atMs: ctx.clock.now(), labels };
    const after = ledgerReserving(ctx, ledger, { principal: call.principal, reservation });
    return draftOf(ctx, ledger, after, { status: 201, body: reservationView(after, reservation) });
  };
  return mutate(ctx, call, draft, () => roundFor(ctx, node, { role, scalars }));
}

/** The ledger with the reservation, without offers that stood in the way. What limits say to it is checked before. */
export function ledgerReserving(
  ctx: ServiceContext,
  ledger: Ledger,
  { principal, reservation }: { readonly principal: Principal; readonly reservation: Reservation },
): Ledger {
  const { id, role, scalars } = reservation;
  if (Object.hasOwn(ledger.reservations, id)) throw alreadyThere('reservation', id, ledger.node);
  const freed = withRoomFor(ledger, scalars);
  checkFree(freed, scalars);
  const reserving = { ledger: freed, role, scalars, nowMs: ctx.clock.now() };
  checkKept(planReserving(ctx.mirror.snapshot, reserving), { principal, role, scalars });
  return orRefuse(reserve(freed, reservation));
}

/** Gives back what was kept. What offers hold of it goes back with it; what tasks and volumes hold stands in the way. */
export function unreserveOnNode(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  id: ReservationId,
): Promise<Answer<ReservationView>> {
  return mutate(ctx, call, () => {
    const { ledger } = knownNode(ctx, node);
    const reservation = ownOf(ledger.reservations, id);
    const none = `there is no reservation "${id}" on node "${node}"`;
    demandHolding(call.principal, 'reservation', { found: heldReservation(reservation), absent: none });
    if (reservation === undefined) throw new Refusal('not-found', none);
    checkUnused(`reservation "${id}" on node "${node}"`, tasksOn(ledger, reservation), volumesOn(ledger, reservation));
    const offered = Object.values(ledger.offers).filter(({ reserved }) => Object.hasOwn(reserved, id));
    const freed =
      offered.length === 0
        ? ledger
        : endOffers(
            ledger,
            offered.map((offer) => offer.id),
          );
    const body = reservationView(freed, reservation);
    return draftOf(ctx, ledger, orRefuse(unreserve(freed, id)), { status: 200, body });
  });
}

export function listVolumes(
  ctx: ServiceContext,
  principal: Principal,
  filter: HoldingFilter,
  page: PageRequest,
): Page<VolumeView> {
  demandAny(principal, 'volume:read');
  const all = ledgersOf(ctx, filter.node).flatMap((ledger) =>
    Object.values(ledger.volumes).map((volume) => ({ ledger, volume })),
  );
  const visible = all.filter(({ ledger, volume }) =>
    isShown(principal, { kind: 'volume', role: roleOf(ledger, volume), id: volume.id }, filter),
  );
  return pageThrough(visible, page, {
    keyOf: ({ ledger, volume }) => `${ledger.node}/${volume.id}`,
    view: ({ ledger, volume }) => volumeView(ctx.mirror.snapshot, ledger, volume),
  });
}

/** Makes a volume on the disk of a reservation. The role has been charged for that already. */
export async function createVolumeOnNode(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  request: VolumeRequest,
): Promise<Answer<VolumeView>> {
  const { reservation: from, sizeMiB, labels } = request;
  const id = request.id ?? `v-${randomId(ctx.random, MADE_UP_ID_LENGTH)}`;
  return mutate(ctx, call, () => {
    const { ledger } = knownNode(ctx, node);
    const reservation = ownOf(ledger.reservations, from);
    const none = `there is no reservation "${from}" on node "${node}"; make one with disk first`;
    demandHolding(call.principal, 'volume', { found: heldReservation(reservation), absent: none });
    if (reservation === undefined) throw new Refusal('not-found', none);
    const by = call.principal.subject;
    const volume: Volume = { id, reservation: from, sizeMiB, by, atMs: ctx.clock.now(), removing: false, labels };
    const after = ledgerMakingVolume(ledger, reservation, volume);
    return draftOf(ctx, ledger, after, { status: 201, body: volumeView(ctx.mirror.snapshot, after, volume) });
  });
}

/** The ledger with the volume, without offers that stood in the way. */
export function ledgerMakingVolume(ledger: Ledger, reservation: Reservation, volume: Volume): Ledger {
  const { id, sizeMiB } = volume;
  if (Object.hasOwn(ledger.volumes, id)) throw alreadyThere('volume', id, ledger.node);
  const lacking = (left: Ledger) => (sizeMiB > freeReserved(left, reservation).diskMiB ? ['diskMiB'] : []);
  return orRefuse(createVolume(withoutOffersInTheWay(ledger, lacking), volume));
}

/** Asks for a volume's end, with all that is in it. Its agent deletes it; until then it is shown as being removed. */
export function deleteVolumeOnNode(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  id: VolumeId,
): Promise<Answer<VolumeView>> {
  return mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const { ledger } = knownNode(ctx, node);
    const volume = ownOf(ledger.volumes, id);
    const none = `there is no volume "${id}" on node "${node}"`;
    demandHolding(call.principal, 'volume', { found: heldVolume(ledger, volume), absent: none });
    if (volume === undefined) throw new Refusal('not-found', none);
    const after = ledgerEndingVolume(ctx, ledger, id);
    const body = volumeView(snapshot, after, { ...volume, removing: true });
    return draftOf(ctx, ledger, after, { status: 202, body });
  });
}

/** The ledger in which the volume is being removed. */
export function ledgerEndingVolume(ctx: ServiceContext, ledger: Ledger, id: VolumeId): Ledger {
  const mounted = mountedOn(ctx.mirror.snapshot, ledger);
  checkUnused(`volume "${id}" on node "${ledger.node}"`, mounted.get(id) ?? [], []);
  return orRefuse(destroyVolume(ledger, id, new Set(mounted.keys())));
}

function ledgersOf(ctx: ServiceContext, node: NodeId | null): Ledger[] {
  return node === null ? [...ctx.mirror.snapshot.ledgers.values()] : [knownNode(ctx, node).ledger];
}

type HoldingKind = 'reservation' | 'volume';

interface Holding {
  readonly kind: HoldingKind;
  readonly role: RolePath;
  readonly id: ReservationId | VolumeId;
}

function isShown(principal: Principal, { kind, role, id }: Holding, filter: HoldingFilter): boolean {
  if (filter.role !== null && !roleWithin(role, filter.role)) return false;
  return mayRead(principal, `${kind}:read`, role, { kind, name: id });
}

/** `found` is null where there is no such thing, which is answered as what the principal may not read. */
export function demandHolding(
  principal: Principal,
  kind: HoldingKind,
  { found, absent }: { readonly found: Holding | null; readonly absent: string },
): void {
  const resource = found === null ? null : { kind: found.kind, name: found.id };
  const isKnown = found !== null && mayRead(principal, `${kind}:read`, found.role, resource);
  if (!isKnown) throw new Refusal('not-found', absent);
  demand(principal, `${kind}:write`, found.role, resource);
}

/** What to hold a reservation's name against; null: there is none. */
export function heldReservation(reservation: Reservation | undefined): Holding | null {
  return reservation === undefined ? null : { kind: 'reservation', role: reservation.role, id: reservation.id };
}

export function heldVolume(ledger: Ledger, volume: Volume | undefined): Holding | null {
  return volume === undefined ? null : { kind: 'volume', role: roleOf(ledger, volume), id: volume.id };
}

export function draftOf<T>(
  ctx: ServiceContext,
  before: Ledger,
  after: Ledger,
  { status, body }: { status: AnswerStatus; body: T },
): Draft<T> {
  const unit = ledgerUnit(ctx.mirror.snapshot, before, after);
  return { status, body, compares: unit?.compares ?? [], writes: unit?.writes ?? [] };
}

export function orRefuse(change: LedgerChange): Ledger {
  if (change.ok) return change.ledger;
  throw new Refusal('conflict', change.why);
}

function alreadyThere(kind: 'reservation' | 'volume', id: string, node: NodeId): Refusal {
  return new Refusal('already-exists', `node "${node}" has a ${kind} "${id}" already; choose another id`);
}

/** A claim, under which no offers are left for which limits and guarantees have no room beside the reservation. */
export async function roundFor(
  ctx: ServiceContext,
  node: NodeId,
  { role, scalars }: Pick<Reservation, 'role' | 'scalars'>,
): ReturnType<Fence> {
  const claim = await claimRound(ctx);
  if (claim === null) return null;
  const ledger = withRoomFor(knownNode(ctx, node).ledger, scalars);
  const { withdrawn } = planReserving(ctx.mirror.snapshot, { ledger, role, scalars, nowMs: ctx.clock.now() });
  const offers = new Map<NodeId, OfferId[]>();
  for (const ended of withdrawn) offers.set(ended.node, [...(offers.get(ended.node) ?? []), ended.offer.id]);
  return (await withdrawOffers(ctx, claim, offers)) ? claim : null;
}

function withRoomFor(ledger: Ledger, scalars: Scalars): Ledger {
  return withoutOffersInTheWay(ledger, (left) => missingScalars(scalars, freeResources(left)));
}

/** Offers don't count: those that the limit has no room for are taken back first. */
export function checkLimits(snapshot: Snapshot, { principal, role, scalars }: Reserving): void {
  const usages = roleUsages(snapshot);
  const faults = [role, ...ancestorsOf(role)].flatMap((path): Fault[] => {
    const held = addScalars(settledUsage(usages.get(path) ?? NO_USAGE), scalars);
    const limit = snapshot.roles.get(path)?.limit ?? {};
    return Object.keys(limit)
      .filter((name) => scalarOf(scalars, name) > 0 && scalarOf(held, name) > toMilli(limit[name] ?? 0))
      .map((name) => ({
        path: `/amounts/${name}`,
        message: mayRead(principal, 'role:read', path)
          ? `brings what role "${path}" holds to ${scalarOf(held, name)}, beyond its limit of ${limit[name]}`
          : `is more than the limits of role "${role}" and of those above it leave`,
      }));
  });
  refuseFor(faults);
}

function checkFree(ledger: Ledger, scalars: Scalars): void {
  const free = freeResources(ledger);
  refuseFor(
    missingScalars(scalars, free).map((name) => ({
      path: `/amounts/${name}`,
      message: `asks for ${scalarOf(scalars, name)}, and ${Math.max(0, scalarOf(free, name))} are free on node "${ledger.node}"`,
    })),
  );
}

/** What guarantees of other roles are short of stays unallocated, beyond what is guaranteed to the role itself. */
function checkKept({ kept }: ReservingPlan, { principal, role, scalars }: Reserving): void {
  refuseFor(
    kept.map(({ name, left, unallocated, short }) => {
      const named = partsShownTo(principal, short);
      const why = `${unallocated} are unallocated in the cluster, and kept for guarantees that are not met yet are ${amountsText(named)}`;
      const asks = `asks for ${scalarOf(scalars, name)}, and ${left} can be reserved for role "${role}"`;
      return { path: `/amounts/${name}`, message: `${asks}: ${why}` };
    }),
  );
}

/** What somebody asks to be kept for a role, and who asks: of other roles they are told no more than they may read. */
interface Reserving {
  readonly principal: Principal;
  readonly role: RolePath;
  readonly scalars: Scalars;
}

function refuseFor(faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const said = faults.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new Refusal('conflict', `this can't be reserved: ${said}`, { faults });
}

/** Names enough of what stands in the way to go on from. */
const NAMED_MAX = 5;

function checkUnused(what: string, tasks: readonly string[], volumes: readonly string[]): void {
  const users = [...tasks.map((id) => `task ${id}`), ...volumes.map((id) => `volume ${id}`)];
  if (users.length === 0) return;
  const more = users.length > NAMED_MAX ? ` and ${users.length - NAMED_MAX} more` : '';
  throw new Refusal('conflict', `${what} is in use by ${users.slice(0, NAMED_MAX).join(', ')}${more}; end that first`);
}

/** Own members only: `constructor` is a valid id. */
export function ownOf<T>(record: Readonly<Record<string, T>>, id: string): T | undefined {
  return Object.hasOwn(record, id) ? record[id] : undefined;
}
