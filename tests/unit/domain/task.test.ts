import { describe, expect, it } from 'vitest';
import {
  advance,
  createdAtMs,
  enteredAtMs,
  isTerminal,
  mayFollow,
  TASK_STATES,
  type TaskState,
  TERMINAL_STATES,
} from '../../../shared/domain/task.ts';
import { aJob, aTask, T0 } from '../../support/builders.ts';

const LIVE: readonly TaskState[] = ['pending', 'staging', 'starting', 'running'];

describe('states', () => {
  it('are live or terminal, and nothing else', () => {
    expect(TASK_STATES.filter((state) => !isTerminal(state))).toEqual(LIVE);
    expect(TASK_STATES.filter(isTerminal)).toEqual([...TERMINAL_STATES]);
  });

  it.each(TASK_STATES)('%s may be followed by what comes later, and never by itself', (from) => {
    const following = TASK_STATES.filter((to) => mayFollow(from, to));
    const place = LIVE.indexOf(from);
    expect(following).toEqual(place < 0 ? [] : [...LIVE.slice(place + 1), ...TERMINAL_STATES]);
  });
});

describe('a transition', () => {
  const task = aTask(aJob());
  const transition = { state: 'staging', atMs: T0 + 1, reason: 'placed', message: 'there' } as const;

  it('is kept after those before it, and may change other things', () => {
    const placed = advance(task, transition, { node: 'edge-1' });
    expect(placed).toEqual({ ...task, state: 'staging', node: 'edge-1', history: [...task.history, transition] });
    expect(task.state).toBe('pending');
  });

  it('can be asked for its time', () => {
    const placed = advance(task, transition);
    expect([createdAtMs(placed), enteredAtMs(placed, 'staging'), enteredAtMs(placed, 'running')]).toEqual([
      T0,
      T0 + 1,
      null,
    ]);
  });
});
