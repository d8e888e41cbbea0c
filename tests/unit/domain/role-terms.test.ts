import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import { ancestorsOf, type ScalarAmounts } from '../../../shared/domain/role.ts';
import {
  heldOver,
  isScalarName,
  overpromised,
  promisedBesideReserved,
  promisedInAll,
  promisedTo,
  type RoleTable,
  termsFaults,
} from '../../../shared/domain/role-terms.ts';

interface Terms {
  readonly limit?: ScalarAmounts;
  readonly guarantee?: ScalarAmounts;
}

function table(roles: Readonly<Record<string, Terms>>): RoleTable {
  return new Map(
    Object.entries(roles).map(([path, { limit = {}, guarantee = {} }]) => [path, { limit, guarantee }] as const),
  );
}

describe('names of scalars', () => {
  it.each(['cpus', 'memMiB', 'diskMiB', 'gpus', 'fpga', 'constructor'])('%s is one', (name) =>
    expect(isScalarName(name)).toBe(true),
  );
  it.each(['ports', 'MemMiB', '', 'a b', '__proto__'])('%j is none', (name) => expect(isScalarName(name)).toBe(false));
});

describe('what is promised to a role', () => {
  it.each<[string, Readonly<Record<string, Terms>>, ScalarAmounts]>([
    ['nothing', {}, {}],
    ['its own guarantee', { a: { guarantee: { cpus: 4 } } }, { cpus: 4 }],
    [
      'what its children are promised',
      { 'a/b': { guarantee: { cpus: 4 } }, 'a/c': { guarantee: { cpus: 1.5 } } },
      { cpus: 5.5 },
    ],
    [
      'its own, of which its children have theirs',
      { a: { guarantee: { cpus: 8 } }, 'a/b': { guarantee: { cpus: 4 } } },
      { cpus: 8 },
    ],
    [
      'of each scalar one or the other',
      { a: { guarantee: { cpus: 8 } }, 'a/b/c': { guarantee: { cpus: 4, gpus: 1 } } },
      { cpus: 8, gpus: 1 },
    ],
    ['nothing of what is beside it', { b: { guarantee: { cpus: 4 } }, ab: { guarantee: { cpus: 4 } } }, {}],
  ])('is %s', (_name, roles, expected) => {
    expect(promisedTo(table(roles), 'a')).toEqual(expected);
  });

  it('is summed over the roles at the top, for all together', () => {
    const roles = table({
      a: { guarantee: { cpus: 8 } },
      'a/b': { guarantee: { cpus: 8, fpga: 1 } },
      'c/d': { guarantee: { cpus: 0.1 } },
    });
    expect(promisedInAll(roles)).toEqual({ cpus: 8.1, fpga: 1 });
  });
});

describe('terms that contradict each other', () => {
  it.each<[string, Readonly<Record<string, Terms>>, string, string]>([
    [
      'a guarantee above its limit',
      { a: { limit: { cpus: 4 }, guarantee: { cpus: 4.001 } } },
      '/limit/cpus',
      'less than the 4.001 that it is promised',
    ],
    [
      'a guarantee above the limit of a role above',
      { r: { limit: { gpus: 1 } }, 'r/x/a': { guarantee: { gpus: 2 } } },
      '/guarantee/gpus',
      'beyond its limit of 1',
    ],
    [
      'with its siblings more than their parent',
      { r: { guarantee: { cpus: 10 } }, 'r/b': { guarantee: { cpus: 4 } }, 'r/a': { guarantee: { cpus: 7 } } },
      '/guarantee/cpus',
      'to 11, and "r" itself has a guarantee of 10',
    ],
    [
      'a guarantee below that of its children',
      { a: { guarantee: { cpus: 5 } }, 'a/b/c': { guarantee: { cpus: 6 } } },
      '/guarantee/cpus',
      'less than the 6 that the roles below "a" are promised',
    ],
    [
      'a limit below what its children are promised',
      { a: { limit: { cpus: 5 } }, 'a/b': { guarantee: { cpus: 6 } } },
      '/limit/cpus',
      'the roles below "a" are promised',
    ],
  ])('%s', (_name, roles, path, message) => {
    const changed = Object.keys(roles).find((each) => each === 'a' || each.endsWith('/a')) ?? '';
    expect(termsFaults(table(roles), changed)).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  it.each<[string, Readonly<Record<string, Terms>>]>([
    ['a guarantee as high as its limit', { a: { limit: { cpus: 4 }, guarantee: { cpus: 4 } } }],
    ['a limit of what has no guarantee', { a: { limit: { cpus: 0 }, guarantee: { gpus: 4 } } }],
    [
      'a guarantee where the parent has none of that scalar',
      { r: { guarantee: { gpus: 1 } }, 'r/a': { guarantee: { cpus: 4 } } },
    ],
    [
      'all that the parent has',
      { r: { guarantee: { cpus: 0.3 } }, 'r/a': { guarantee: { cpus: 0.1 } }, 'r/b': { guarantee: { cpus: 0.2 } } },
    ],
    [
      'what contradicts itself elsewhere',
      { b: { limit: { cpus: 1 }, guarantee: { cpus: 2 } }, a: { guarantee: { cpus: 1 } } },
    ],
    ['a limit above that of the parent', { r: { limit: { cpus: 1 } }, 'r/a': { limit: { cpus: 2 } } }],
  ])('%s does not', (_name, roles) => {
    const changed = Object.keys(roles).find((each) => each === 'a' || each.endsWith('/a')) ?? '';
    expect(termsFaults(table(roles), changed)).toEqual([]);
  });

  const paths = ['a', 'a/b', 'a/c', 'a/b/c', 'd', 'd/e'];
  const amounts = fc.record(
    { cpus: fc.integer({ min: 0, max: 6 }), gpus: fc.integer({ min: 0, max: 3 }) },
    { requiredKeys: [] },
  );
  const change = fc.record({
    path: fc.constantFrom(...paths),
    limit: amounts,
    guarantee: amounts,
    isUnset: fc.boolean(),
  });

  it('never come about by changes of which none is at fault: every promise fits into all limits and guarantees above it', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 25 }), (changes) => {
        let roles: RoleTable = new Map();
        for (const { path, isUnset, limit, guarantee } of changes) {
          const after = new Map(roles);
          if (isUnset) after.delete(path);
          else after.set(path, { limit, guarantee });
          if (isUnset || termsFaults(after, path).length === 0) roles = after;
        }
        for (const path of paths) {
          const promised = promisedTo(roles, path);
          for (const level of [path, ...ancestorsOf(path)]) {
            for (const name of Object.keys(promised)) {
              expect(promised[name]).toBeLessThanOrEqual(roles.get(level)?.limit[name] ?? Number.POSITIVE_INFINITY);
              expect(promised[name]).toBeLessThanOrEqual(roles.get(level)?.guarantee[name] ?? Number.POSITIVE_INFINITY);
            }
          }
        }
      }),
    );
  });
});

describe('a promise that the nodes are too small for', () => {
  const total = { ...NO_SCALARS, cpus: 10, custom: { fpga: 1 } };

  it.each<[string, Terms, ScalarAmounts, object[]]>([
    ['is told with what there is', {}, { cpus: 7 }, [{ name: 'cpus', asked: 11, there: 10 }]],
    ['is none when it fits exactly', {}, { cpus: 6 }, []],
    ['counts what operators declared', {}, { fpga: 2 }, [{ name: 'fpga', asked: 2, there: 1 }]],
    ['is nothing new where no more is asked for than before', { guarantee: { cpus: 9 } }, { cpus: 8 }, []],
    ['is new where more is', { guarantee: { cpus: 8 } }, { cpus: 9 }, [{ name: 'cpus', asked: 13, there: 10 }]],
  ])('%s', (_name, before, guarantee, expected) => {
    const others = { ops: { guarantee: { cpus: 4 } } };
    expect(overpromised(table({ ...others, eng: before }), table({ ...others, eng: { guarantee } }), total)).toEqual(
      expected,
    );
  });
});

describe('a promise beside what is reserved', () => {
  const total = { ...NO_SCALARS, cpus: 10 };

  it.each<[string, Terms, Terms, Readonly<Record<string, ScalarAmounts>>, object[]]>([
    ['has room', {}, { guarantee: { cpus: 4 } }, { greedy: { cpus: 6 } }, []],
    [
      'has none',
      {},
      { guarantee: { cpus: 4 } },
      { greedy: { cpus: 5 }, ops: { cpus: 2 } },
      [{ name: 'cpus', asked: 11, there: 10 }],
    ],
    ['counts what is reserved for the role itself', {}, { guarantee: { cpus: 4 } }, { eng: { cpus: 7 } }, []],
    [
      'counts what is reserved below it',
      {},
      { guarantee: { cpus: 8 } },
      { 'eng/ml': { cpus: 3 }, ops: { cpus: 2 } },
      [],
    ],
    [
      'counts all of it where it is more than promised',
      {},
      { guarantee: { cpus: 4 } },
      { eng: { cpus: 3 }, 'eng/ml': { cpus: 3 }, ops: { cpus: 5 } },
      // Reserved, not promised: the promise itself takes nothing from anybody.
      [],
    ],
    ['was there before', { guarantee: { cpus: 6 } }, { guarantee: { cpus: 6 } }, { greedy: { cpus: 6 } }, []],
    [
      'takes more than before',
      { guarantee: { cpus: 6 } },
      { guarantee: { cpus: 7 } },
      { greedy: { cpus: 6 } },
      [{ name: 'cpus', asked: 13, there: 10 }],
    ],
  ])('%s', (_name, before, after, reserved, expected) => {
    const promisable = { total, reserved: new Map(Object.entries(reserved)) };
    expect(promisedBesideReserved(table({ eng: before }), table({ eng: after }), promisable)).toEqual(expected);
  });
});

describe('a limit below what is held', () => {
  const held = { ...NO_SCALARS, cpus: 4, gpus: 1 };

  it.each<[string, ScalarAmounts, ScalarAmounts, object[]]>([
    ['is told with what is held', {}, { cpus: 3 }, [{ name: 'cpus', asked: 3, there: 4 }]],
    ['is none when all fits', {}, { cpus: 4, gpus: 1 }, []],
    ['is nothing new where it stood before', { cpus: 3 }, { cpus: 3 }, []],
    ['is nothing new where it is raised', { cpus: 2 }, { cpus: 3 }, []],
    ['is new where it is lowered further', { cpus: 3 }, { cpus: 2 }, [{ name: 'cpus', asked: 2, there: 4 }]],
  ])('%s', (_name, before, limit, expected) => {
    expect(heldOver(before, limit, held)).toEqual(expected);
  });
});
