import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changesBetween, describeChange } from '../../../control-plane/cli/spec-diff.ts';

describe('the changes between two versions', () => {
  it('name each place that differs', () => {
    const before = { name: 'a', groups: [{ count: 1, env: { A: '1', B: '2' } }], labels: {} };
    const after = { name: 'a', groups: [{ count: 3, env: { A: '1', 'C/D': '3' } }], labels: {} };
    expect(changesBetween(before, after).map(describeChange)).toEqual([
      '~ /groups/0/count: 1 → 3',
      '- /groups/0/env/B: "2"',
      '+ /groups/0/env/C~1D: "3"',
    ]);
  });

  it('show a whole value where its kind changed', () => {
    expect(changesBetween({ a: [1] }, { a: { 0: 1 } })).toEqual([{ path: '/a', before: [1], after: { 0: 1 } }]);
  });

  it('are none exactly when the two are equal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        // Absence and null are told apart by paths, not by values; JSON has no other difference than its text.
        expect(changesBetween(a, JSON.parse(JSON.stringify(a)))).toEqual([]);
        if (JSON.stringify(a) === JSON.stringify(b)) expect(changesBetween(a, b)).toEqual([]);
      }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), fc.string(), fc.integer(), (spec, name, value) => {
        fc.pre(spec[name] !== value && name !== '__proto__');
        expect(changesBetween(spec, { ...spec, [name]: value })).toHaveLength(1);
      }),
    );
  });
});
