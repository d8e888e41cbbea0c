import { describe, expect, it } from 'vitest';
import { type SimulationResult, simulate } from './simulate.ts';

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
    for (let seed = 1; seed <= 8; seed++) runs.push(await simulate({ seed, steps: 6000 }));
    const sum = (pick: (counts: SimulationResult['counts']) => number) =>
      runs.reduce((total, { counts }) => total + pick(counts), 0);
    expect(sum((counts) => counts.jobs)).toBeGreaterThan(30);
    expect(sum((counts) => counts.placements)).toBeGreaterThan(60);
    expect(sum((counts) => counts.runs)).toBeGreaterThan(40);
    expect(sum((counts) => counts.offers)).toBeGreaterThan(100);
    expect(sum((counts) => counts.launches)).toBeGreaterThan(10);
    expect(new Set(runs.flatMap(({ counts }) => Object.keys(counts.faults))).size).toBeGreaterThan(20);
  });

  it('tells its story to whoever listens', async () => {
    const lines: string[] = [];
    const result = await simulate({ seed: 7, steps: 1000, onLine: (line) => lines.push(line) });
    expect(lines.slice(-result.lastLines.length)).toEqual(result.lastLines);
  });

  it('goes without whatever it is told to leave out', async () => {
    const whole = await simulate({ seed: 7, steps: 2000 });
    const strikes = whole.decisions.filter((name) => name.startsWith('nemesis/'));
    expect(strikes.length).toBeGreaterThan(0);
    const without = new Set(['clocks', 'weather/network', 'client-2', ...strikes]);
    const part = await simulate({ seed: 7, steps: 2000, without });
    expect(part.decisions.filter((name) => without.has(name) || name.startsWith('client-2/'))).toEqual([]);
    expect(part.decisions.length).toBeGreaterThan(0);
  });
});
