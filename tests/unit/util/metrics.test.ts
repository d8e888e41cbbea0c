import { describe, expect, it } from 'vitest';
import { MetricsRegistry } from '../../../shared/util/metrics.ts';

describe('metrics', () => {
  it('are exposed as Prometheus reads them', () => {
    const metrics = new MetricsRegistry();
    const passes = metrics.counter({ name: 'passes_total', help: 'Passes,\nby kind.', labels: ['kind'] });
    passes.add(1, ['a']);
    passes.add(2, ['a']);
    passes.add(1, ['say "b"\\\n']);
    const seconds = metrics.histogram({ name: 'round_seconds', help: 'Rounds.', bounds: [0.1, 1] });
    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
    const gauge = { name: 'nodes', help: 'Nodes.', labels: ['state'], values: [{ labelValues: ['ready'], value: 3 }] };
    expect(metrics.expose([gauge])).toBe(
      [
        '# HELP passes_total Passes,\\nby kind.',
        '# TYPE passes_total counter',
        'passes_total{kind="a"} 3',
        'passes_total{kind="say \\"b\\"\\\\\\n"} 1',
        '# HELP round_seconds Rounds.',
        '# TYPE round_seconds histogram',
        'round_seconds_bucket{le="0.1"} 2',
        'round_seconds_bucket{le="1"} 3',
        'round_seconds_bucket{le="+Inf"} 4',
        'round_seconds_sum 7.65',
        'round_seconds_count 4',
        '# HELP nodes Nodes.',
        '# TYPE nodes gauge',
        'nodes{state="ready"} 3',
        '',
      ].join('\n'),
    );
  });

  it('sum up what a histogram has seen, each value as far as its bucket tells', () => {
    const metrics = new MetricsRegistry();
    const seconds = metrics.histogram({ name: 'round_seconds', help: '', bounds: [1, 2, 4] });
    expect(metrics.summary('round_seconds')).toBeNull();
    for (const value of [1.5, 1.5, 3, 9]) seconds.observe(value);
    const summary = metrics.summary('round_seconds');
    expect([summary?.count, summary?.mean]).toEqual([4, 3.75]);
    expect([0, 0.25, 0.5, 0.75, 1].map((share) => summary?.quantile(share))).toEqual([1, 1.5, 2, 4, 4]);
    expect([metrics.summary('unknown'), metrics.counter({ name: 'a_total', help: '' })]).toEqual([
      null,
      expect.anything(),
    ]);
    expect(metrics.summary('a_total')).toBeNull();
  });

  it('have a name once', () => {
    const metrics = new MetricsRegistry();
    metrics.counter({ name: 'a_total', help: '' });
    expect(() => metrics.counter({ name: 'a_total', help: '' })).toThrow('a_total is defined twice');
  });
});
