import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../../control-plane/cli/follow/follow-job.ts';
import { earlierThan, progressLines } from '../../../control-plane/cli/follow/progress.ts';
import { hasEnded, hasStarted, type JobSnapshot, latestTasks } from '../../../control-plane/cli/follow/watch-job.ts';
import { painter } from '../../../control-plane/cli/output/paint.ts';
import type { TaskState } from '../../../shared/domain/task.ts';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';
import type { ExplanationView, JobView, TaskView, TransitionView } from '../../../shared/protocol/views.ts';
import { at, step, task } from './task-views.ts';

const plain = painter(false);

function ended(state: TaskState, change: Partial<TaskView> = {}): TaskView {
  return task({ history: [step('pending', 0), step(state, 10)], ...change });
}

function snapshot(
  tasks: readonly TaskView[],
  change: Partial<JobView> = {},
  counts: readonly number[] = [1],
): JobSnapshot {
  const groups = counts.map((count, index) => ({
    name: index === 0 ? 'main' : `group-${index}`,
    image: 'busybox',
    count,
  }));
  const zero = {
    pending: 0,
    staging: 0,
    starting: 0,
    running: 0,
    finished: 0,
    failed: 0,
    killed: 0,
    error: 0,
    lost: 0,
  };
  const job: JobView = {
    ...{ uid: 'u1', name: 'hello', role: 'default', kind: 'batch', version: 1, priority: 50, state: 'running' },
    ...{
      message: '',
      createdAt: at(0),
      updatedAt: at(0),
      createdBy: 'ci',
      endedAt: null,
      stop: null,
      tasks: zero,
      waiting: [],
      healthy: null,
      deployment: null,
      suspended: null,
      goodVersion: null,
      groups: [],
    },
    spec: jobSpecSchema.parse({ name: 'hello', groups }),
    ...change,
  };
  return { job, tasks, explanations: new Map() };
}

describe('what berth run exits with', () => {
  it.each([
    ['every task finished', [ended('finished', { exitCode: 0 })], 'succeeded', 0],
    ['a task failed', [ended('failed', { exitCode: 7 })], 'failed', 7],
    [
      'it was retried and finished',
      [ended('failed', { exitCode: 7 }), ended('finished', { attempt: 1, exitCode: 0 })],
      'succeeded',
      0,
    ],
    [
      'it was retried in vain',
      [ended('failed', { exitCode: 7 }), ended('failed', { attempt: 1, exitCode: 8 })],
      'failed',
      8,
    ],
    [
      'two failed: the first by index',
      [ended('failed', { exitCode: 3 }), ended('failed', { index: 1, exitCode: 4 })],
      'failed',
      3,
    ],
    ['it could not be started', [ended('error')], 'failed', 125],
    ['it was lost', [ended('lost')], 'failed', 125],
    ['it was killed though it said 0', [ended('killed', { exitCode: 0 })], 'stopped', 125],
    ['no task was ever made', [], 'stopped', 125],
  ] as const)('when %s', (_when, tasks, state, code) => {
    expect(exitCodeOf(snapshot(tasks, { state }))).toBe(code);
  });
});

describe('the state of a job', () => {
  it('counts the newest attempt of the current version only', () => {
    const old = { ...ended('killed'), job: { uid: 'u1', name: 'hello', version: 1 } };
    const current = { ...task({ attempt: 1 }), job: { uid: 'u1', name: 'hello', version: 2 } };
    expect(latestTasks(snapshot([old, { ...current, attempt: 0 }, current], { version: 2 }))).toEqual([current]);
  });

  it.each([
    ['nothing has been made yet', [], [1], false],
    ['one of two runs', [ended('running')], [2], false],
    ['one of two still starts', [ended('running'), ended('starting', { index: 1 })], [2], false],
    ['both run or have ended', [ended('running'), ended('finished', { index: 1 })], [2], true],
  ] as const)('when %s', (_when, tasks, counts, started) => {
    expect(hasStarted(snapshot(tasks, {}, counts))).toBe(started);
  });

  it.each([
    ['succeeded', true],
    ['failed', true],
    ['stopped', true],
    ['stopping', false],
    ['running', false],
    ['pending', false],
  ] as const)('%s is its end: %s', (state, over) => {
    expect(hasEnded(snapshot([], { state }))).toBe(over);
  });
});

describe('progress', () => {
  const explain = (summary: string): ExplanationView => ({ summary, nodesTotal: 2, refusals: [], closest: null });

  it('tells each new step once, with the time it took', () => {
    const first = snapshot([task()]);
    const second = snapshot([task({ history: [step('pending', 0), step('staging', 12, 'edge-1 has room')] })]);
    const third = snapshot([
      task({ history: [step('pending', 0), step('staging', 12, 'edge-1 has room'), step('running', 1500)] }),
    ]);
    expect(progressLines(null, first, plain)).toEqual([]);
    expect(progressLines(first, second, plain)).toEqual(['main[0] staging: edge-1 has room (+12ms)']);
    expect(progressLines(second, third, plain)).toEqual(['main[0] running: it is running (+1.4s)']);
    expect(progressLines(third, third, plain)).toEqual([]);
    expect(progressLines(null, third, plain)).toHaveLength(2);
  });

  it('tells nothing of what was there before what is followed, and all that has come since', () => {
    const old = task({ history: [step('pending', 0), step('running', 10)] });
    const stopped = { ...old, history: [...old.history, step('killed', 60)] };
    const fresh = task({ id: 'new', index: 1, history: [step('pending', 50), step('staging', 20)] });
    const earlier = (one: JobSnapshot) => earlierThan(one, at(40));
    const first = snapshot([old, fresh]);
    expect(progressLines(earlier(first), first, plain)).toEqual(progressLines(null, snapshot([fresh]), plain));
    const later = snapshot([stopped]);
    expect(progressLines(earlier(later), later, plain)).toEqual(['main[0] killed: it is killed (+50ms)']);
  });

  it('names the attempt from the second on', () => {
    const retried: TransitionView = { state: 'pending', at: at(20), reason: 'retried', message: 'again in 1 s' };
    expect(progressLines(null, snapshot([task({ attempt: 1, history: [retried] })]), plain)).toEqual([
      'main[0] (attempt 2) pending: again in 1 s',
    ]);
  });

  it('tells a restart once', () => {
    const history = [step('pending', 0), step('running', 1)];
    const restarts = [{ run: 1, at: at(30), reason: 'restarted-after-reboot' as const, message: 'started again' }];
    const before = snapshot([task({ history })]);
    const after = snapshot([task({ history, run: 1, restarts })]);
    expect(progressLines(before, after, plain)).toEqual(['main[0] started again']);
    expect(progressLines(after, after, plain)).toEqual([]);
  });

  it('says why a group waits, and again only when the reason changes', () => {
    const waiting = { ...snapshot([task()]), explanations: new Map([['main', explain('no node has 4 CPUs')]]) };
    const changed = { ...snapshot([task()]), explanations: new Map([['main', explain('no node is ready')]]) };
    expect(progressLines(null, waiting, plain)).toEqual(['main waits: no node has 4 CPUs']);
    expect(progressLines(waiting, waiting, plain)).toEqual([]);
    expect(progressLines(waiting, changed, plain)).toEqual(['main waits: no node is ready']);
  });

  it('tells only of the wanted version, and what its slots wait for when that is news', () => {
    const old = ended('running', { job: { uid: 'u1', name: 'hello', version: 1 } });
    const wait = (index: number, message = `main[${index}] waits until old ${index} has ended`) => {
      return { group: 'main', index, task: `old ${index}`, node: 'edge-1', message };
    };
    const of = (count: number) =>
      snapshot([old], { version: 2, waiting: Array.from({ length: count }, (_, at) => wait(at)) });
    expect(progressLines(null, of(1), plain)).toEqual(['main[0] waits until old 0 has ended']);
    expect(progressLines(of(1), of(2), plain)).toEqual(['main[1] waits until old 1 has ended']);
    expect(progressLines(of(2), of(2), plain)).toEqual([]);
    expect(progressLines(null, of(11), plain)).toHaveLength(9);
    expect(progressLines(null, of(11), plain).at(-1)).toBe('3 more wait like that');
    expect(progressLines(of(1), snapshot([old], { version: 1 }), plain)).toEqual([]);
    expect(progressLines(null, snapshot([old], { version: 1 }), plain)).toEqual([
      'main[0] running: it is running (+10ms)',
    ]);
  });

  it('counts instead where there are many tasks', () => {
    const many = (running: number) =>
      snapshot(
        Array.from({ length: 50 }, (_, index) => (index < running ? ended('running', { index }) : task({ index }))),
        {},
        [50],
      );
    expect(progressLines(null, many(0), plain)).toEqual(['50 pending']);
    expect(progressLines(many(0), many(12), plain)).toEqual(['12 running, 38 pending']);
    expect(progressLines(many(12), many(12), plain)).toEqual([]);
  });
});
