import { describe, expect, it } from 'vitest';
import { plantedBug } from './planted-bugs.ts';
import { shrink } from './shrink.ts';
import { type SimulationOptions, type SimulationResult, simulate } from './simulate.ts';

interface Failing {
  readonly options: SimulationOptions;
  readonly failing: SimulationResult;
}

/** Those seeds that fail, from the first on. */
async function* failingRuns(): AsyncGenerator<Failing, void> {
  for (let seed = 1; seed <= plantedBug('fresh-ids').seedsMax; seed++) {
    const options = { seed, steps: 6000, bug: 'fresh-ids' } as const;
    const failing = await simulate(options);
    if (failing.violation !== null) yield { options, failing };
  }
}

async function firstFailing(): Promise<Failing> {
  for await (const run of failingRuns()) return run;
  throw new Error('no seed fails');
}

/** What one run needs to fail may lie so far apart that few trials don't find it: the first of a few that becomes half as long. */
async function firstShrunk(runsMax: number) {
  let runs = 0;
  for await (const run of failingRuns()) {
    const shrunk = await shrink(run.options, run.failing, 60);
    expect(shrunk.trials).toBeLessThanOrEqual(60);
    expect(shrunk.result.violation?.invariant).toBe(run.failing.violation?.invariant);
    runs += 1;
    const isShort = shrunk.result.decisions.length < run.failing.decisions.length / 2;
    if (isShort || runs >= runsMax) return { ...run, shrunk };
  }
  throw new Error('no seed fails');
}

/** Each trial is a run of its own, and the machine may be busy. */
const TIMEOUT_MS = 240_000;

describe('a failing run', () => {
  it(
    'is made much shorter, and still fails in the same way',
    async () => {
      const { failing, shrunk } = await firstShrunk(4);
      expect(shrunk.result.decisions.length).toBeLessThan(failing.decisions.length / 2);
      expect(shrunk.result.steps).toBeLessThan(failing.steps);
      const again = await simulate(shrunk.options);
      expect(again.violation).toEqual(shrunk.result.violation);
      expect(again.traceHash).toBe(shrunk.result.traceHash);
    },
    TIMEOUT_MS,
  );

  it(
    'takes no more trials than it may',
    async () => {
      const { options, failing } = await firstFailing();
      expect((await shrink(options, failing, 5)).trials).toBe(5);
    },
    TIMEOUT_MS,
  );

  it('is one that has failed', async () => {
    const clean = await simulate({ seed: 1, steps: 500 });
    await expect(shrink({ seed: 1, steps: 500 }, clean)).rejects.toThrow('nothing to shrink');
  });
});
