import { describe, expect, it } from 'vitest';
import { type Random, randomId } from '../../../shared/util/random.ts';

/** Bytes that count up from a start. */
const counting = (start: number): Random => ({
  next: () => 0,
  bytes: (length) => Uint8Array.from({ length }, (_, place) => start + place),
});

describe('randomId', () => {
  it('has the length that was asked for, 16 by default', () => {
    expect(randomId(counting(0))).toHaveLength(16);
    expect(randomId(counting(0), 5)).toHaveLength(5);
  });

  it('uses 32 letters that no reader mistakes, each as often', () => {
    const once = randomId(counting(0), 32);
    expect(new Set(once).size).toBe(32);
    expect(once).toMatch(/^[0-9a-hjkmnp-tv-z]+$/);
    expect(randomId(counting(224), 32)).toBe(once);
  });
});
