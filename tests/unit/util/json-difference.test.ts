import { describe, expect, it } from 'vitest';
import { differingPointers } from '../../../shared/util/json-difference.ts';

describe('where two values differ', () => {
  it.each<[string, unknown, unknown, string[]]>([
    ['nothing', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, []],
    ['in the order of members', { a: 1, b: 2 }, { b: 2, a: 1 }, []],
    ['a member', { a: { b: 1 }, c: 3 }, { a: { b: 2 }, c: 3 }, ['/a/b']],
    ['a member that only one has', { a: 1 }, { b: 1 }, ['/a', '/b']],
    ['an undefined member, which is none', { a: undefined }, {}, []],
    ['an item of lists as long as each other', { a: [1, 2] }, { a: [1, 3] }, ['/a/1']],
    ['lists of other lengths', { a: [1, 2] }, { a: [1] }, ['/a']],
    ['a list and an object', { a: ['x'] }, { a: { 0: 'x' } }, ['/a']],
    ['null and an object', { a: null }, { a: { b: 1 } }, ['/a']],
    ['names with slashes and tildes', { 'a/b~': 1 }, { 'a/b~': 2 }, ['/a~1b~0']],
    ['the name of what every object has', {}, { constructor: 1 }, ['/constructor']],
    ['the whole', 1, 2, ['']],
    [
      'what is deeper than it is told of',
      { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } },
      { a: { b: { c: { d: { e: { f: { g: 2 } } } } } } },
      ['/a/b/c/d/e/f'],
    ],
  ])('%s', (_name, before, after, pointers) => {
    expect(differingPointers(before, after)).toEqual(pointers);
  });
});
