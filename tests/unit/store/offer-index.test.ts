import { describe, expect, it } from 'vitest';
import { OfferIndex } from '../../../control-plane/store/offer-index.ts';
import { endOffers } from '../../../shared/domain/ledger.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import { aLedger, anOffer, someResources } from '../../support/builders.ts';

const [one, two] = [anOffer({ id: '1-1-1' }), anOffer({ id: '1-1-2' })];
const ledger = aLedger({ node: 'n1', offers: [one, two] });
const filter: OfferFilter = {
  framework: one.framework,
  role: 'default',
  generation: 0,
  offer: one.id,
  refused: someResources(),
  sinceMs: 0,
  untilMs: 1,
  because: 'declined',
  times: 1,
};
const declined = endOffers(ledger, [one.id], [filter]);

describe('offers by their ids', () => {
  it('stand where their ledger says, until it says so no more', () => {
    const index = new OfferIndex();
    expect(index.standing(one.id)).toBeUndefined();
    index.change(null, ledger);
    expect([index.standing(one.id), index.standing(two.id)]).toEqual([
      { node: 'n1', offer: one },
      { node: 'n1', offer: two },
    ]);
    index.change(ledger, declined);
    expect([index.standing(one.id), index.standing(two.id)?.offer]).toEqual([undefined, two]);
    index.change(declined, null);
    expect(index.standing(two.id)).toBeUndefined();
  });

  it('leave the filter that took their place, until that goes as well', () => {
    const index = new OfferIndex();
    index.change(null, ledger);
    expect(index.filterAfter(one.id)).toBeUndefined();
    index.change(ledger, declined);
    expect([index.filterAfter(one.id), index.filterAfter(two.id)]).toEqual([filter, undefined]);
    index.change(declined, { ...declined, filters: [] });
    expect(index.filterAfter(one.id)).toBeUndefined();
  });
});
