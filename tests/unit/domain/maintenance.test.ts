import { describe, expect, it, test } from 'vitest';
import {
  endsAtMs,
  frameworksOn,
  isOver,
  isRunning,
  nextTurnMs,
  noticeDueMs,
  withAnswer,
} from '../../../shared/domain/maintenance.ts';
import { aJob, aLedger, anEntry, anOffer, aTask, aWindow } from '../../support/builders.ts';

const NEVER = Number.POSITIVE_INFINITY;

describe('a window from 100 to 200', () => {
  const window = aWindow({ startsAtMs: 100, durationMs: 100 });

  test.each([
    { nowMs: 99, running: false, over: false, turn: 100 },
    { nowMs: 100, running: true, over: false, turn: 200 },
    { nowMs: 199, running: true, over: false, turn: 200 },
    { nowMs: 200, running: false, over: true, turn: NEVER },
  ])('at $nowMs is running: $running, over: $over, and turns next at $turn', ({ nowMs, running, over, turn }) => {
    expect(isRunning(window, nowMs)).toBe(running);
    expect(isOver(window, nowMs)).toBe(over);
    expect(nextTurnMs(window, nowMs)).toBe(turn);
  });
});

describe('a window whose begin stands noted', () => {
  const window = aWindow({ startsAtMs: 100, durationMs: 100, begunAtMs: 101 });

  it('runs until it is taken off, whatever the clock shows', () => {
    expect([50, 150, 250].map((nowMs) => isRunning(window, nowMs))).toEqual([true, true, true]);
    expect([50, 150, 250].map((nowMs) => nextTurnMs(window, nowMs))).toEqual([200, 200, NEVER]);
    expect(isOver(window, 250)).toBe(true);
  });
});

describe('a window of which nobody knows the end', () => {
  const window = aWindow({ startsAtMs: 100, durationMs: null });

  it('is never over once it has begun', () => {
    expect(endsAtMs(window)).toBe(NEVER);
    expect([99, 100, 1e15].map((nowMs) => isRunning(window, nowMs))).toEqual([false, true, true]);
    expect([99, 100].map((nowMs) => nextTurnMs(window, nowMs))).toEqual([100, NEVER]);
    expect(isOver(window, 1e15)).toBe(false);
  });
});

it('no window is none that runs', () => {
  expect(isRunning(undefined, 100)).toBe(false);
});

describe('who a window is a concern of', () => {
  it('has a task or an offer on the node', () => {
    const job = aJob();
    const entries = [
      anEntry(job, aTask(job, { index: 0 }), { framework: 'f000000000001' }),
      anEntry(job, aTask(job, { index: 1 }), { framework: null }),
    ];
    const ledger = aLedger({ entries, offers: [anOffer({ framework: 'f000000000002' })] });
    expect([...frameworksOn(ledger)].sort()).toEqual(['f000000000001', 'f000000000002']);
  });
});

describe('a framework is told of a window', () => {
  const answer = { answer: 'accepts', atMs: 110, askAgainAtMs: 150 } as const;
  const window = aWindow({ startsAtMs: 100, durationMs: 100, answers: { f000000000001: answer } });

  test.each([
    { who: 'one that has not answered', framework: 'f000000000002', nowMs: 120, due: Number.NEGATIVE_INFINITY },
    { who: 'one that has answered', framework: 'f000000000001', nowMs: 120, due: 150 },
    { who: 'one whose answer has run out', framework: 'f000000000001', nowMs: 160, due: 150 },
    { who: 'anybody once it is over', framework: 'f000000000002', nowMs: 200, due: NEVER },
  ])('$who: from $due on', ({ framework, nowMs, due }) => {
    expect(noticeDueMs(window, framework, nowMs)).toBe(due);
  });

  it('anew with each answer, and answers of frameworks that are no more are dropped', () => {
    const later = { answer: 'declines', atMs: 160, askAgainAtMs: 170 } as const;
    const changed = withAnswer(window, 'f000000000002', { answer: later, isForgotten: (id) => id === 'f000000000001' });
    expect(changed).toEqual({ ...window, answers: { f000000000002: later } });
    const again = withAnswer(window, 'f000000000001', { answer: later, isForgotten: () => false });
    expect(again.answers).toEqual({ f000000000001: later });
  });
});
