import { describe, expect, it } from 'vitest';
import { runSeeds } from './many-seeds.ts';
import { commandOf, describeViolation, Summary } from './report.ts';
import { runOrder, type SeedOutcome } from './seed-worker.ts';

const ORDER = { steps: 300, bug: null, without: '' } as const;

describe('many seeds', () => {
  it('come to the same in processes of their own', async () => {
    const outcomes: SeedOutcome[] = [];
    const orders = [1, 2, 3].map((seed) => ({ ...ORDER, seed }));
    const onOutcome = (outcome: SeedOutcome) => outcomes.push(outcome) > 0;
    await runSeeds({ orders, jobs: 2, onOutcome });
    const hashes = outcomes.sort((a, b) => a.seed - b.seed).map(({ traceHash }) => traceHash);
    const alone = await Promise.all(orders.map(async (order) => (await runOrder(order)).traceHash));
    expect(hashes).toEqual(alone);
  });

  it('end when nobody wants more', async () => {
    let ran = 0;
    const orders = [1, 2, 3].map((seed) => ({ ...ORDER, seed }));
    await runSeeds({ orders, jobs: 1, onOutcome: () => ++ran < 2 });
    expect(ran).toBe(2);
  });
});

describe('a report', () => {
  it('names the command that repeats a run', () => {
    const without = new Set(['nemesis/1', 'nemesis/2', 'clocks']);
    expect(commandOf({ seed: 7, steps: 90, bug: 'fresh-ids', without })).toBe(
      'npm run simulate -- --seed 7 --steps 90 --bug fresh-ids --without clocks,nemesis/1-2',
    );
    expect(commandOf({ seed: 7, steps: 90 })).toBe('npm run simulate -- --seed 7 --steps 90');
  });

  it('adds runs up', async () => {
    const outcome = await runOrder({ ...ORDER, seed: 1 });
    const violated = { ...outcome, seed: 2, violation: { invariant: 4, message: 'twice' } };
    const summary = new Summary();
    for (const each of [outcome, violated]) summary.add(each);
    const text = summary.describe(65_000);
    expect(text).toContain(`2 seeds, ${2 * outcome.steps} steps`);
    expect(text).toContain('1 violations, seed (invariant): 2 (4)');
    expect(summary.progress(10, 5000)).toBe('2 of 10 seeds, 1 violations, 5 s');
    expect(describeViolation(violated)).toBe(`seed 2, step ${outcome.steps}: invariant 4 is violated: twice`);
  });
});
