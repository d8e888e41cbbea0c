/** The offers that stand after the sweeps, to be withdrawn where they are in the way of what others are due. */
import { unreservedPart } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { type Amounts, accumulate } from './amounts.ts';
import type { LedgerSums } from './ledger-sums.ts';
import type { OfferEnd } from './plan.ts';
import type { Client } from './role-tree.ts';
import type { Survey } from './survey.ts';
import type { EndedOfferOn } from './sweeps.ts';

export interface StandingOffer {
  readonly offer: Offer;
  readonly row: LedgerSums;
  readonly client: Client;
  /** What its role is charged for. */
  readonly unreserved: Amounts;
  readonly whole: Amounts;
}

/** The newest first: what has been looked at longest is the likeliest to be taken. */
export function standingOffers(survey: Survey): StandingOffer[] {
  const { roles } = survey;
  return survey
    .list('offering')
    .flatMap((row) =>
      row.offers.map((offer) => ({
        offer,
        row,
        client: roles.client(offer.role, offer.framework),
        unreserved: roles.names.amountsOf(unreservedPart(offer)),
        whole: roles.names.amountsOf(offer.resources),
      })),
    )
    .sort(byNewest);
}

function byNewest({ offer: a }: StandingOffer, { offer: b }: StandingOffer): number {
  if (a.madeAtMs !== b.madeAtMs) return b.madeAtMs - a.madeAtMs;
  const [numbersA, numbersB] = [numbersOf(a), numbersOf(b)];
  for (let place = 0; place < numbersA.length; place += 1) {
    const apart = (numbersB[place] ?? 0) - (numbersA[place] ?? 0);
    if (apart !== 0) return apart;
  }
  return 0;
}

/** Incarnation, round, number. */
function numbersOf({ id }: Offer): number[] {
  return id.split('-').map(Number);
}

/** Gives back what the offer holds: the tree of those who hold the cluster no longer charges for it. */
export function withdraw({ roles }: Survey, standing: StandingOffer, because: OfferEnd): EndedOfferOn {
  const { offer, client, unreserved, whole, row } = standing;
  roles.charge(client, { unreserved, whole, holdings: 1, offers: 1 }, -1);
  accumulate(roles.headroom, unreserved);
  return { node: row.ledger.node, offer: { id: offer.id, because, filter: null } };
}

/** As if it had not been withdrawn. */
export function putBack({ roles }: Survey, { client, unreserved, whole }: StandingOffer): void {
  roles.charge(client, { unreserved, whole, holdings: 1, offers: 1 });
  accumulate(roles.headroom, unreserved, -1);
}
