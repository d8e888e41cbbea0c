import { describe, expect, it } from 'vitest';
import { isLater, parsePosition, positionText } from '../../../shared/protocol/position.ts';

describe('a position in the state', () => {
  it.each([
    ['80', { incarnation: 1, revision: 80 }],
    ['1800000000-7', { incarnation: 1_800_000_000, revision: 7 }],
    ['0', { incarnation: 1, revision: 0 }],
  ])('%s is read and written', (text, position) => {
    expect(parsePosition(text)).toEqual(position);
    expect(positionText(position)).toBe(text);
  });

  it.each(['', '-1', '2-', '1.5', '2-80-1', ' 80', '1e3', '1234567890123456'])('"%s" is none', (text) => {
    expect(parsePosition(text)).toBeNull();
  });

  it('is later by its incarnation first, whatever the revisions', () => {
    expect(isLater({ incarnation: 2, revision: 5 }, { incarnation: 1, revision: 90 })).toBe(true);
    expect(isLater({ incarnation: 1, revision: 90 }, { incarnation: 2, revision: 5 })).toBe(false);
    expect(isLater({ incarnation: 2, revision: 6 }, { incarnation: 2, revision: 5 })).toBe(true);
    expect(isLater({ incarnation: 2, revision: 5 }, { incarnation: 2, revision: 5 })).toBe(false);
  });
});
