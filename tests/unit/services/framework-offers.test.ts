import { describe, expect, it } from 'vitest';
import { endedOffers, FrameworkOffers } from '../../../control-plane/services/framework-offers.ts';
import { addEntries, endOffers, type Ledger } from '../../../shared/domain/ledger.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import { aJob, aLedger, anEntry, anOffer, someResources } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const MINE = 'f000000000001';
const OTHER = 'f000000000002';
const before = aLedger({
  offers: [anOffer({ id: '1-1-1' }), anOffer({ id: '1-1-2' }), anOffer({ id: '1-1-3', framework: OTHER })],
});

function aFilter(offer: string, because: OfferFilter['because'], framework = MINE): OfferFilter {
  const refused = someResources();
  return { framework, role: 'default', generation: 0, offer, refused, sinceMs: 0, untilMs: 1, because, times: 1 };
}

function launched(ledger: Ledger, framework: string): Ledger {
  const task = launchedTask(framework, 'one');
  return addEntries(ledger, [anEntry(aJob(), task, { framework })]);
}

describe('an offer that a ledger no longer holds', () => {
  it.each<[string, Ledger | null, string[]]>([
    ['was withdrawn', endOffers(before, ['1-1-1']), ['1-1-1 withdrawn']],
    ['has expired', endOffers(before, ['1-1-1'], [aFilter('1-1-1', 'expired')]), ['1-1-1 expired']],
    ['was declined', endOffers(before, ['1-1-1'], [aFilter('1-1-1', 'declined')]), []],
    ['was accepted in part', endOffers(before, ['1-1-1'], [aFilter('1-1-1', 'unused')]), []],
    ['was accepted with others', endOffers(before, ['1-1-1', '1-1-2'], [aFilter('1-1-1', 'unused')]), []],
    ['was used up', launched(endOffers(before, ['1-1-1']), MINE), []],
    [
      'was withdrawn while another framework answered',
      launched(endOffers(before, ['1-1-1', '1-1-3']), OTHER),
      ['1-1-1 withdrawn'],
    ],
    ['was withdrawn with its node', null, ['1-1-1 withdrawn', '1-1-2 withdrawn', '1-1-3 withdrawn']],
  ])('%s', (_name, after, expected) => {
    const ended = endedOffers({ before, after });
    expect(ended.map(({ offer, because }) => `${offer} ${because}`)).toEqual(expected);
  });

  it('is not taken for answered by a filter that stood before', () => {
    const filtered = { ...before, filters: [aFilter('1-0-0', 'declined')] };
    expect(endedOffers({ before: filtered, after: endOffers(filtered, ['1-1-1']) })).toHaveLength(1);
  });
});

describe('what frameworks hold', () => {
  it('follows the ledgers, and says whose offers have moved', () => {
    const offers = new FrameworkOffers([before]);
    const held = (id: string) => [...offers.of(id).keys()];
    expect([held(MINE), held(OTHER)]).toEqual([['1-1-1', '1-1-2'], ['1-1-3']]);
    const after = endOffers(before, ['1-1-3']);
    expect([...offers.changed({ before, after })]).toEqual([OTHER]);
    expect(held(OTHER)).toEqual([]);
    expect([...offers.changed({ before: after, after: { ...after, eligible: false } })]).toEqual([]);
    const elsewhere = aLedger({ node: 'edge-2', offers: [anOffer({ id: '1-2-0' })] });
    expect([...offers.changed({ before: null, after: elsewhere })]).toEqual([MINE]);
    expect(offers.of(MINE).get('1-2-0')?.node).toBe('edge-2');
    expect([...offers.changed({ before: after, after: null })]).toEqual([MINE]);
    expect(held(MINE)).toEqual(['1-2-0']);
  });
});
