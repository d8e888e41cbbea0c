/**
 * A framework's answer to offers of one node that it accepts: operations in their order, on a balance that begins as what the
 * offers hold. The offers go and what was made of them comes in one change of one ledger, so nothing in between can be taken by
 * others. Since an offer is charged to its role when it is made, no role ever holds more by an answer than before.
 */
import type { Fault } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { type ReservationId, type RolePath, roleWithin, type VolumeId } from '../../shared/domain/ids.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import { addEntries, endOffers, freeReserved, type Ledger } from '../../shared/domain/ledger.ts';
import {
  addReservation,
  createVolume,
  destroyVolume,
  type LedgerChange,
  noReservation,
  noVolume,
  unreserve,
} from '../../shared/domain/ledger-reservations.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { Offer, OfferFilter } from '../../shared/domain/offer.ts';
import { filterFor, filterOf, type Refusing } from '../../shared/domain/offer-filters.ts';
import type { LaunchRequest, OfferOperation } from '../../shared/domain/offer-operation.ts';
import type { Reservation } from '../../shared/domain/reservation.ts';
import {
  addScalars,
  isNothing,
  missingScalars,
  NO_SCALARS,
  type Scalars,
  scalarOf,
  subtractScalars,
} from '../../shared/domain/resources.ts';
import type { Task } from '../../shared/domain/task.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { type Launch, type LaunchSite, launch, refusedLaunch } from './launch.ts';
import { balanceOf, leftOf, type OfferBalance, reservedOf, withoutEmpty } from './offer-balance.ts';

export interface Acceptance {
  readonly ledger: Ledger;
  readonly node: Node;
  readonly framework: Framework;
  /** Of this framework, node and one role, as they stand in the ledger; at least one. */
  readonly offers: readonly [Offer, ...Offer[]];
  readonly operations: readonly OfferOperation[];
  /** How long it doesn't want to be offered again what it leaves over. */
  readonly refuseSeconds: number;
  /** Volumes of the node that its tasks have. */
  readonly mounted: ReadonlySet<VolumeId>;
  readonly by: string;
  readonly nowMs: number;
}

export type Accepted =
  | {
      readonly ok: true;
      readonly ledger: Ledger;
      /** All that were described, in their order: launched, or ended as `error`. */
      readonly tasks: readonly Task[];
      /** Null: nothing was left over. */
      readonly filter: OfferFilter | null;
    }
  /** Nothing is changed then. Paths lead into the request. */
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** What the operations carried out so far have come to. */
interface Progress {
  readonly ledger: Ledger;
  readonly balance: OfferBalance;
  readonly tasks: readonly Task[];
}

export function acceptOffers(acceptance: Acceptance): Accepted {
  const { ledger, offers, operations } = acceptance;
  const withoutOffers = endOffers(
    ledger,
    offers.map(({ id }) => id),
  );
  let progress: Progress = { ledger: withoutOffers, balance: balanceOf(offers), tasks: [] };
  const faults: Fault[] = [];
  for (const [index, operation] of operations.entries()) {
    const next = carryOut(acceptance, progress, operation);
    if ('message' in next) faults.push({ path: `/operations/${index}${next.path}`, message: next.message });
    else progress = next;
  }
  if (faults.length > 0) return { ok: false, faults };
  const refusing = leftOver(acceptance, progress.balance);
  const filter = filterFor(ledger.filters, refusing);
  const trace = filter ?? (isAnyLaunched(progress) ? null : filterOf(ledger.filters, { ...refusing, seconds: 0 }));
  return {
    ok: true,
    ledger: trace === null ? progress.ledger : endOffers(progress.ledger, [], [trace]),
    tasks: progress.tasks,
    filter,
  };
}

function leftOver({ framework, offers: [first], refuseSeconds, nowMs }: Acceptance, balance: OfferBalance): Refusing {
  return {
    framework,
    role: first.role,
    offer: first.id,
    refused: leftOf(balance),
    because: 'unused',
    seconds: refuseSeconds,
    nowMs,
  };
}

/** Else nothing in the ledger would tell whoever watches it that the offers were answered, and not withdrawn. */
function isAnyLaunched({ tasks }: Progress): boolean {
  return tasks.some(({ node }) => node !== null);
}

function carryOut(acceptance: Acceptance, progress: Progress, operation: OfferOperation): Progress | Fault {
  switch (operation.type) {
    case 'launch':
      return operation.tasks.reduce<Progress>((before, request) => launchOne(acceptance, before, request), progress);
    case 'launch-group':
      return launchGroup(acceptance, progress, operation.tasks);
    case 'reserve':
      return reserveFromOffer(acceptance, progress, operation.reservation);
    case 'unreserve':
      return unreserveInOffer(acceptance, progress, operation);
    case 'create':
      return createInOffer(acceptance, progress, operation.volume);
    case 'destroy':
      return destroyInOffer(acceptance, progress, operation.volume);
    default:
      return unreachable(operation);
  }
}

function siteOf(
  { node, framework, offers: [first], nowMs }: Acceptance,
  { ledger, balance }: Progress,
  groupOf: string | null,
): LaunchSite {
  return { ledger, balance, node, framework, role: first.role, groupOf, nowMs };
}

function launchOne(acceptance: Acceptance, progress: Progress, request: LaunchRequest): Progress {
  return after(progress, launch(siteOf(acceptance, progress, null), request));
}

function after({ ledger, balance, tasks }: Progress, launched: Launch): Progress {
  if (launched.entry === null) return { ledger, balance, tasks: [...tasks, launched.task] };
  return {
    ledger: addEntries(ledger, [launched.entry]),
    balance: launched.balance,
    tasks: [...tasks, launched.task],
  };
}

/** One that can't be launched takes the others with it. */
function launchGroup(acceptance: Acceptance, progress: Progress, requests: readonly LaunchRequest[]): Progress {
  const groupOf = requests[0]?.name ?? null;
  let together = progress;
  let misfit: string | null = null;
  const refused = new Map<LaunchRequest, Task>();
  for (const request of requests) {
    const launched = launch(siteOf(acceptance, together, groupOf), request);
    if (launched.entry !== null) together = after(together, launched);
    else {
      misfit ??= request.name;
      refused.set(request, launched.task);
    }
  }
  if (misfit === null) return together;
  const why = `is of a group that is launched as a whole, and "${misfit}" of it can't be`;
  const site = siteOf(acceptance, progress, groupOf);
  const ended = requests.map((request) => refused.get(request) ?? refusedLaunch(site, request, why).task);
  return { ...progress, tasks: [...progress.tasks, ...ended] };
}

function reserveFromOffer(
  { offers: [{ role }], by, nowMs }: Acceptance,
  { ledger, balance, tasks }: Progress,
  { id, scalars, labels }: Extract<OfferOperation, { type: 'reserve' }>['reservation'],
): Progress | Fault {
  const missing = missingScalars(scalars, balance.unreserved);
  if (missing.length > 0) return tooLittle('/reservation/scalars', scalars, balance.unreserved, missing);
  const change = addReservation(ledger, { id, role, scalars, source: 'dynamic', by, atMs: nowMs, labels });
  const unreserved = { ...subtractScalars(balance.unreserved, scalars), ports: balance.unreserved.ports };
  return changedBy(change, '/reservation', { tasks, balance: withReserved({ ...balance, unreserved }, id, scalars) });
}

/** One for the role or for one above it; any other is none to a framework of the role. */
function knownReservation({ reservations }: Ledger, id: ReservationId, role: RolePath): Reservation | undefined {
  const reservation = Object.hasOwn(reservations, id) ? reservations[id] : undefined;
  return reservation !== undefined && roleWithin(role, reservation.role) ? reservation : undefined;
}

/** Only what the offer's own role has: what is kept for a role above it would be charged to another one afterwards. */
function unreserveInOffer(
  { offers: [{ role }] }: Acceptance,
  { ledger, balance, tasks }: Progress,
  { reservation: id, scalars }: Extract<OfferOperation, { type: 'unreserve' }>,
): Progress | Fault {
  const reservation = knownReservation(ledger, id, role);
  if (reservation === undefined) return { path: '/reservation', message: noReservation(ledger, id) };
  if (reservation.role !== role) {
    const message = `"${id}" is for the role "${reservation.role}", and the offer for "${role}": only an offer of the same role can end it`;
    return { path: '/reservation', message };
  }
  const held = reservedOf(balance.reserved, id);
  const given = scalars ?? reservation.scalars;
  const missing = missingScalars(given, held);
  if (missing.length > 0) return tooLittle('/reservation', given, held, missing);
  const unreserved = { ...addScalars(balance.unreserved, given), ports: balance.unreserved.ports };
  const left = withReserved({ ...balance, unreserved }, id, subtractScalars(NO_SCALARS, given));
  return changedBy(unreserve(ledger, id, scalars), '/reservation', { tasks, balance: left });
}

function createInOffer(
  { by, nowMs, offers: [{ role }] }: Acceptance,
  { ledger, balance, tasks }: Progress,
  volume: Extract<OfferOperation, { type: 'create' }>['volume'],
): Progress | Fault {
  const { reservation, sizeMiB } = volume;
  if (knownReservation(ledger, reservation, role) === undefined) {
    return { path: '/volume', message: noReservation(ledger, reservation) };
  }
  const held = reservedOf(balance.reserved, reservation);
  if (sizeMiB > held.diskMiB) {
    const message = `takes ${sizeMiB} MiB of disk, and the offer holds ${held.diskMiB} of reservation "${reservation}"`;
    return { path: '/volume/sizeMiB', message };
  }
  const change = createVolume(ledger, { ...volume, by, atMs: nowMs, removing: false });
  const taken = { ...NO_SCALARS, diskMiB: -sizeMiB };
  return changedBy(change, '/volume', { tasks, balance: withReserved(balance, reservation, taken) });
}

/**
 * Its disk comes back once the agent has deleted it, so it is of no use to the operations that follow. Who was offered nothing of
 * its reservation has no say in it, unless nothing of that is left that could be offered: then any offer of the role will do.
 */
function destroyInOffer(
  { ledger: before, offers, mounted }: Acceptance,
  { ledger, balance, tasks }: Progress,
  id: VolumeId,
): Progress | Fault {
  const [{ role }] = offers;
  const reservation = Object.hasOwn(ledger.volumes, id) ? ledger.volumes[id]?.reservation : undefined;
  const owner = reservation === undefined ? undefined : ledger.reservations[reservation]?.role;
  if (owner !== undefined && !roleWithin(role, owner)) {
    return { path: '/volume', message: noVolume(ledger, id) };
  }
  if (owner !== undefined && owner !== role) {
    return { path: '/volume', message: `"${id}" is of the role "${owner}", and the offer of "${role}"` };
  }
  const isOld = reservation !== undefined && Object.hasOwn(before.reservations, reservation);
  const kept = isOld ? before.reservations[reservation] : undefined;
  if (kept !== undefined && holdsNothingOf(offers, kept) && couldBeOffered(before, kept)) {
    return { path: '/volume', message: `"${id}" is of reservation "${kept.id}", of which the offer holds nothing` };
  }
  const launched = tasks.flatMap(({ template, node, index }) =>
    template && node !== null ? volumesOf(template.group, index) : [],
  );
  return changedBy(destroyVolume(ledger, id, new Set([...mounted, ...launched])), '/volume', { tasks, balance });
}

function holdsNothingOf(offers: readonly Offer[], { id }: Reservation): boolean {
  return offers.every(({ reserved }) => isNothing(reservedOf(reserved, id)));
}

function couldBeOffered(ledger: Ledger, reservation: Reservation): boolean {
  return !isNothing(freeReserved({ ...ledger, offers: {} }, reservation));
}

function changedBy(change: LedgerChange, path: string, rest: Omit<Progress, 'ledger'>): Progress | Fault {
  return change.ok ? { ...rest, ledger: change.ledger } : { path, message: change.why };
}

function withReserved(balance: OfferBalance, id: string, added: Scalars): OfferBalance {
  const reserved = { ...balance.reserved, [id]: addScalars(reservedOf(balance.reserved, id), added) };
  return { ...balance, reserved: withoutEmpty(Object.entries(reserved)) };
}

function tooLittle(path: string, needed: Scalars, left: Scalars, names: readonly string[]): Fault {
  const amounts = names.map((name) => `${scalarOf(needed, name)} of ${name}, and ${scalarOf(left, name)} is left`);
  return { path, message: `needs ${amounts.join('; ')} of what is offered` };
}
