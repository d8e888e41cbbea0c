import { describe, expect, it } from 'vitest';
import { PATTERN_LENGTH_MAX, PATTERN_STEPS_MAX, readPattern } from '../../../shared/domain/text-pattern.ts';

describe('a pattern', () => {
  it.each<[string, string, boolean]>([
    ['r[0-9]+', 'r12', true],
    ['r[0-9]+', 'rack r12', false],
    ['r1|r12', 'r12', true],
    ['a.b', 'a\nb', false],
    ['', '', true],
    [String.raw`\Q1.5\E`, '1.5', true],
    [String.raw`\pL+`, 'größe', true],
  ])('%j holds the whole of %j: %s', (text, given, expected) => {
    const pattern = readPattern(text);
    expect(typeof pattern === 'string' ? pattern : pattern.matches(given)).toBe(expected);
  });

  it.each([
    ['(', 'must be a regular expression as RE2 has them: missing closing )'],
    ['(?=a)', 'must be a regular expression as RE2 has them: invalid or unsupported Perl syntax'],
    [String.raw`(a)\1`, 'must be a regular expression as RE2 has them: invalid escape sequence'],
    ['('.repeat(2000), `must be a pattern of at most ${PATTERN_LENGTH_MAX} characters`],
    ['[a-z]{999}', `steps, of ${PATTERN_STEPS_MAX}; repeat less`],
  ])('%.20j is none: %s', (text, why) => expect(readPattern(text)).toContain(why));

  it('takes time in proportion to the text, where others would take for ever', () => {
    const pattern = readPattern('(a+)+(a|aa)+b');
    expect(typeof pattern === 'string' ? pattern : pattern.matches('a'.repeat(100_000))).toBe(false);
  });
});
