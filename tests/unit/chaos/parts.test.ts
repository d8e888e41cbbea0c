import { describe, expect, it } from 'vitest';
import { readSettings } from '../../chaos/arguments.ts';
import { FAULT_KINDS } from '../../chaos/faults/nemesis.ts';
import type { ClusterSample } from '../../chaos/history.ts';
import { longestRoundGapMs } from '../../chaos/workload/observer.ts';
import { parseWitness } from '../../chaos/workload/script.ts';

describe('the settings of a chaos run', () => {
  it('are 200 faults of every kind, with a seed that chance chose', () => {
    const kinds = FAULT_KINDS.map(({ name }) => name);
    expect(readSettings([], 42)).toEqual({ faults: 200, seed: 42, minutesMax: 40, kinds, keep: false, judge: null });
  });

  it('can be chosen', () => {
    const args = ['--faults', '8', '--seed', '7', '--minutes-max', '3', '--kinds', 'power-cut, disk-full', '--keep'];
    const kinds = ['power-cut', 'disk-full'];
    expect(readSettings(args, 42)).toEqual({ faults: 8, seed: 7, minutesMax: 3, kinds, keep: true, judge: null });
  });

  it.each([
    [['--faults', 'many'], '--faults is "many"; it must be a whole number from 0 to 100000'],
    [['--seed', '-1'], '--seed'],
    [['--kinds', 'earthquake'], '--kinds names earthquake; there are: replica-killed'],
  ])('%j is refused by name', (args, message) => {
    expect(() => readSettings(args, 42)).toThrow(message);
  });
});

describe('kinds of faults', () => {
  it('have names of their own, and each may be chosen', () => {
    expect(new Set(FAULT_KINDS.map(({ name }) => name)).size).toBe(FAULT_KINDS.length);
    expect(FAULT_KINDS.filter(({ weight }) => !(weight > 0))).toEqual([]);
  });
});

describe('the witness file', () => {
  it('is read line by line', () => {
    const text = 'start task-1 node-a c1 12.34 -\nalive task-1 node-a c1 12.84 -\nend task-1 node-a c1 13.00 3\n';
    const common = { task: 'task-1', node: 'node-a', container: 'c1' };
    expect(parseWitness(text)).toEqual([
      { ...common, type: 'start', atMs: 12_340, exitCode: null },
      { ...common, type: 'alive', atMs: 12_840, exitCode: null },
      { ...common, type: 'end', atMs: 13_000, exitCode: 3 },
    ]);
  });

  it('proves nothing when a line of it is torn', () => {
    expect(() => parseWitness('start task-1 node-a\n')).toThrow("a line that can't be read: start task-1 node-a");
  });
});

describe('the longest time without a round', () => {
  const sample = (atMs: number, round: number): ClusterSample => ({ atMs, round, nodes: [] });

  it('lies between two samples of which the later one knows of a new round, whatever older replicas say meanwhile', () => {
    const samples = [sample(0, 1), sample(500, 2), sample(1000, 2), sample(1500, 1), sample(4500, 3), sample(5000, 4)];
    expect(longestRoundGapMs(samples)).toBe(4000);
  });

  it('is nothing without samples', () => {
    expect(longestRoundGapMs([])).toBe(0);
  });
});
