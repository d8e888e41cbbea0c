import { describe, expect, it } from 'vitest';
import { type CutOffResult, simulateCutOffs } from './cut-offs.ts';
import { SLEEPING_DEAD_MAN } from './planted-bugs.ts';
import { NO_BUG } from './plants/plant.ts';

const RUN_MS = 900_000;
/** In the last one a copy reports a task as killed that runs on. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 26];
/** A planted bug has to show in one of so many seeds. */
const SEEDS_TO_FIND_MAX = 4;

describe('nodes that are cut off for long', () => {
  it('never run two of a task at a time where that is asked for, and tasks go on elsewhere', async () => {
    const results: CutOffResult[] = [];
    for (const seed of SEEDS) {
      const result = await simulateCutOffs(seed, RUN_MS, NO_BUG);
      expect(result.violations, `seed ${seed}`).toEqual([]);
      results.push(result);
    }
    const sum = (pick: (result: CutOffResult) => number) => results.reduce((total, result) => total + pick(result), 0);
    expect(sum(({ givenUp }) => givenUp)).toBeGreaterThan(20);
    expect(sum(({ stoppedByNode }) => stoppedByNode)).toBeGreaterThan(20);
    expect(sum(({ unseen }) => unseen)).toBeGreaterThan(5);
    expect(sum(({ starts }) => starts)).toBeGreaterThan(100);
  });

  it('would, were nobody outside of the agent to stop them', async () => {
    for (let seed = 1; seed <= SEEDS_TO_FIND_MAX; seed += 1) {
      const { violations } = await simulateCutOffs(seed, RUN_MS, SLEEPING_DEAD_MAN);
      if (violations.length === 0) continue;
      expect(violations[0]?.invariant).toBe(5);
      return;
    }
    expect.unreachable(`not found in ${SEEDS_TO_FIND_MAX} seeds`);
  });
});
