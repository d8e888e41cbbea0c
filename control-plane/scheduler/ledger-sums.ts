/**
 * What the allocator needs to know of one ledger, worked out once for as long as the ledger stays the same: what is free, who is
 * charged for what, and which offers and filters stand there.
 */
import type { FrameworkId, ReservationId, RolePath } from '../../shared/domain/ids.ts';
import { entryBytesMax, freeReserved, freeResources, type Ledger, unreservedPart } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { Resources, Scalars } from '../../shared/domain/resources.ts';
import { type Amounts, accumulate, type ScalarNames } from './amounts.ts';

/** Who asks for resources in a role: a framework, or (null) Berth's own scheduler. */
export type ClientId = FrameworkId | null;

/** What a client holds of one node, or of the cluster. */
export interface Charge {
  readonly role: RolePath;
  readonly client: ClientId;
  /** What the role is charged for: what comes from reservations is charged to the role that they are for. */
  readonly unreserved: Amounts;
  /** All that it holds, reserved or not: what its share within the role is made of. */
  readonly whole: Amounts;
  holdings: number;
  offers: number;
  /** The part of the above that offers are. */
  readonly offered: { readonly unreserved: Amounts; readonly whole: Amounts };
}

export interface FreeReservation {
  readonly id: ReservationId;
  readonly role: RolePath;
  readonly free: Scalars;
}

export interface LedgerSums {
  readonly ledger: Ledger;
  readonly total: Amounts;
  readonly free: Resources;
  readonly freeAmounts: Amounts;
  /** Anything is left that isn't reserved. */
  readonly hasFree: boolean;
  /** Reservations of which anything is left. */
  readonly reserved: readonly FreeReservation[];
  readonly charges: readonly Charge[];
  readonly reservations: readonly { readonly role: RolePath; readonly amounts: Amounts }[];
  readonly offers: readonly Offer[];
  /** Any of its tasks is to end. */
  readonly isEnding: boolean;
  /** When the first of the offers expires. */
  readonly firstExpiryMs: number;
  /** Places that are held, by tasks and offers. */
  readonly entries: number;
  /** What entries and offers take in the ledger, at the most. */
  readonly bytes: number;
}

export function sumLedger(ledger: Ledger, names: ScalarNames): LedgerSums {
  const free = freeResources(ledger);
  const freeAmounts = names.amountsOf(free);
  const offers = Object.values(ledger.offers);
  const entries = Object.values(ledger.entries);
  const reservations = Object.values(ledger.reservations);
  return {
    ledger,
    total: names.amountsOf(ledger.total),
    free,
    freeAmounts,
    hasFree: freeAmounts.some((amount) => amount > 0),
    reserved: reservations
      .map((one) => ({ id: one.id, role: one.role, free: freeReserved(ledger, one) }))
      .filter((one) => names.amountsOf(one.free).some((amount) => amount > 0)),
    charges: chargesOf(ledger, names),
    reservations: reservations.map(({ role, scalars }) => ({ role, amounts: names.amountsOf(scalars) })),
    offers,
    isEnding: entries.some(({ stop, disowned }) => stop !== null && !disowned),
    firstExpiryMs: offers.reduce((first, { expiresAtMs }) => Math.min(first, expiresAtMs), Number.POSITIVE_INFINITY),
    entries: entries.length + offers.length,
    bytes:
      entries.reduce((sum, entry) => sum + entryBytesMax(entry), 0) +
      offers.reduce((sum, offer) => sum + offerBytesMax(offer), 0),
  };
}

export interface Holding {
  readonly role: RolePath;
  readonly framework: ClientId;
  readonly resources: Resources;
  readonly reserved: Readonly<Record<ReservationId, Scalars>>;
}

function chargesOf({ entries, offers }: Ledger, names: ScalarNames): Charge[] {
  const charges = new Map<string, Charge>();
  const add = (holding: Holding, isOffer: boolean) => {
    const { role, framework: client } = holding;
    const key = clientKey(role, client);
    const charge = charges.get(key) ?? emptyCharge(role, client);
    charges.set(key, charge);
    const unreserved = names.amountsOf(unreservedPart(holding));
    const whole = names.amountsOf(holding.resources);
    accumulate(charge.unreserved, unreserved);
    accumulate(charge.whole, whole);
    charge.holdings += 1;
    if (!isOffer) return;
    charge.offers += 1;
    accumulate(charge.offered.unreserved, unreserved);
    accumulate(charge.offered.whole, whole);
  };
  for (const entry of Object.values(entries)) add(entry, false);
  for (const offer of Object.values(offers)) add(offer, true);
  return [...charges.values()];
}

export function emptyCharge(role: RolePath, client: ClientId): Charge {
  return { role, client, unreserved: [], whole: [], holdings: 0, offers: 0, offered: { unreserved: [], whole: [] } };
}

/** Neither roles nor ids of frameworks hold spaces. */
export function clientKey(role: RolePath, client: ClientId): string {
  return `${role} ${client ?? ''}`;
}

/** The frame of an offer, its ids and its five amounts. */
const OFFER_FRAME_BYTES = 420;
const AMOUNT_BYTES = 24;
const PORT_RANGE_BYTES = 30;
/** The amounts that come from one reservation, without its id. */
const RESERVED_BYTES = 160;

/** At least the bytes that the offer takes in its ledger's JSON. */
export function offerBytesMax({ id, framework, role, resources, reserved }: Offer): number {
  let bytes = OFFER_FRAME_BYTES + 2 * id.length + framework.length + role.length;
  for (const name of Object.keys(resources.custom)) bytes += name.length + AMOUNT_BYTES;
  for (const [reservation, scalars] of Object.entries(reserved)) {
    bytes += reservation.length + RESERVED_BYTES;
    for (const name of Object.keys(scalars.custom)) bytes += name.length + AMOUNT_BYTES;
  }
  return bytes + resources.ports.length * PORT_RANGE_BYTES;
}
