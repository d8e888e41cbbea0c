/**
 * What the offers of one accept hold of reservations, and the volumes of their node, while its operations are planned one after the
 * other. What isn't reserved is counted by whoever carries them out.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import type { ReservationId, VolumeId } from '../../../shared/domain/ids.ts';
import {
  addScalars,
  commonScalars,
  isNothing,
  NO_SCALARS,
  type Scalars,
  subtractScalars,
} from '../../../shared/domain/resources.ts';
import type { OfferView } from '../../../shared/protocol/framework.ts';
import { hexEncode, utf8Encode } from '../../../shared/util/codec.ts';
import { byText } from '../../../shared/util/order.ts';
import type { WireResource } from '../wire/resource.ts';
import { identityKey, identityOf, reservationOf } from './reservation-identity.ts';
import type { NodeHoldings } from './resources.ts';
import { volumeNoteOf } from './volume-note.ts';
import type { WireFramework } from './wire-framework.ts';

export interface AcceptBalance {
  readonly reserved: readonly Held[];
  /** By their keys. */
  readonly volumes: ReadonlyMap<string, VolumeId>;
}

/** What is left of one reservation. */
interface Held {
  readonly id: ReservationId;
  /** Of its identity; null: any framework may have it without saying so. */
  readonly key: string | null;
  readonly left: Scalars;
}

export type Parts = Readonly<Record<ReservationId, Scalars>>;

export function balanceOf(
  offers: readonly Pick<OfferView, 'reserved'>[],
  { reservations, volumes }: NodeHoldings,
  { wireRole }: Pick<WireFramework, 'wireRole'>,
): AcceptBalance {
  const left = new Map<ReservationId, Scalars>();
  for (const { reservation, resources } of offers.flatMap(({ reserved }) => reserved)) {
    left.set(reservation, addScalars(left.get(reservation) ?? NO_SCALARS, resources));
  }
  const known = new Map(reservations.map((reservation) => [reservation.id, reservation]));
  const held = [...left].flatMap(([id, scalars]): Held[] => {
    const reservation = known.get(id);
    if (reservation === undefined) return [];
    const identity = identityOf(reservation, wireRole);
    return [{ id, key: identity.role === '*' ? null : identityKey(identity), left: scalars }];
  });
  const named = volumes.flatMap((volume): [string, VolumeId][] => {
    const reservation = known.get(volume.reservation);
    if (reservation === undefined || volume.removing) return [];
    return [[volumeKey(wireRole(reservation.role), volumeNoteOf(volume).id), volume.id]];
  });
  return { reserved: held.sort((a, b) => byText(a.id, b.id)), volumes: new Map(named) };
}

/** Takes from the reservations of one identity, one after the other. Null: they don't have as much. */
export function takeReserved(
  balance: AcceptBalance,
  key: string | null,
  wanted: Scalars,
): { readonly parts: Parts; readonly balance: AcceptBalance } | null {
  const { parts, missing, ...taken } = takeUpTo(balance, key, wanted);
  return isNothing(missing) ? { parts, ...taken } : null;
}

/** The same, as far as it goes. */
export function takeUpTo(
  balance: AcceptBalance,
  key: string | null,
  wanted: Scalars,
): { readonly parts: Parts; readonly missing: Scalars; readonly balance: AcceptBalance } {
  let missing = wanted;
  const parts: Record<ReservationId, Scalars> = {};
  const reserved = balance.reserved.map((held) => {
    const part = held.key === key ? commonScalars(missing, held.left) : NO_SCALARS;
    if (isNothing(part)) return held;
    missing = subtractScalars(missing, part);
    parts[held.id] = part;
    return { ...held, left: subtractScalars(held.left, part) };
  });
  return { parts, missing, balance: { ...balance, reserved } };
}

/** The first reservation of the identity with so much disk; null: none has. */
export function reservationWithDisk(balance: AcceptBalance, key: string, diskMiB: number): ReservationId | null {
  return balance.reserved.find((held) => held.key === key && held.left.diskMiB >= diskMiB)?.id ?? null;
}

export function withReservation(balance: AcceptBalance, held: Held): AcceptBalance {
  return { ...balance, reserved: [...balance.reserved, held].sort((a, b) => byText(a.id, b.id)) };
}

export function withoutDisk(balance: AcceptBalance, id: ReservationId, diskMiB: number): AcceptBalance {
  const taken = { ...NO_SCALARS, diskMiB };
  return {
    ...balance,
    reserved: balance.reserved.map((held) =>
      held.id === id ? { ...held, left: subtractScalars(held.left, taken) } : held,
    ),
  };
}

export function withVolume(balance: AcceptBalance, key: string, id: VolumeId): AcceptBalance {
  return { ...balance, volumes: new Map(balance.volumes).set(key, id) };
}

export function withoutVolume(balance: AcceptBalance, key: string): AcceptBalance {
  return { ...balance, volumes: new Map([...balance.volumes].filter(([other]) => other !== key)) };
}

/** What Berth calls the volume that a resource is; null: its node has none such. */
export function volumeOf({ volumes }: AcceptBalance, resource: WireResource): VolumeId | null {
  return volumes.get(keyOfVolume(resource)) ?? null;
}

/** Ids of volumes are unique for their role. */
export function keyOfVolume(resource: WireResource): string {
  return volumeKey(reservationOf(resource)?.role ?? '*', resource.disk?.persistence?.id ?? '');
}

function volumeKey(role: string, id: string): string {
  return JSON.stringify([role, id]);
}

const ID_LENGTH = 20;

/** The same for the same parts, so that operations that follow can name what is made by one before them. */
export function reservationIdFor(parts: readonly unknown[]): ReservationId {
  const digest = BigInt(`0x${hexEncode(sha256(utf8Encode(JSON.stringify(parts))))}`);
  return `m${digest.toString(36).padStart(ID_LENGTH, '0').slice(0, ID_LENGTH)}`;
}
