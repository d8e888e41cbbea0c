/** A short chaos run, the same every time as far as chance goes: that it can be done at all, and that nothing is found. */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { runChaos } from '../chaos/run.ts';

const FAULTS = 8;
/** Start, faults, and the time that the cluster may take to come to rest. */
const TIMEOUT_MS = 240_000;

it('survives a few faults of every layer with nothing lost and nothing twice', { timeout: TIMEOUT_MS }, async () => {
  const told: string[] = [];
  const { signal } = new AbortController();
  const tell = (line: string) => told.push(line);
  const run = { seed: 20, faults: FAULTS, minutesMax: 2, signal, tell, keepFolder: false };
  const { history, violations, folder, isFolderKept } = await runChaos(run);
  expect(violations, [...told, `logs and history lie in ${folder}`].join('\n')).toEqual([]);
  expect(history.faults).toHaveLength(FAULTS);
  expect(history.requests.some(({ answer }) => answer?.type === 'accepted')).toBe(true);
  expect(history.witness.some(({ type }) => type === 'end')).toBe(true);
  expect([isFolderKept, existsSync(folder)]).toEqual([false, false]);
});
