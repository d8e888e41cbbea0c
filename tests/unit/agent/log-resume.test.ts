/** A reader that begins again takes each line once, and in order. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ResumePoint } from '../../../node-agent/adapters/docker/log-resume.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';

const line = (at: number, text: string, stream: LogLine['stream'] = 'stdout'): LogLine => ({
  at: `2026-01-02T03:04:05.${String(at).padStart(9, '0')}Z`,
  stream,
  text,
});

it('takes every line once, whatever part each read gives again', () => {
  const log = fc.array(fc.tuple(fc.nat(2), fc.boolean()), { maxLength: 30 }).map((steps) => {
    let at = 1;
    return steps.map(([step, isError], index) => {
      at += step;
      return line(at, String(index), isError ? 'stderr' : 'stdout');
    });
  });
  fc.assert(
    fc.property(log, fc.array(fc.nat(30)), (lines, ends) => {
      const point = new ResumePoint();
      const taken = [...ends, lines.length].flatMap((end) => {
        point.begin();
        return lines.slice(0, end).filter((each) => point.take(each));
      });
      expect(taken).toEqual(lines);
    }),
  );
});

it('takes nothing twice where one read gives a stretch again', () => {
  const point = new ResumePoint();
  const [a, b, c, d] = [line(1, 'a'), line(2, 'b'), line(2, 'b'), line(3, 'd')];
  point.begin();
  expect([a, b, a, b, c, d].filter((each) => point.take(each))).toEqual([a, b, c, d]);
  expect(point.isRepeated(a)).toBe(true);
  expect(point.latest).toBe(d.at);
});
