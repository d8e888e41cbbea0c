import { describe, expect, test } from 'vitest';
import { advance, type Task, type TaskHealth, type TaskState } from '../../../shared/domain/task.ts';
import { isHealthy, isReady, isUnhealthy, readySinceMs, toldHealth } from '../../../shared/domain/task-health.ts';
import { aCheck, aGroup, aJob, aTask, T0 } from '../../support/builders.ts';

function said(healthy: boolean | null, ready: boolean, run = 0): TaskHealth {
  return { run, healthy, ready, sinceMs: T0 + 500, checks: [] };
}

function watched(state: TaskState, health: TaskHealth | null, change: Partial<Task> = {}): Task {
  return aTask(aJob(), { state, health, atMs: T0 + 100, ...change });
}

/** In its second run, which has begun. */
const AGAIN: Partial<Task> = {
  run: 1,
  restarts: [{ run: 1, atMs: T0 + 200, reason: 'restarted-in-place', message: 'again' }],
};

const UNCHECKED = aGroup();
const HEALTH = aGroup({ checks: [aCheck()] });
const READINESS = aGroup({ checks: [aCheck({ name: 'readiness', purpose: 'readiness' })] });
const BOTH = aGroup({ checks: [aCheck(), aCheck({ name: 'readiness', purpose: 'readiness' })] });

describe('what checks come to', () => {
  test.each<[string, Task, typeof UNCHECKED, [healthy: boolean, unhealthy: boolean, ready: boolean]]>([
    ['runs, without checks', watched('running', null), UNCHECKED, [true, false, true]],
    ['does not run yet', watched('starting', said(true, true)), UNCHECKED, [false, false, false]],
    ['has ended', watched('finished', said(true, true)), HEALTH, [false, false, false]],
    ['has said nothing yet', watched('running', null), HEALTH, [false, false, false]],
    ['has not been seen to work', watched('running', said(null, true)), HEALTH, [false, false, false]],
    ['works', watched('running', said(true, true)), HEALTH, [true, false, true]],
    ['fails', watched('running', said(false, true)), HEALTH, [false, true, false]],
    ['worked in an earlier run', watched('running', said(true, true, 0), AGAIN), HEALTH, [false, false, false]],
    ['failed in an earlier run', watched('running', said(false, true, 0), AGAIN), HEALTH, [false, false, false]],
    ['waits for its next run', watched('running', said(true, true, 0), { run: 1 }), HEALTH, [false, true, false]],
    ['is only to be ready, and is', watched('running', said(null, true)), READINESS, [true, false, true]],
    ['is only to be ready, and is not', watched('running', said(null, false)), READINESS, [true, false, false]],
    ['is only to be ready, and has said nothing', watched('running', null), READINESS, [true, false, false]],
    ['works and is not ready', watched('running', said(true, false)), BOTH, [true, false, false]],
    ['is ready and fails', watched('running', said(false, true)), BOTH, [false, true, false]],
    ['works and is ready', watched('running', said(true, true)), BOTH, [true, false, true]],
  ])('%s', (_what, task, group, [healthy, unhealthy, ready]) => {
    expect([isHealthy(task, group), isUnhealthy(task), isReady(task, group)]).toEqual([healthy, unhealthy, ready]);
  });
});

describe('since when a task has been ready', () => {
  const restart = { run: 1, atMs: T0 + 900, reason: 'restarted-in-place', message: '' } as const;
  test.each<[string, Task, typeof UNCHECKED, number | null]>([
    ['since it ran, without checks', watched('running', null), UNCHECKED, T0 + 100],
    ['since its checks passed', watched('running', said(true, true)), HEALTH, T0 + 500],
    ['not at all', watched('running', said(false, true)), HEALTH, null],
    ['since it ran again', watched('running', null, { run: 1, restarts: [restart] }), UNCHECKED, T0 + 900],
    [
      'not before it ran again, whatever was said',
      watched('running', said(true, true, 1), { run: 1, restarts: [restart] }),
      HEALTH,
      T0 + 900,
    ],
  ])('%s', (_what, task, group, sinceMs) => {
    expect(readySinceMs(task, group)).toBe(sinceMs);
  });
});

describe('what is told of a task`s health', () => {
  const ended = (reason: 'unhealthy' | 'exited') => {
    const task = watched('running', said(false, true));
    return advance(task, { state: 'failed', atMs: T0 + 900, reason, message: '' });
  };
  test.each<[string, Task, boolean | null]>([
    ['nothing before it runs', watched('starting', said(true, true)), null],
    ['nothing before its checks have said anything', watched('running', null), null],
    ['nothing before they have decided', watched('running', said(null, true)), null],
    ['that it works', watched('running', said(true, false)), true],
    ['that it does not', watched('running', said(false, true)), false],
    ['nothing of an earlier run', watched('running', said(true, true, 0), { run: 1 }), null],
    ['that a check has ended it', ended('unhealthy'), false],
    ['nothing of one that has ended otherwise', ended('exited'), null],
  ])('%s', (_what, task, healthy) => {
    expect(toldHealth(task)).toBe(healthy);
  });
});
