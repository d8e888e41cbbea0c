/** Planted bugs are looked for in several files, so that they are looked for side by side. */
import { describe, expect, it } from 'vitest';
import { type BugName, PLANTED_BUGS, plantedBug } from '../planted-bugs.ts';
import { simulate } from '../simulate.ts';

const STEPS = 6000;
/** A bug that takes many seeds takes many runs, and the machine may be busy. */
const TIMEOUT_MS = 240_000;

/** Every `of`-th of the planted bugs, from the one at `place` on, shows in as many seeds as it says. */
export function testPlantedBugs({ place, of }: { readonly place: number; readonly of: number }): void {
  const names = (Object.keys(PLANTED_BUGS) as BugName[]).filter((_, at) => at % of === place);
  describe('planted bugs are found', () => {
    it.each(names)(
      '%s',
      async (name) => {
        const { breaks, seedsMax } = plantedBug(name);
        for (let seed = 1; seed <= seedsMax; seed++) {
          const { violation } = await simulate({ seed, steps: STEPS, bug: name });
          if (violation === null) continue;
          expect(breaks, violation.message).toContain(violation.invariant);
          return;
        }
        expect.unreachable(`${name} was not found in ${seedsMax} seeds`);
      },
      TIMEOUT_MS,
    );
  });
}
