import { describe, expect, it } from 'vitest';
import { Decisions, formatWithout, parseWithout } from './decisions.ts';

describe('decisions', () => {
  it('are taken unless the run goes without them', () => {
    const decisions = new Decisions(new Set(['nemesis/2']));
    expect(['nemesis/1', 'nemesis/2', 'node-2'].map((name) => decisions.take(name))).toEqual([true, false, true]);
    expect(decisions.taken).toEqual(['nemesis/1', 'node-2']);
  });

  it('are written in ranges, and read again as the same names', () => {
    const names = new Set(['node-3', 'nemesis/3', 'nemesis/11', 'nemesis/9', 'nemesis/10', 'weather/store']);
    expect(formatWithout(names)).toBe('node-3,weather/store,nemesis/3,nemesis/9-11');
    expect(parseWithout(formatWithout(names))).toEqual(names);
  });

  it('refuse a range that runs backwards', () => {
    expect(() => parseWithout('nemesis/9-3')).toThrow('"nemesis/9-3" is no range');
  });
});
