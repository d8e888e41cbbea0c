import { describe, expect, it } from 'vitest';
import {
  admitsPeer,
  describePeerRefusal,
  mostByRule,
  type PeerCounts,
  type PeerRule,
  peerRulesOf,
} from '../../../control-plane/scheduler/peer-rules.ts';
import { pointsOf } from '../../../control-plane/scheduler/preferences.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import { present } from '../../../shared/util/assert.ts';

type Counted = Readonly<Record<string, number>>;

/** `possible`: values of which there are nodes; those that have tasks unless it is given. */
function counts(counted: Counted, { wanted = 10, possible = Object.keys(counted) } = {}): PeerCounts {
  const byValue = new Map(Object.entries(counted));
  const all = [...byValue.values()];
  const of = (value: string) => byValue.get(value) ?? 0;
  return {
    of,
    byValue,
    least: all.length === 0 ? 0 : Math.min(...all),
    possible: new Set(possible),
    leastPossible: possible.length === 0 ? 0 : Math.min(...possible.map(of)),
    first: [...byValue.keys()][0] ?? null,
    wanted,
  };
}

function rule(change: Omit<Constraint, 'attribute'>): PeerRule {
  return present(peerRulesOf([{ attribute: 'zone', ...change }], {})[0], 'a rule');
}

const unique = rule({ operator: 'unique' });
const cluster = rule({ operator: 'cluster' });
const maxPer2 = rule({ operator: 'maxPer', value: '2' });
const groupBy = rule({ operator: 'groupBy' });
const groupBy1 = rule({ operator: 'groupBy', value: '1' });
const groupBy2 = rule({ operator: 'groupBy', value: '2' });
const groupBy3 = rule({ operator: 'groupBy', value: '3' });

/** Asked of a node in zone b. */
const CASES: readonly { name: string; rule: PeerRule; counted: Counted; admits: boolean }[] = [
  { name: 'unique: nothing is there', rule: unique, counted: { a: 1 }, admits: true },
  { name: 'unique: one is there', rule: unique, counted: { b: 1 }, admits: false },
  { name: 'cluster: nothing is placed', rule: cluster, counted: {}, admits: true },
  { name: 'cluster: the first is there', rule: cluster, counted: { b: 3 }, admits: true },
  { name: 'cluster: the first is elsewhere', rule: cluster, counted: { a: 1 }, admits: false },
  { name: 'cluster: only the first counts', rule: cluster, counted: { a: 1, b: 9 }, admits: false },
  { name: 'maxPer: one less', rule: maxPer2, counted: { b: 1 }, admits: true },
  { name: 'maxPer: as many', rule: maxPer2, counted: { b: 2 }, admits: false },
  { name: 'maxPer: elsewhere does not matter', rule: maxPer2, counted: { a: 9 }, admits: true },
  { name: 'groupBy: a new value', rule: groupBy, counted: { a: 1 }, admits: true },
  { name: 'groupBy: it has as few as any', rule: groupBy, counted: { a: 1, b: 1 }, admits: true },
  { name: 'groupBy: another one has fewer', rule: groupBy, counted: { a: 1, b: 2 }, admits: false },
  { name: 'groupBy: values without tasks do not count', rule: groupBy, counted: { b: 5 }, admits: true },
  { name: 'groupBy: nothing is placed', rule: groupBy, counted: {}, admits: true },
  { name: 'groupBy 2: fewer values are in use, and its own is not', rule: groupBy2, counted: { a: 3 }, admits: true },
  { name: 'groupBy 2: fewer values are in use, and its own is', rule: groupBy2, counted: { b: 1 }, admits: false },
  { name: 'groupBy 2: as many, and it has as few', rule: groupBy2, counted: { a: 1, b: 1 }, admits: true },
  { name: 'groupBy 2: as many, and it has more', rule: groupBy2, counted: { a: 1, b: 2 }, admits: false },
  { name: 'groupBy 2: more values than are expected', rule: groupBy2, counted: { a: 1, c: 1 }, admits: true },
  { name: 'groupBy 2: the least of more values', rule: groupBy2, counted: { a: 2, b: 1, c: 1 }, admits: true },
  { name: 'groupBy 2: not the least of more values', rule: groupBy2, counted: { a: 2, b: 2, c: 1 }, admits: false },
  { name: 'groupBy 3: one value too few', rule: groupBy3, counted: { a: 1, b: 1 }, admits: false },
  { name: 'groupBy 1: is as without a number', rule: groupBy1, counted: { b: 5 }, admits: true },
];

describe('rules over where the others are', () => {
  it.each(CASES)('$name: $admits', ({ rule: one, counted, admits }) => {
    expect(admitsPeer(one, 'b', counts(counted))).toBe(admits);
  });

  it.each([unique, cluster, maxPer2, groupBy, groupBy2])('refuse a node without the attribute: $text', (one) => {
    expect(admitsPeer(one, undefined, counts({}))).toBe(false);
  });

  it.each([unique, maxPer2, groupBy2])('take an empty text for a value like any other: $text', (one) => {
    expect(admitsPeer(one, '', counts({ a: 1 }))).toBe(true);
    expect(admitsPeer(one, '', counts({ '': 2, a: 1 }))).toBe(false);
  });

  it.each([
    {
      counted: { b: 1 },
      says: 'has to wait: zone b has 1 task of the group, and "zone groupBy 2" has 2 values used first, of which 1 is in use',
    },
    {
      counted: { a: 1, b: 2 },
      says: 'has to wait: zone b has 2 tasks of the group, and "zone groupBy 2" has those with 1 come first',
    },
  ])('say why a group has to wait: $says', ({ counted, says }) => {
    expect(describePeerRefusal(groupBy2, 'b', counts(counted))).toBe(says);
  });

  it('leave a cluster with a name to the node alone', () => {
    expect(peerRulesOf([{ attribute: 'zone', operator: 'cluster', value: 'b' }], {})).toEqual([]);
  });

  it('are what a spread with a bound asks for', () => {
    const [skew] = peerRulesOf([], { spread: [{ attribute: 'zone', maxSkew: 2, weight: 50 }] });
    const one = present(skew, 'a rule');
    expect(admitsPeer(one, 'b', counts({ a: 1, b: 2 }))).toBe(true);
    expect(admitsPeer(one, 'b', counts({ a: 1, b: 3 }))).toBe(false);
    expect(admitsPeer(one, 'b', counts({ b: 2 }, { possible: ['a', 'b'] }))).toBe(false);
    // Nothing is to be waited for where no node can have any.
    expect(admitsPeer(one, 'b', counts({ a: 0, b: 9 }, { possible: ['b'] }))).toBe(true);
    expect(admitsPeer(one, undefined, counts({}))).toBe(false);
  });

  it('tell how many tasks there could be at all', () => {
    const values = ['a', 'a', 'b'];
    const most = [unique, maxPer2, groupBy, groupBy2, groupBy3, cluster].map((one) => mostByRule(one, values));
    expect(most).toEqual([2, 4, Infinity, Infinity, 2, Infinity]);
    expect(mostByRule(groupBy, [])).toBe(0);
  });
});

describe('points of a spread', () => {
  const evenly = { attribute: 'zone', weight: 60 };
  const shares = {
    ...evenly,
    targets: [
      { value: 'a', percent: 50 },
      { value: 'b', percent: 20 },
    ],
  };
  it.each([
    { name: 'the emptiest', spread: evenly, value: 'a', counted: { a: 1, b: 2, c: 4 }, points: 60 },
    { name: 'one more', spread: evenly, value: 'b', counted: { a: 1, b: 2, c: 4 }, points: 30 },
    { name: 'three more', spread: evenly, value: 'c', counted: { a: 1, b: 2, c: 4 }, points: 15 },
    { name: 'without the attribute', spread: evenly, value: undefined, counted: { a: 1 }, points: -60 },
    { name: 'nothing of its target', spread: shares, value: 'a', counted: {}, points: 60 },
    { name: 'half of its target', spread: shares, value: 'b', counted: { b: 1 }, points: 30 },
    { name: 'its target', spread: shares, value: 'a', counted: { a: 5 }, points: 0 },
    { name: 'twice its target', spread: shares, value: 'b', counted: { b: 4 }, points: -60 },
    { name: 'far beyond it', spread: shares, value: 'b', counted: { b: 40 }, points: -60 },
    { name: 'half of what is left to it', spread: shares, value: 'c', counted: { c: 1.5 }, points: 30 },
  ])('$name: $points', ({ spread, value, counted, points }) => {
    expect(pointsOf(spread, value, counts(counted, { possible: ['a', 'b', 'c'] }))).toBeCloseTo(points, 9);
  });

  it('never pass the weight', () => {
    for (const count of [0, 1, 7, 1000]) {
      for (const spread of [evenly, shares]) {
        expect(Math.abs(pointsOf(spread, 'a', counts({ a: count, b: 3 })))).toBeLessThanOrEqual(60);
      }
    }
  });
});
