import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Bounds,
  boundsOf,
  type ExchangeState,
  nextExchange,
} from '../../../../control-plane/reconcile/service/upgrade.ts';

describe('bounds', () => {
  test.each<[number, number, number, boolean, Bounds]>([
    // count, minHealthy, maxOver, stop first
    [10, 1, 0.25, false, { healthyMin: 10, liveMax: 12 }],
    [10, 0.5, 0, false, { healthyMin: 5, liveMax: 10 }],
    [3, 0.5, 0.7, false, { healthyMin: 2, liveMax: 5 }],
    // The floats say 5.1, 7.000000000000001 and 3.3000000000000003.
    [3, 0.9, 0.7, false, { healthyMin: 3, liveMax: 5 }],
    [10, 0.7, 0, false, { healthyMin: 7, liveMax: 10 }],
    [10, 0.1, 0.1, false, { healthyMin: 1, liveMax: 11 }],
    // No room to move, so there is one more …
    [4, 1, 0, false, { healthyMin: 4, liveMax: 5 }],
    [1, 1, 0.25, false, { healthyMin: 1, liveMax: 2 }],
    [1, 0.5, 0.5, false, { healthyMin: 1, liveMax: 2 }],
    // … or one less where an old one has to go first.
    [4, 1, 0.5, true, { healthyMin: 3, liveMax: 4 }],
    [1, 1, 1, true, { healthyMin: 0, liveMax: 1 }],
    [4, 0.5, 0, true, { healthyMin: 2, liveMax: 4 }],
    [0, 1, 1, true, { healthyMin: 0, liveMax: 0 }],
  ])('of %d with %d healthy and %d over, stop first: %s', (count, minHealthy, maxOver, isStopFirst, bounds) => {
    expect(boundsOf(count, { minHealthy, maxOver }, { isStopFirst })).toEqual(bounds);
  });
});

function state(count: number, fresh: [number, number], old: [number, number, number], ending = 0): ExchangeState {
  return {
    count,
    fresh: { counting: fresh[0], coming: fresh[1] },
    old: { ready: old[0], unready: old[1], unplaced: old[2] },
    ending,
  };
}

describe('the next step', () => {
  const tenToTwelve = { healthyMin: 10, liveMax: 12 };
  test.each<[string, ExchangeState, Bounds, number | undefined, [number, number, number, number]]>([
    // start, stop ready, stop unready, surplus
    ['begins with what may be over', state(10, [0, 0], [10, 0, 0]), tenToTwelve, undefined, [2, 0, 0, 0]],
    ['waits for new ones', state(10, [0, 2], [10, 0, 0]), tenToTwelve, undefined, [0, 0, 0, 0]],
    ['exchanges old ones for new ones that count', state(10, [2, 0], [10, 0, 0]), tenToTwelve, undefined, [0, 2, 0, 0]],
    ['counts what is ending as live', state(10, [2, 0], [8, 0, 0], 2), tenToTwelve, undefined, [0, 0, 0, 0]],
    ['goes on when they have ended', state(10, [2, 0], [8, 0, 0]), tenToTwelve, undefined, [2, 0, 0, 0]],
    ['stops the last old ones', state(10, [10, 0], [2, 0, 0]), tenToTwelve, undefined, [0, 2, 0, 0]],
    ['has nothing more to do', state(10, [10, 0], [0, 0, 0]), tenToTwelve, undefined, [0, 0, 0, 0]],
    [
      'makes room first where nothing may be over',
      state(10, [0, 0], [10, 0, 0]),
      { healthyMin: 5, liveMax: 10 },
      undefined,
      [0, 5, 0, 0],
    ],
    ['keeps to what may be coming', state(10, [0, 1], [10, 0, 0]), { healthyMin: 5, liveMax: 15 }, 3, [2, 5, 0, 0]],
    [
      'makes all at once where nothing is exchanged',
      state(10, [0, 1], [0, 0, 0]),
      { healthyMin: 10, liveMax: 11 },
      3,
      [9, 0, 0, 0],
    ],
    [
      'stops the unhealthy first',
      state(10, [0, 0], [8, 2, 0]),
      { healthyMin: 5, liveMax: 10 },
      undefined,
      [0, 3, 2, 0],
    ],
    [
      'gets on though nothing old works',
      state(4, [0, 0], [0, 4, 0]),
      { healthyMin: 2, liveMax: 4 },
      undefined,
      [0, 0, 2, 0],
    ],
    [
      'does not tear all of it down for that',
      state(4, [0, 2], [0, 2, 0]),
      { healthyMin: 2, liveMax: 4 },
      undefined,
      [0, 0, 0, 0],
    ],
    [
      'takes one more of what does not work for each new one',
      state(4, [2, 0], [0, 4, 0]),
      { healthyMin: 4, liveMax: 6 },
      undefined,
      [0, 0, 2, 0],
    ],
    ['makes what is missing', state(5, [3, 0], [0, 0, 0]), { healthyMin: 5, liveMax: 6 }, undefined, [2, 0, 0, 0]],
    ['drops what is too much', state(3, [4, 1], [0, 0, 0]), { healthyMin: 3, liveMax: 4 }, undefined, [0, 0, 0, 2]],
    ['scales down with old ones', state(5, [0, 0], [10, 0, 0]), { healthyMin: 5, liveMax: 6 }, undefined, [0, 5, 0, 0]],
    [
      'makes no more for what never had a place than there is room for if it gets one first',
      state(2, [0, 0], [0, 0, 2]),
      { healthyMin: 2, liveMax: 3 },
      undefined,
      [1, 0, 0, 0],
    ],
  ])('%s', (_what, from, bounds, comingMax, [start, stopReady, stopUnready, surplus]) => {
    expect(nextExchange(from, bounds, comingMax)).toEqual({ start, stopReady, stopUnready, surplus });
  });
});

const shares = fc.integer({ min: 0, max: 20 }).map((twentieth) => twentieth / 20);
const policies = fc.record({ count: fc.nat(40), minHealthy: shares, maxOver: shares, isStopFirst: fc.boolean() });

describe('whatever there is', () => {
  const states = fc.record({
    fresh: fc.record({ counting: fc.nat(50), coming: fc.nat(50) }),
    old: fc.record({ ready: fc.nat(50), unready: fc.nat(50), unplaced: fc.nat(5) }),
    ending: fc.nat(20),
  });

  test('what is stopped leaves enough that work, and what is started is never too much', () => {
    fc.assert(
      fc.property(policies, states, fc.option(fc.nat(5), { nil: undefined }), (policy, some, comingMax) => {
        const bounds = boundsOf(policy.count, policy, policy);
        const step = nextExchange({ count: policy.count, ...some }, bounds, comingMax);
        const trimmed = Math.max(0, step.surplus - some.fresh.coming);
        const before = some.fresh.counting + some.old.ready;
        const left = before - step.stopReady - trimmed;
        if (step.stopReady + trimmed > 0) expect(left).toBeGreaterThanOrEqual(bounds.healthyMin);
        const { fresh, old, ending } = some;
        const live = fresh.counting + fresh.coming + old.ready + old.unready + old.unplaced + ending;
        if (step.start > 0) expect(live + step.start).toBeLessThanOrEqual(bounds.liveMax);
        for (const [stopped, of] of [
          [step.stopReady, some.old.ready],
          [step.stopUnready, some.old.unready],
        ] as const) {
          expect(stopped).toBeGreaterThanOrEqual(0);
          expect(stopped).toBeLessThanOrEqual(of);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('it ends with what is wanted and nothing else, once new ones become healthy and old ones end', () => {
    fc.assert(
      fc.property(
        policies,
        states,
        fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
        (policy, some, comingMax) => {
          const bounds = boundsOf(policy.count, policy, policy);
          let now: ExchangeState = { count: policy.count, ...some };
          for (let step = 0; step < 300; step += 1) now = settled(applied(now, nextExchange(now, bounds, comingMax)));
          expect(now).toEqual(state(policy.count, [policy.count, 0], [0, 0, 0]));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

function applied(before: ExchangeState, step: ReturnType<typeof nextExchange>): ExchangeState {
  const { fresh, old } = before;
  const dropped = Math.min(step.surplus, fresh.coming);
  return {
    ...before,
    fresh: { counting: fresh.counting - (step.surplus - dropped), coming: fresh.coming - dropped + step.start },
    old: { ready: old.ready - step.stopReady, unready: old.unready - step.stopUnready, unplaced: 0 },
    ending: before.ending + step.surplus + step.stopReady + step.stopUnready,
  };
}

/** What was asked to end has ended, and what was coming has come. */
function settled(now: ExchangeState): ExchangeState {
  return { ...now, fresh: { counting: now.fresh.counting + now.fresh.coming, coming: 0 }, ending: 0 };
}
