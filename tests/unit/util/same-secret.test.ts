import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSameSecret } from '../../../shared/util/same-secret.ts';

describe('secrets', () => {
  it.each([
    ['', '', true],
    ['a', 'a', true],
    ['a', 'b', false],
    ['a', 'aa', false],
    ['', 'a', false],
    ['prefix-1', 'prefix-2', false],
    ['\u00e9', 'e\u0301', false],
  ])('%j and %j are the same: %s', (given, expected, isSame) => {
    expect(isSameSecret(given, expected)).toBe(isSame);
  });

  it('are the same exactly where their texts are', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => isSameSecret(a, b) === (a === b) && isSameSecret(a, a)));
  });
});
