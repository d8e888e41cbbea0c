import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Compare, TRANSACTION_BYTES_MAX, type Write } from '../../../control-plane/store/contract.ts';
import { checkTransaction } from '../../../control-plane/store/limits.ts';
import { type AtomicUnit, packTransactions } from '../../../control-plane/store/transact.ts';
import { InvariantError } from '../../../shared/util/assert.ts';

const compare = (key: string, modRevision = 1): Compare => ({ key, modRevision });
const put = (key: string, bytes = 10): Write => ({ type: 'put', key, value: 'x'.repeat(bytes) });

/** Units that each write keys of their own and share compares, as those of a round do. */
const units = fc.array(
  fc.record({
    writes: fc.integer({ min: 0, max: 40 }),
    own: fc.integer({ min: 0, max: 40 }),
    shared: fc.uniqueArray(fc.nat(30), { maxLength: 10 }),
    bytes: fc.oneof(fc.constant(10), fc.integer({ min: 1000, max: 30_000 })),
  }),
  { maxLength: 40 },
);

const fences = [compare('fence', 9)];

function unitsOf(drawn: typeof units extends fc.Arbitrary<infer T> ? T : never): AtomicUnit[] {
  return drawn.map(({ writes, own, shared, bytes }, index) => ({
    compares: [
      ...Array.from({ length: own }, (_, at) => compare(`own/${index}/${at}`)),
      ...shared.map((at) => compare(`shared/${at}`)),
    ],
    writes: Array.from({ length: writes }, (_, at) => put(`write/${index}/${at}`, bytes)),
  }));
}

test('every unit is carried out whole, in one transaction that a store takes and that compares the fences', () => {
  fc.assert(
    fc.property(units, (drawn) => {
      const all = unitsOf(drawn);
      const packed = packTransactions(all, fences);
      expect(packed.flatMap((transaction) => transaction.units).sort((a, b) => a - b)).toEqual(all.map((_, at) => at));
      for (const transaction of packed) {
        checkTransaction({
          compares: [...transaction.compares, compare('ops/one-more', 0)],
          writes: [...transaction.writes, put('ops/one-more', 100)],
        });
        const inside = transaction.units.flatMap((at) => all[at] ?? []);
        expect(transaction.writes).toEqual(inside.flatMap((unit) => unit.writes));
        expect(transaction.compares[0]).toEqual(fences[0]);
        const wanted = new Set(['fence', ...inside.flatMap((unit) => unit.compares.map(({ key }) => key))]);
        expect(transaction.compares.map(({ key }) => key)).toEqual([...wanted]);
      }
    }),
  );
});

test('no two transactions would have fitted into one', () => {
  fc.assert(
    fc.property(units, (drawn) => {
      const all = unitsOf(drawn);
      const packed = packTransactions(all, fences);
      for (const [at, later] of packed.entries()) {
        const first = later.units[0];
        for (const earlier of packed.slice(0, at)) {
          const together = [...earlier.units, first].flatMap((position) => all[position ?? -1] ?? []);
          expect(() => packTransactions([merge(together)], fences)).toThrow(InvariantError);
        }
      }
    }),
    { numRuns: 30 },
  );
});

function merge(parts: readonly AtomicUnit[]): AtomicUnit {
  const compares = new Map(parts.flatMap((unit) => unit.compares.map((one) => [one.key, one] as const)));
  return { compares: [...compares.values()], writes: parts.flatMap((unit) => unit.writes) };
}

describe('what cannot be packed is a bug of the caller', () => {
  test.each<[string, AtomicUnit[]]>([
    ['key a is written by two units', [1, 2].map(() => ({ compares: [], writes: [put('a')] }))],
    ['key a is compared at revisions 1 and 2', [1, 2].map((at) => ({ compares: [compare('a', at)], writes: [] }))],
    ['key fence is compared at revisions 9 and 8', [{ compares: [compare('fence', 8)], writes: [] }]],
    ['fits no transaction', [{ compares: [], writes: Array.from({ length: 128 }, (_, at) => put(`w${at}`)) }]],
    ['fits no transaction', [{ compares: Array.from({ length: 127 }, (_, at) => compare(`c${at}`)), writes: [] }]],
    ['fits no transaction', [{ compares: [], writes: [put('large', TRANSACTION_BYTES_MAX)] }]],
  ])('%s', (message, all) => {
    expect(() => packTransactions(all, fences)).toThrow(InvariantError);
    expect(() => packTransactions(all, fences)).toThrow(message);
  });
});

test('nothing to do is no transaction', () => {
  expect(packTransactions([], fences)).toEqual([]);
});
