import { expect, it } from 'vitest';
import { ScalarNames } from '../../../control-plane/scheduler/amounts.ts';
import { FirstExpiry } from '../../../control-plane/scheduler/first-expiry.ts';
import { sumLedger } from '../../../control-plane/scheduler/ledger-sums.ts';
import { aLedger, anOffer } from '../../support/builders.ts';

const row = (node: string, expiresAtMs: number | null) => {
  const offers = expiresAtMs === null ? [] : [{ ...anOffer({ id: `1-1-${expiresAtMs}` }), expiresAtMs }];
  return sumLedger(aLedger({ node, offers }), new ScalarNames());
};

it('follows the first of all as they come and go', () => {
  const first = new FirstExpiry();
  const [early, alike, late, never] = [row('n1', 10), row('n2', 10), row('n3', 20), row('n4', null)];
  expect(first.of([])).toBe(Number.POSITIVE_INFINITY);
  for (const one of [never, late, early, alike]) first.add(one);
  expect(first.of([never, late, early, alike])).toBe(10);
  first.remove(early);
  expect(first.of([never, late, alike])).toBe(10);
  first.remove(alike);
  expect(first.of([never, late])).toBe(20);
  first.remove(never);
  first.remove(late);
  expect(first.of([])).toBe(Number.POSITIVE_INFINITY);
  first.add(early);
  expect(first.of([early])).toBe(10);
});
