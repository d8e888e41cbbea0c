import { describe, expect, it } from 'vitest';
import { endOffers } from '../../../shared/domain/ledger.ts';
import {
  FILTER_SECONDS_MAX,
  LEDGER_FILTERS_BYTES_MAX,
  LEDGER_FILTERS_MAX,
  type OfferFilter,
} from '../../../shared/domain/offer.ts';
import { filterFor, type Refusing, withFilter } from '../../../shared/domain/offer-filters.ts';
import { NO_RESOURCES, type Resources } from '../../../shared/domain/resources.ts';
import { utf8Length } from '../../../shared/util/codec.ts';
import { aFramework, aLedger, anOffer, T0 } from '../../support/builders.ts';

const some = (change: Partial<Resources>): Resources => ({ ...NO_RESOURCES, ...change });

function refusing(change: Partial<Refusing> = {}): Refusing {
  const refused = some({ cpus: 1 });
  return {
    framework: aFramework(),
    role: 'default',
    offer: '1-1-0',
    refused,
    because: 'declined',
    seconds: 5,
    nowMs: T0,
    ...change,
  };
}

function made(filters: readonly OfferFilter[], change: Partial<Refusing> = {}): OfferFilter {
  const filter = filterFor(filters, refusing(change));
  if (filter === null) throw new Error('nothing was refused');
  return filter;
}

describe('a filter', () => {
  it.each([
    ['as long as was asked for', 5, 5000],
    ['a second at least, so that nothing goes back and forth with every round', 0, 1000],
    ['a year at the most', 1e300, FILTER_SECONDS_MAX * 1000],
  ])('lasts %s', (_what, seconds, lengthMs) => {
    expect(made([], { seconds }).untilMs).toBe(T0 + lengthMs);
  });

  it('is of the generation that its role is at', () => {
    const framework = aFramework({ filterGenerations: { default: 3, other: 9 } });
    expect(made([], { framework }).generation).toBe(3);
    expect(made([], { framework, role: 'constructor' }).generation).toBe(0);
  });

  it('is made of nothing where nothing is left', () => {
    expect(filterFor([], refusing({ refused: NO_RESOURCES }))).toBeNull();
    expect(filterFor([], refusing({ refused: some({ ports: [{ first: 1, last: 1 }] }) }))).not.toBeNull();
  });

  it('counts how often in a row an offer of the node ended like this', () => {
    const first = made([]);
    const second = made([first], { nowMs: T0 + 1 });
    expect([first.times, second.times]).toEqual([1, 2]);
    expect(made([second], { because: 'expired', nowMs: T0 + 2 }).times).toBe(1);
    expect(made([second], { role: 'other', nowMs: T0 + 2 }).times).toBe(1);
    const revived = aFramework({ filterGenerations: { default: 1 } });
    expect(made([second], { framework: revived, nowMs: T0 + 2 }).times).toBe(1);
  });
});

describe('the filters of a ledger', () => {
  const small = made([], { refused: some({ cpus: 1 }), seconds: 5, nowMs: T0 - 1 });

  it.each([
    ['one that refuses no more for no longer goes', { refused: some({ cpus: 2 }), seconds: 5 }, 1],
    ['one that refuses something else stays', { refused: some({ memMiB: 64 }), seconds: 5 }, 2],
    ['one that lasts longer stays', { refused: some({ cpus: 2 }), seconds: 4 }, 2],
    ['one of the same answer stays', { refused: some({ cpus: 2 }), nowMs: T0 - 1 }, 2],
    ['one that has ended goes', { refused: some({ memMiB: 64 }), nowMs: T0 + 5000 }, 1],
    ['one of another role stays', { refused: some({ cpus: 2 }), role: 'other' }, 2],
    ["another framework's stays", { refused: some({ cpus: 2 }), framework: aFramework({ id: 'f000000000002' }) }, 2],
    [
      'one that a revive has voided goes',
      { refused: some({ memMiB: 64 }), framework: aFramework({ filterGenerations: { default: 1 } }) },
      1,
    ],
  ])('%s when a new one comes', (_what, change, left) => {
    const added = made([small], { nowMs: T0, ...change });
    const filters = withFilter([small], added);
    expect(filters).toHaveLength(left);
    expect(filters.at(-1)).toBe(added);
  });

  it('are so many at the most, and those that end first go', () => {
    const many = Array.from({ length: LEDGER_FILTERS_MAX }, (_, n) =>
      made([], { framework: aFramework({ id: `f${n}` }), seconds: n === 7 ? 1 : 100 }),
    );
    const filters = withFilter(many, made([], { seconds: 50 }));
    expect(filters).toHaveLength(LEDGER_FILTERS_MAX);
    expect(filters.some(({ framework }) => framework === 'f7')).toBe(false);
  });

  it('take so many bytes at the most, however scattered the ports are', () => {
    const ports = Array.from({ length: 2000 }, (_, n) => ({ first: 2 * n + 1, last: 2 * n + 1 }));
    const filters = [1, 2, 3, 4, 5].reduce<readonly OfferFilter[]>((before, n) => {
      return withFilter(before, made([], { framework: aFramework({ id: `f${n}` }), refused: some({ ports }) }));
    }, []);
    expect(filters.length).toBeGreaterThan(0);
    expect(utf8Length(JSON.stringify(filters))).toBeLessThan(LEDGER_FILTERS_BYTES_MAX + 10);
  });

  it('take the place of the offers that they came of', () => {
    const ledger = aLedger({ offers: [anOffer(), anOffer({ id: '1-1-1' })] });
    const ended = endOffers(ledger, ['1-1-0'], [small]);
    expect(Object.keys(ended.offers)).toEqual(['1-1-1']);
    expect(ended.filters).toEqual([small]);
    expect(ended.assignmentGeneration).toBe(ledger.assignmentGeneration);
  });
});
