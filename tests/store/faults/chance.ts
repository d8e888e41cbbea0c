/** Seeds and sizes of the tests under faults. */
import { test } from 'vitest';
import { invariant } from '../../../shared/util/assert.ts';
import { SeededRandom } from '../../simulation/seeded-random.ts';

/** How many times the usual number of faults; `BERTH_FAULTS_TIMES` makes it more than one. */
export const TIMES = positiveInteger('BERTH_FAULTS_TIMES') ?? 1;

/** Each run draws its own, unless `BERTH_FAULTS_SEED` names one. */
const SEED = positiveInteger('BERTH_FAULTS_SEED') ?? (Date.now() % 1_000_000) + 1;

/** A test whose chance comes from a seed, which its failure names. `usualMs` is its deadline at the usual size. */
export function seededTest(name: string, usualMs: number, body: (random: SeededRandom) => Promise<void>): void {
  test(name, { timeout: usualMs * TIMES }, async () => {
    try {
      await body(new SeededRandom(SEED).split(name));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`with BERTH_FAULTS_SEED=${SEED}: ${message}`, { cause: error });
    }
  });
}

function positiveInteger(variable: string): number | null {
  const text = process.env[variable];
  if (text === undefined || text === '') return null;
  invariant(/^[1-9]\d*$/.test(text), `${variable} is a positive whole number, not ${text}`);
  return Number(text);
}
