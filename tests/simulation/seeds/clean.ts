/** Seeds that are run with every test. They are spread over several files, so that they run side by side. */
import { describe, expect, it } from 'vitest';
import { type SimulationResult, simulate } from '../simulate.ts';

export const STEPS = 6000;

/** `count` seeds from `first` on, each of which has to come through without a violation. */
export function testSeeds(first: number, count: number): void {
  const seeds = Array.from({ length: count }, (_, place) => first + place);
  describe('whatever goes wrong, what must always hold does', () => {
    it.each(seeds)('with seed %i', async (seed) => {
      const result = await simulate({ seed, steps: STEPS });
      expect(report(result)).toBeNull();
      expect(result.convergedAfterMs).not.toBeNull();
    });
  });
}

/** What a reader needs when a run has found something; null when it hasn't. */
function report({ seed, violation, steps, lastLines }: SimulationResult): string | null {
  if (violation === null) return null;
  const found = `seed ${seed}, step ${steps}: invariant ${violation.invariant} is violated: ${violation.message}`;
  return [found, `again, and shorter: npm run simulate -- --seed ${seed} --steps ${STEPS}`, ...lastLines].join('\n');
}
