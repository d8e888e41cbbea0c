import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, jitteredBackoffMs } from '../../../shared/util/backoff.ts';

const policy = { baseMs: 100, factor: 2, maxMs: 1000 };

describe('backoff', () => {
  it('grows by the factor up to the cap', () => {
    expect([0, 1, 2, 3, 4, 5].map((retry) => backoffMs(policy, retry))).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it('stays at the cap however far it is taken, and at zero where it starts at zero', () => {
    expect(backoffMs({ ...policy, factor: 100 }, 1000)).toBe(1000);
    expect(backoffMs({ ...policy, baseMs: 0, factor: 100 }, 1000)).toBe(0);
    expect(backoffMs(policy, -1)).toBe(100);
  });

  it('is spread over its upper half', () => {
    expect([0, 0.5, 0.999_999].map((chance) => jitteredBackoffMs(policy, 1, chance))).toEqual([100, 150, 200]);
    fc.assert(
      fc.property(fc.nat(2000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (retry, chance) => {
        const full = backoffMs(policy, retry);
        const wait = jitteredBackoffMs(policy, retry, chance);
        expect(wait).toBeGreaterThanOrEqual(full / 2);
        expect(wait).toBeLessThanOrEqual(full);
      }),
    );
  });
});
