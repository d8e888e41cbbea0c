/**
 * Several changes of what is kept on one node, in one step: all of them or none. Each sees what those before it have made, so that a
 * volume can be asked for together with the reservation that it is made on.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, ReservationId, RolePath, VolumeId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { freeReserved } from '../../shared/domain/ledger.ts';
import { unreserve } from '../../shared/domain/ledger-reservations.ts';
import { addScalars, missingScalars, NO_SCALARS, type Scalars } from '../../shared/domain/resources.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { type Draft, mutate } from './mutation.ts';
import { knownNode } from './nodes.ts';
import { withoutOffersInTheWay } from './offer-withdrawal.ts';
import {
  checkLimits,
  demandHolding,
  draftOf,
  heldReservation,
  heldVolume,
  ledgerEndingVolume,
  ledgerMakingVolume,
  ledgerReserving,
  orRefuse,
  ownOf,
  roundFor,
} from './reservations.ts';

export interface WantedReservation {
  readonly id: ReservationId;
  readonly role: RolePath;
  readonly scalars: Scalars;
  readonly labels: Readonly<Record<string, string>>;
}

export type HoldingChange =
  | { readonly type: 'reserve'; readonly reservation: WantedReservation }
  /** So much of it; when nothing is left it ends. */
  | { readonly type: 'unreserve'; readonly reservation: ReservationId; readonly scalars: Scalars }
  | {
      readonly type: 'create';
      readonly volume: {
        readonly id: VolumeId;
        readonly reservation: ReservationId;
        readonly sizeMiB: number;
        readonly labels: Readonly<Record<string, string>>;
      };
    }
  | { readonly type: 'destroy'; readonly volume: VolumeId };

export interface ChangedHoldings {
  readonly node: NodeId;
}

/**
 * Throws `invalid-request` for reservations for several roles: what the limit of one has room for would have to be judged with what the
 * others take.
 */
export async function changeHoldings(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  changes: readonly HoldingChange[],
): Promise<Answer<ChangedHoldings>> {
  const reserving = reservedTogether(changes);
  if (reserving !== null) demand(call.principal, 'reservation:write', reserving.role);
  const draft = (): Draft<ChangedHoldings> => {
    const { ledger } = knownNode(ctx, node);
    if (reserving !== null) checkLimits(ctx.mirror.snapshot, { principal: call.principal, ...reserving });
    const after = changes.reduce((so, change) => changed({ ctx, call, ledger: so }, change), ledger);
    return draftOf(ctx, ledger, after, { status: 200, body: { node } });
  };
  return mutate(ctx, call, draft, reserving === null ? null : () => roundFor(ctx, node, reserving));
}

function reservedTogether(changes: readonly HoldingChange[]): { role: RolePath; scalars: Scalars } | null {
  const all = changes.flatMap((change) => (change.type === 'reserve' ? [change.reservation] : []));
  const [first] = all;
  if (first === undefined) return null;
  const other = all.find(({ role }) => role !== first.role);
  if (other !== undefined) {
    const why = `reservations for "${first.role}" and "${other.role}" can't be made in one step; make them one by one`;
    throw new Refusal('invalid-request', why);
  }
  const scalars = all.reduce<Scalars>((sum, one) => addScalars(sum, one.scalars), NO_SCALARS);
  return { role: first.role, scalars };
}

interface Step {
  readonly ctx: ServiceContext;
  readonly call: Call;
  readonly ledger: Ledger;
}

function changed(step: Step, change: HoldingChange): Ledger {
  const { ctx, call, ledger } = step;
  const made = { by: call.principal.subject, atMs: ctx.clock.now() };
  switch (change.type) {
    case 'reserve': {
      const reservation = { ...change.reservation, ...made, source: 'dynamic' } as const;
      return ledgerReserving(ctx, ledger, { principal: call.principal, reservation });
    }
    case 'unreserve':
      return unreserved(step, change.reservation, change.scalars);
    case 'create': {
      const reservation = knownReservation(step, change.volume.reservation, 'volume');
      const volume = { ...change.volume, ...made, removing: false, labels: { ...change.volume.labels } };
      return ledgerMakingVolume(ledger, reservation, volume);
    }
    case 'destroy': {
      const volume = ownOf(ledger.volumes, change.volume);
      const none = `there is no volume "${change.volume}" on node "${ledger.node}"`;
      demandHolding(call.principal, 'volume', { found: heldVolume(ledger, volume), absent: none });
      if (volume === undefined) throw new Refusal('not-found', none);
      return ledgerEndingVolume(ctx, ledger, change.volume);
    }
  }
}

/** Offers that hold of it go, as far as they have to. */
function unreserved(step: Step, id: ReservationId, scalars: Scalars): Ledger {
  const reservation = knownReservation(step, id, 'reservation');
  const lacking = (left: Ledger) => missingScalars(scalars, freeReserved(left, reservation));
  return orRefuse(unreserve(withoutOffersInTheWay(step.ledger, lacking), id, scalars));
}

function knownReservation({ call, ledger }: Step, id: ReservationId, kind: 'reservation' | 'volume') {
  const reservation = ownOf(ledger.reservations, id);
  const none = `there is no reservation "${id}" on node "${ledger.node}"`;
  demandHolding(call.principal, kind, { found: heldReservation(reservation), absent: none });
  if (reservation === undefined) throw new Refusal('not-found', none);
  return reservation;
}
