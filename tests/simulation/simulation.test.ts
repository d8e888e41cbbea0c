import { describe, expect, it } from 'vitest';
import { type BugName, PLANTED_BUGS } from './planted-bugs.ts';
import { type SimulationResult, simulate } from './simulate.ts';

const STEPS = 6000;
const SEEDS = Array.from({ length: 40 }, (_, place) => place + 1);

/** A planted bug has to show in one of so many seeds, which are clean without it. */
const SEEDS_TO_FIND_MAX = 25;

/** What a reader needs when a run has found something; null when it hasn't. */
function report({ seed, violation, steps, lastLines }: SimulationResult): string | null {
  if (violation === null) return null;
  const found = `seed ${seed}, step ${steps}: invariant ${violation.invariant} is violated: ${violation.message}`;
  return [found, `again: npm run simulate -- --seed ${seed} --steps ${STEPS} --trace`, ...lastLines].join('\n');
}

describe('whatever goes wrong, what must always hold does', () => {
  it.each(SEEDS)('with seed %i', async (seed) => {
    const result = await simulate({ seed, steps: STEPS });
    expect(report(result)).toBeNull();
    expect(result.convergedAfterMs).not.toBeNull();
  });
});

describe('a run', () => {
  it('is repeated by its seed, line by line', async () => {
    const first = await simulate({ seed: 7, steps: 3000 });
    const second = await simulate({ seed: 7, steps: 3000 });
    expect(second).toEqual(first);
  });

  it('differs with another seed', async () => {
    const first = await simulate({ seed: 7, steps: 1000 });
    const second = await simulate({ seed: 8, steps: 1000 });
    expect(second.traceHash).not.toBe(first.traceHash);
  });

  it('is about something', async () => {
    const runs: SimulationResult[] = [];
    for (const seed of SEEDS.slice(0, 3)) runs.push(await simulate({ seed, steps: STEPS }));
    const sum = (pick: (counts: SimulationResult['counts']) => number) =>
      runs.reduce((total, { counts }) => total + pick(counts), 0);
    expect(sum((counts) => counts.jobs)).toBeGreaterThan(20);
    expect(sum((counts) => counts.placements)).toBeGreaterThan(40);
    expect(sum((counts) => counts.runs)).toBeGreaterThan(20);
  });

  it('tells its story to whoever listens', async () => {
    const lines: string[] = [];
    const result = await simulate({ seed: 7, steps: 1000, onLine: (line) => lines.push(line) });
    expect(lines.slice(-result.lastLines.length)).toEqual(result.lastLines);
  });
});

/** Which invariants each of the planted bugs breaks. */
const BROKEN: Readonly<Record<BugName, readonly number[]>> = {
  'unfenced-round': [3],
  'blind-ledger': [2, 4, 9],
  'blind-status': [4, 5],
  'late-answer': [1],
  'skipped-event': [7],
};

describe('planted bugs are found', () => {
  it.each(Object.keys(PLANTED_BUGS) as BugName[])('%s', async (bug) => {
    for (const seed of SEEDS.slice(0, SEEDS_TO_FIND_MAX)) {
      const { violation } = await simulate({ seed, steps: STEPS, bug });
      if (violation === null) continue;
      expect(BROKEN[bug]).toContain(violation.invariant);
      return;
    }
    expect.unreachable(`${bug} was not found in ${SEEDS_TO_FIND_MAX} seeds`);
  });
});
