/**
 * What is left of the offers that a framework accepts together, while their operations are carried out one after the other.
 * Nothing comes into it from elsewhere, so what comes out of it never holds more than the offers did.
 */
import type { ReservationId } from '../../shared/domain/ids.ts';
import { unreservedPart } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import {
  addScalars,
  commonScalars,
  isNothing,
  missingScalars,
  NO_SCALARS,
  type PortRange,
  type Resources,
  type Scalars,
  scalarOf,
  subtractPorts,
  subtractScalars,
  sumResources,
} from '../../shared/domain/resources.ts';

type Reserved = Readonly<Record<ReservationId, Scalars>>;

export interface OfferBalance {
  readonly unreserved: Resources;
  readonly reserved: Reserved;
}

export function balanceOf(offers: readonly Offer[]): OfferBalance {
  const reserved: Record<ReservationId, Scalars> = {};
  for (const offer of offers) {
    for (const [id, part] of Object.entries(offer.reserved)) reserved[id] = addScalars(reservedOf(reserved, id), part);
  }
  return { unreserved: sumResources(offers.map(unreservedPart)), reserved };
}

/** What is left of one reservation. */
export function reservedOf(reserved: Reserved, id: ReservationId): Scalars {
  // Own members only: `constructor` is a valid id.
  return Object.hasOwn(reserved, id) ? (reserved[id] ?? NO_SCALARS) : NO_SCALARS;
}

/** All that is left, reserved or not. */
export function leftOf({ unreserved, reserved }: OfferBalance): Resources {
  return { ...Object.values(reserved).reduce<Scalars>(addScalars, unreserved), ports: unreserved.ports };
}

export interface Take {
  readonly scalars: Scalars;
  readonly ports: readonly PortRange[];
  /** How much comes from which reservation. Null: as much as there is, in the order of their ids. */
  readonly reserved: Reserved | null;
}

/** What was taken from reservations, and what is left after it; or why it can't be taken. */
export type Taken =
  | { readonly ok: true; readonly reserved: Reserved; readonly balance: OfferBalance }
  | { readonly ok: false; readonly why: string };

/** Takes what a task needs. The ports are there: the caller has chosen them among those that are left. */
export function takeFrom(balance: OfferBalance, { scalars, ports, reserved: wished }: Take): Taken {
  const all = leftOf(balance);
  const absent = missingScalars(scalars, all);
  if (absent.length > 0) return { ok: false, why: tooLittle(scalars, all, absent, null) };
  const reserved = wished ?? reservedFirst(balance, scalars);
  const parts = Object.entries(reserved);
  for (const [id, part] of parts) {
    const missing = missingScalars(part, reservedOf(balance.reserved, id));
    if (missing.length > 0) return { ok: false, why: tooLittle(part, reservedOf(balance.reserved, id), missing, id) };
  }
  const fromReserved = parts.reduce((sum, [, part]) => addScalars(sum, part), NO_SCALARS);
  const beyond = missingScalars(fromReserved, scalars);
  if (beyond.length > 0)
    return { ok: false, why: `takes more ${beyond.join(', ')} from reservations than it asks for` };
  const rest = subtractScalars(scalars, fromReserved);
  const missing = missingScalars(rest, balance.unreserved);
  if (missing.length > 0) {
    return { ok: false, why: `${tooLittle(rest, balance.unreserved, missing, null)} beside what is reserved` };
  }
  const left = Object.entries(balance.reserved).map(
    ([id, part]) => [id, subtractScalars(part, reservedOf(reserved, id))] as const,
  );
  const unreserved = {
    ...subtractScalars(balance.unreserved, rest),
    ports: subtractPorts(balance.unreserved.ports, ports),
  };
  return { ok: true, reserved: withoutEmpty(parts), balance: { unreserved, reserved: withoutEmpty(left) } };
}

/** What is reserved can be used by few, so it goes first. */
function reservedFirst({ reserved }: OfferBalance, scalars: Scalars): Reserved {
  let wanted = scalars;
  const parts: [ReservationId, Scalars][] = [];
  for (const id of Object.keys(reserved).sort()) {
    const part = commonScalars(wanted, reservedOf(reserved, id));
    wanted = subtractScalars(wanted, part);
    parts.push([id, part]);
  }
  return withoutEmpty(parts);
}

export function withoutEmpty(parts: Iterable<readonly [ReservationId, Scalars]>): Reserved {
  return Object.fromEntries([...parts].filter(([, part]) => !isNothing(part)));
}

function tooLittle(
  needed: Scalars,
  left: Scalars,
  names: readonly string[],
  reservation: ReservationId | null,
): string {
  const amounts = names.map((name) => `${scalarOf(needed, name)} of ${name}, and ${scalarOf(left, name)} is left`);
  return `needs ${amounts.join('; ')} ${reservation === null ? 'of the offer' : `of reservation "${reservation}" in the offer`}`;
}
