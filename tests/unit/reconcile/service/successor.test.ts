import { describe, expect, test } from 'vitest';
import { taskFor } from '../../../../control-plane/reconcile/service/successor.ts';
import type { BackoffSpec } from '../../../../shared/domain/service.ts';
import type { Task, TaskState } from '../../../../shared/domain/task.ts';
import { aGroup, aJob, aTask, clusterOf, T0 } from '../../../support/builders.ts';

const BACKOFF = { delaySeconds: 1, factor: 2, maxDelaySeconds: 10 };
const JOB = aJob({ spec: { kind: 'service', groups: [aGroup({ backoff: BACKOFF })] }, templates: { main: 1 } });
const PLACE = { jobVersion: 1, group: 'main', index: 0 };
const NOW = T0 + 60_000;

/** It ran for so many seconds, ended a second ago and had failed so often before. */
function ended(state: TaskState, { ranSeconds = 1, ...change }: Partial<Task> & { ranSeconds?: number } = {}): Task {
  const endMs = NOW - 1000;
  const history = [
    { state: 'pending', atMs: T0, reason: 'submitted', message: '' },
    { state: 'staging', atMs: T0, reason: 'placed', message: '' },
    { state: 'running', atMs: endMs - ranSeconds * 1000, reason: 'started', message: '' },
    { state, atMs: endMs, reason: 'exited', message: 'it ended' },
  ] as const;
  return aTask(JOB, { state, history, ...change });
}

function next(last: Task | undefined, job = JOB): Task {
  const cluster = clusterOf({ jobs: [job], tasks: last === undefined ? [] : [last] });
  return taskFor({ cluster, nowMs: NOW }, job, { place: PLACE, last, target: null });
}

const STOP = { atMs: NOW, by: 'alice', reason: 'scaled down' };

describe('the task that fills a slot next', () => {
  test('is the first one', () => {
    expect(next(undefined)).toMatchObject({
      id: 'demo-main-0-uiddemo-v1a0',
      failures: 0,
      notBeforeMs: 0,
      state: 'pending',
    });
  });

  test.each<[string, Task, failures: number, waitMs: number]>([
    ['after a failure', ended('failed'), 1, 1000],
    ['after an end with success, which a service has none of', ended('finished'), 1, 1000],
    ['after one that could not be started', ended('error'), 1, 1000],
    ['after the third failure in a row', ended('failed', { failures: 2 }), 3, 4000],
    ['after more than the pause can grow', ended('failed', { failures: 50 }), 51, 10_000],
    [
      'after a run that was good for as long as the longest pause',
      ended('failed', { failures: 5, ranSeconds: 10 }),
      1,
      1000,
    ],
    ['after one that was not quite', ended('failed', { failures: 5, ranSeconds: 9 }), 6, 10_000],
  ])('%s, waits', (_what, last, failures, waitMs) => {
    expect(next(last)).toMatchObject({ attempt: 1, failures, notBeforeMs: NOW - 1000 + waitMs });
  });

  test.each<[string, Task, failures: number]>([
    ['after what was lost', ended('lost', { failures: 2 }), 2],
    ['after what had to make room', ended('killed', { failures: 2, stop: { ...STOP, displaced: true } }), 2],
    ['after what was lost in the middle of a long run', ended('lost', { failures: 2, ranSeconds: 30 }), 0],
    ['beside what is to go', aTask(JOB, { state: 'running', failures: 2 }), 2],
  ])('%s, does not wait', (_what, last, failures) => {
    expect(next(last)).toMatchObject({ attempt: 1, failures, notBeforeMs: 0 });
  });

  test.each<[string, Partial<BackoffSpec>, failures: number, ranSeconds: number, waitMs: number, counted: number]>([
    ['at once after the first', {}, 0, 0, 0, 1],
    ['at once after the fifth in a row', {}, 4, 0, 0, 5],
    ['after a second from the sixth on', {}, 5, 0, 1000, 6],
    ['after a second for ever', {}, 500, 0.999, 1000, 501],
    ['at once when it ran for a second', {}, 500, 1, 0, 501],
    ['after a second also where the longest pause is 0', { maxDelaySeconds: 0 }, 5, 0.5, 1000, 6],
    ['at once, and anew, where that is 0 and it ran for a second', { maxDelaySeconds: 0 }, 5, 1, 0, 1],
    ['after a second where the pause asked for is shorter', { delaySeconds: 0.01, factor: 1 }, 5, 0, 1000, 6],
    ['after the pause asked for where that is longer', { delaySeconds: 3, factor: 1 }, 5, 0, 3000, 6],
  ])('without a pause, follows a crash %s', (_what, change, failures, ranSeconds, waitMs, counted) => {
    const backoff = { delaySeconds: 0, factor: 2, maxDelaySeconds: 10, ...change };
    const prompt = { ...JOB, spec: { ...JOB.spec, groups: [aGroup({ backoff })] } };
    const after = next(ended('failed', { failures, ranSeconds }), prompt);
    expect(after).toMatchObject({ failures: counted, notBeforeMs: NOW - 1000 + waitMs });
  });

  test('that could never be started does not spin either', () => {
    const prompt = { ...JOB, spec: { ...JOB.spec, groups: [aGroup({ backoff: { ...BACKOFF, delaySeconds: 0 } })] } };
    const history = ended('error').history.filter(({ state }) => state !== 'running');
    expect(next(ended('error', { failures: 5, history }), prompt)).toMatchObject({ notBeforeMs: NOW });
  });

  test('keeps a pause that a stop has cut short', () => {
    const stopped = aTask(JOB, { state: 'killed', stop: STOP, failures: 3, notBeforeMs: NOW + 5000 });
    expect(next(stopped)).toMatchObject({ failures: 3, notBeforeMs: NOW + 5000 });
  });

  test('believes no end that lies ahead', () => {
    const late = {
      ...ended('failed'),
      history: ended('failed').history.map((one) => ({ ...one, atMs: one.atMs + 3_600_000 })),
    };
    expect(next(late).notBeforeMs).toBe(NOW + 1000);
  });
});
