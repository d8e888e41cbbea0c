import { defineConfig } from 'vitest/config';

/** Parts that own a machine-wide thing (an etcd, a container engine) run one file at a time; the machine may have two cores. */
const oneFileAtATime = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 180_000 } as const;

export default defineConfig({
  test: {
    pool: 'threads',
    restoreMocks: true,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['tests/unit/**/*.test.ts', 'tests/tidy/**/*.test.ts'], testTimeout: 30_000 },
      },
      { extends: true, test: { name: 'simulation', include: ['tests/simulation/**/*.test.ts'], testTimeout: 60_000 } },
      {
        extends: true,
        test: {
          name: 'store',
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
        test: { name: 'planted-bugs', include: ['tests/store/planted-bugs.test.ts'], pool: 'forks', ...oneFileAtATime },
      },
      {
        extends: true,
        test: { name: 'integration', include: ['tests/integration/**/*.test.ts'], pool: 'forks', ...oneFileAtATime },
      },
      { extends: true, test: { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], pool: 'forks', ...oneFileAtATime } },
    ],
  },
});
