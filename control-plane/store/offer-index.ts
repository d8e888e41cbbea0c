/** Where each offer of a snapshot stands, and what is left of those that stand no more: so that an answer costs what it names. */
import type { NodeId, OfferId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Offer, OfferFilter } from '../../shared/domain/offer.ts';

export interface StandingOffer {
  readonly node: NodeId;
  readonly offer: Offer;
}

interface LeftFilter {
  readonly node: NodeId;
  readonly filter: OfferFilter;
}

export class OfferIndex {
  readonly #standing = new Map<OfferId, StandingOffer>();
  readonly #left = new Map<OfferId, LeftFilter>();

  standing(id: OfferId): StandingOffer | undefined {
    return this.#standing.get(id);
  }

  /** The filter that took the offer's place, for as long as it is on record. */
  filterAfter(id: OfferId): OfferFilter | undefined {
    return this.#left.get(id)?.filter;
  }

  change(before: Ledger | null, after: Ledger | null): void {
    if (before !== null) this.#remove(before);
    if (after === null) return;
    const { node, offers, filters } = after;
    for (const offer of Object.values(offers)) this.#standing.set(offer.id, { node, offer });
    for (const filter of filters) this.#left.set(filter.offer, { node, filter });
  }

  #remove({ node, offers, filters }: Ledger): void {
    for (const id of Object.keys(offers)) if (this.#standing.get(id)?.node === node) this.#standing.delete(id);
    for (const { offer } of filters) if (this.#left.get(offer)?.node === node) this.#left.delete(offer);
  }
}
