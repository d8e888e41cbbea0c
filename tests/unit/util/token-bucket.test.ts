import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bucket, giveTokenBack, takeToken } from '../../../shared/util/token-bucket.ts';

const RATE = { perSecond: 2, burst: 3 };

describe('a bucket', () => {
  it.each<[what: string, before: Bucket | null, nowMs: number, left: number]>([
    ['that nobody has taken from is full', null, 1000, 2],
    ['gives its last one', { tokens: 1, atMs: 1000 }, 1000, 0],
    ['fills at its rate', { tokens: 0, atMs: 1000 }, 1500, 0],
    ['keeps parts of a token', { tokens: 0.5, atMs: 1000 }, 1500, 0.5],
    ['is never fuller than full', { tokens: 2, atMs: 1000 }, 60_000, 2],
    ['takes a clock that stepped back for one that stands', { tokens: 1, atMs: 1000 }, 10, 0],
  ])('%s', (_what, before, nowMs, left) => {
    expect(takeToken(before, RATE, nowMs)).toMatchObject({ allowed: true, bucket: { tokens: left } });
  });

  it.each<[before: Bucket, nowMs: number, retryAfterMs: number]>([
    [{ tokens: 0, atMs: 1000 }, 1000, 500],
    [{ tokens: 0.5, atMs: 1000 }, 1000, 250],
    [{ tokens: 0, atMs: 1000 }, 1400, 100],
    [{ tokens: 0, atMs: 1000 }, 900, 500],
  ])('of %j refuses at %i, and says for how long', (before, nowMs, retryAfterMs) => {
    expect(takeToken(before, RATE, nowMs)).toMatchObject({ allowed: false, retryAfterMs });
  });

  it('gives back what was taken for nothing, up to its brim', () => {
    expect(giveTokenBack({ tokens: 1, atMs: 1000 }, RATE, 1000).tokens).toBe(2);
    expect(giveTokenBack({ tokens: 3, atMs: 1000 }, RATE, 1000).tokens).toBe(3);
    expect(giveTokenBack({ tokens: 0, atMs: 1000 }, RATE, 1500).tokens).toBe(2);
  });
});

const rates = fc.record({ perSecond: fc.integer({ min: 1, max: 1000 }), burst: fc.integer({ min: 1, max: 1000 }) });
const steps = fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 200 });

function allowedAt(rate: { perSecond: number; burst: number }, stepsMs: readonly number[]): number[] {
  let [bucket, nowMs]: [Bucket | null, number] = [null, 0];
  return stepsMs.flatMap((stepMs) => {
    nowMs += stepMs;
    const taken = takeToken(bucket, rate, nowMs);
    bucket = taken.bucket;
    return taken.allowed ? [nowMs] : [];
  });
}

describe('whatever is asked when', () => {
  it('no stretch of time sees more than a full bucket and what came in meanwhile', () => {
    fc.assert(
      fc.property(rates, steps, (rate, stepsMs) => {
        const allowed = allowedAt(rate, stepsMs);
        allowed.forEach((fromMs, first) => {
          allowed.slice(first).forEach((toMs, count) => {
            expect(count + 1).toBeLessThanOrEqual(rate.burst + ((toMs - fromMs) * rate.perSecond) / 1000 + 1e-6);
          });
        });
      }),
      { numRuns: 60 },
    );
  });

  it('who waits as long as it is told gets one', () => {
    fc.assert(
      fc.property(rates, steps, (rate, stepsMs) => {
        let [bucket, nowMs]: [Bucket | null, number] = [null, 0];
        for (const stepMs of stepsMs) {
          nowMs += stepMs;
          const taken = takeToken(bucket, rate, nowMs);
          if (!taken.allowed) {
            nowMs += taken.retryAfterMs;
            const again = takeToken(taken.bucket, rate, nowMs);
            expect(again.allowed).toBe(true);
            bucket = again.bucket;
          } else bucket = taken.bucket;
        }
      }),
    );
  });
});
