import { defineConfig } from 'vitest/config';
import { LongestFirst } from './tests/runner/order.ts';

/**
 * Files that start etcds, agents and containers wait more than they work, so that a few of them fit on a machine with two cores. They
 * share its container engine: each file knows its own containers by their labels, and its nodes have ports that no other file's have.
 */
const patient = { pool: 'forks', testTimeout: 60_000, hookTimeout: 180_000 } as const;

export default defineConfig({
  test: {
    pool: 'threads',
    restoreMocks: true,
    // By itself Vitest would leave one core alone, which is one of two.
    maxWorkers: '100%',
    sequence: { sequencer: LongestFirst },
    // Each project is a part of `npm test`. Where several are asked for at once they come one after the other, since they differ in how
    // many of their files may run side by side.
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          include: ['tests/unit/**/*.test.ts', 'tests/tidy/**/*.test.ts'],
          // Importing a file does nothing here, so that files may share what they have imported: loading it is most of the work.
          isolate: false,
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'simulation',
          sequence: { groupOrder: 1 },
          include: ['tests/simulation/**/*.test.ts', 'tests/fuzz/**/*.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'store',
          sequence: { groupOrder: 2 },
          include: ['tests/store/**/*.test.ts'],
          exclude: ['tests/store/planted-bugs.test.ts'],
          pool: 'forks',
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      // Whether the suite under faults finds mistakes is left to chance within bounds, so it is asked for by name.
      {
        extends: true,
        test: {
          name: 'planted-bugs',
          sequence: { groupOrder: 3 },
          include: ['tests/store/planted-bugs.test.ts'],
          ...patient,
          maxWorkers: 1,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          sequence: { groupOrder: 4 },
          include: ['tests/integration/**/*.test.ts'],
          ...patient,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          sequence: { groupOrder: 5 },
          include: ['tests/e2e/**/*.test.ts'],
          ...patient,
          maxWorkers: 3,
        },
      },
    ],
  },
});
