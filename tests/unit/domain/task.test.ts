import { describe, expect, it } from 'vitest';
import {
  advance,
  createdAtMs,
  enteredAtMs,
  isBetweenRuns,
  isNewer,
  isTerminal,
  mayFollow,
  RESTARTS_KEPT_MAX,
  restarted,
  type Standing,
  standingOf,
  TASK_STATES,
  type Task,
  type TaskState,
  TERMINAL_STATES,
} from '../../../shared/domain/task.ts';
import { isHealthy, isReady, isUnhealthy, readySinceMs } from '../../../shared/domain/task-health.ts';
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

describe('word of a task', () => {
  const running = { state: 'running', run: 1 } as const;
  it.each<[string, Standing, Standing, boolean]>([
    ['is news when it is further', { state: 'starting', run: 1 }, running, true],
    ['is none when it repeats what is known', running, running, false],
    ['is news when a further run has begun', running, { state: 'running', run: 2 }, true],
    ['is news when a further run is over before its beginning was told', running, { state: 'failed', run: 3 }, true],
    ['is news when a further run is being started', running, { state: 'starting', run: 2 }, true],
    ['is news when that has begun', { state: 'starting', run: 2 }, { state: 'running', run: 2 }, true],
    ['is none when it is of a further run that nobody has taken up', running, { state: 'staging', run: 2 }, false],
    ['is none when it is of an earlier run', running, { state: 'running', run: 0 }, false],
    ['is none when it is of the end of an earlier run', running, { state: 'failed', run: 0 }, false],
    ['is none of a further run once all is over', { state: 'failed', run: 1 }, { state: 'running', run: 2 }, false],
    ['is none of another end', { state: 'failed', run: 1 }, { state: 'killed', run: 1 }, false],
  ])('%s', (_, from, to, expected) => {
    expect(isNewer(from, to)).toBe(expected);
  });
});

describe('a task between two runs', () => {
  const at = { atMs: 1, reason: 'restarted-in-place', message: '' } as const;
  it.each<[string, Partial<Task>, boolean]>([
    ['is one whose next run has not begun', { run: 1 }, true],
    ['is one that has had others before', { run: 3, restarts: [{ ...at, run: 1 }] }, true],
    ['is none once it has begun', { run: 1, restarts: [{ ...at, run: 1 }] }, false],
    ['is none in its first run', {}, false],
    ['is none that has ended', { run: 1, state: 'failed' }, false],
    ['is none that never ran', { run: 1, state: 'starting' }, false],
  ])('%s', (_, change, expected) => {
    const task = aTask(aJob(), { state: 'running', ...change });
    expect(isBetweenRuns(task)).toBe(expected);
    expect(standingOf(task)).toEqual({ state: expected ? 'starting' : task.state, run: task.run });
    if (task.state === 'running') {
      const group = { checks: [] };
      expect([isHealthy(task, group), isReady(task, group)]).toEqual([!expected, !expected]);
      expect([isUnhealthy(task), readySinceMs(task, group) === null]).toEqual([expected, expected]);
    }
  });
});

describe('a restart', () => {
  it('counts runs, changes no state, and is kept among the latest', () => {
    let task = aTask(aJob(), { state: 'running' });
    for (let run = 1; run <= RESTARTS_KEPT_MAX + 2; run += 1) {
      task = restarted(task, { run, atMs: run, reason: 'restarted-after-reboot', message: 'again' });
    }
    expect(task).toMatchObject({ state: 'running', run: RESTARTS_KEPT_MAX + 2, history: { length: 2 } });
    expect(task.restarts.map(({ run }) => run)).toEqual(Array.from({ length: RESTARTS_KEPT_MAX }, (_, at) => at + 3));
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
