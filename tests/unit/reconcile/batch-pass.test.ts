import { describe, expect, it } from 'vitest';
import { ACTION_TASKS_MAX, type PassAction } from '../../../control-plane/reconcile/actions.ts';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { PASS_ACTIONS_MAX } from '../../../control-plane/reconcile/bounds.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Task, TaskState } from '../../../shared/domain/task.ts';
import { applyPass } from '../../support/apply-plan.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aTask,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const NOW = T0 + 60_000;
const stop = { atMs: T0, by: 'alice', reason: 'enough' };

const plan = (literal: ClusterLiteral, nowMs = NOW) =>
  planBatchPass({ cluster: clusterOf(literal), nowMs, unseenEndsForMs: new Map() });
const actionsFor = (job: Job, tasks: readonly Task[] = [], more: ClusterLiteral = {}) =>
  plan({ jobs: [job], tasks, ...more }).actions;

function created(actions: readonly PassAction[]): Task[] {
  return actions.flatMap((action) => (action.type === 'create-tasks' ? action.tasks : []));
}

function outcome(actions: readonly PassAction[]) {
  expect(actions.map(({ type }) => type)).toEqual(['conclude-job']);
  return actions.flatMap((action) => (action.type === 'conclude-job' ? [action.outcome] : []))[0];
}

const retrying = (retries: Parameters<typeof aGroup>[0] = { retries: { max: 3, delaySeconds: 10, factor: 2 } }) =>
  aJob({ spec: { groups: [aGroup(retries)] } });

describe('tasks that a job lacks', () => {
  it('are made for every group and index, complete, and with ids that follow from their place', () => {
    const job = aJob({
      version: 3,
      spec: { role: 'eng/ml', groups: [aGroup({ name: 'b', count: 2 }), aGroup({ name: 'a' })] },
    });
    const tasks = created(actionsFor(job));
    expect(tasks.map(({ id }) => id)).toEqual([
      'demo-b-0-uiddemo-v3a0',
      'demo-b-1-uiddemo-v3a0',
      'demo-a-0-uiddemo-v3a0',
    ]);
    expect(tasks[1]).toEqual({
      id: 'demo-b-1-uiddemo-v3a0',
      jobUid: 'uiddemo',
      jobName: 'demo',
      jobVersion: 3,
      role: 'eng/ml',
      group: 'b',
      index: 1,
      attempt: 0,
      state: 'pending',
      history: [{ state: 'pending', atMs: NOW, reason: 'submitted', message: 'created for version 3 of the job' }],
      notBeforeMs: 0,
      node: null,
      ports: {},
      exitCode: null,
      run: 0,
      restarts: [],
      health: null,
      target: null,
      failures: 0,
      stop: null,
      framework: null,
      template: null,
    });
  });

  it('are only those that are missing', () => {
    const job = aJob({ spec: { groups: [aGroup({ count: 3 })] } });
    const there = aTask(job, { index: 1, state: 'running', node: 'a' });
    expect(created(actionsFor(job, [there])).map(({ index }) => index)).toEqual([0, 2]);
  });

  it('are made in transactions of a bounded size', () => {
    const job = aJob({ spec: { groups: [aGroup({ count: 2 * ACTION_TASKS_MAX + 1 })] } });
    const actions = actionsFor(job);
    expect(actions.map((action) => (action.type === 'create-tasks' ? action.tasks.length : 0))).toEqual([
      ACTION_TASKS_MAX,
      ACTION_TASKS_MAX,
      1,
    ]);
    expect(new Set(created(actions).map(({ id }) => id)).size).toBe(2 * ACTION_TASKS_MAX + 1);
  });

  it('are made for a new version at once, while those of the old one are stopped', () => {
    const job = aJob({ version: 2 });
    const old = aTask(job, { jobVersion: 1, state: 'running', node: 'a' });
    const ended = aTask(job, { jobVersion: 1, index: 1, state: 'finished' });
    const actions = actionsFor(job, [old, ended]);
    expect(actions.map(({ type }) => type)).toEqual(['stop-task', 'create-tasks']);
    expect(actions[0]).toMatchObject({
      task: old.id,
      stop: { atMs: NOW, by: 'berth', reason: 'version 2 of the job has taken its place' },
    });
    expect(created(actions).map(({ jobVersion }) => jobVersion)).toEqual([2]);
  });

  it('are not made for a job that is stopped, deleted or over', () => {
    const over = { outcome: { state: 'failed', atMs: T0, message: '' } } as const;
    for (const change of [{ stop }, { deleted: true }, over]) {
      expect(created(actionsFor(aJob(change)))).toEqual([]);
    }
  });
});

describe('retries', () => {
  const job = retrying();
  const ended = (change: Partial<Task> & { state: TaskState; atMs?: number }) =>
    aTask(job, { atMs: NOW - 1000, node: 'a', ...change });

  it.each([['failed'], ['error'], ['lost']] as const)('follow a task that ended as %s', (state) => {
    const [retry] = created(actionsFor(job, [ended({ state })]));
    expect(retry).toMatchObject({
      id: 'demo-main-0-uiddemo-v1a1',
      attempt: 1,
      state: 'pending',
      notBeforeMs: NOW - 1000 + 10_000,
      history: [
        {
          state: 'pending',
          atMs: NOW,
          reason: 'retried',
          message: `retry 1 of 3, after the attempt before ended as ${state}; not placed before 2026-01-01T00:01:09.000Z`,
        },
      ],
    });
  });

  it.each([['finished'], ['killed'], ['running'], ['pending'], ['staging']] as const)(
    'do not follow one that is %s',
    (state) => {
      expect(created(actionsFor(job, [ended({ state })]))).toEqual([]);
    },
  );

  it('do not follow one that was asked to end, however it ended', () => {
    expect(created(actionsFor(job, [ended({ state: 'failed', stop })]))).toEqual([]);
  });

  it('give a task that had to make room a successor at once, whatever its job says of retries', () => {
    const once = retrying({ retries: { max: 0 } });
    const displaced = aTask(once, { state: 'killed', node: 'a', stop: { ...stop, displaced: true } });
    expect(created(actionsFor(once, [displaced]))).toMatchObject([{ attempt: 1, notBeforeMs: 0 }]);
    expect(created(actionsFor(once, [{ ...displaced, state: 'finished' }]))).toEqual([]);
    expect(created(actionsFor(once, [{ ...displaced, state: 'running' }]))).toEqual([]);
  });

  it('are not used up by being displaced', () => {
    const once = retrying({ retries: { max: 1, delaySeconds: 10 } });
    const displaced = aTask(once, { state: 'failed', node: 'a', stop: { ...stop, displaced: true } });
    const failed = aTask(once, { attempt: 1, state: 'failed', atMs: NOW });
    expect(created(actionsFor(once, [displaced, failed]))).toMatchObject([{ attempt: 2, notBeforeMs: NOW + 10_000 }]);
    const again = aTask(once, { attempt: 2, state: 'failed', atMs: NOW });
    expect(created(actionsFor(once, [displaced, failed, again]))).toEqual([]);
  });

  it('wait longer each time, up to the cap', () => {
    const waits = [0, 1, 2].map((attempt) => {
      const attempts = Array.from({ length: attempt + 1 }, (_, each) => ended({ state: 'failed', attempt: each }));
      return (created(actionsFor(job, attempts))[0]?.notBeforeMs ?? 0) - (NOW - 1000);
    });
    expect(waits).toEqual([10_000, 20_000, 40_000]);
    const capped = retrying({ retries: { max: 3, delaySeconds: 10, factor: 9, maxDelaySeconds: 11 } });
    const second = [0, 1].map((attempt) => aTask(capped, { attempt, state: 'failed', atMs: NOW }));
    expect(created(actionsFor(capped, second))[0]?.notBeforeMs).toBe(NOW + 11_000);
  });

  it('end when they are used up, and only the last attempt counts', () => {
    const attempts = [0, 1, 2, 3].map((attempt) => ended({ state: 'failed', attempt }));
    expect(created(actionsFor(job, attempts.slice(0, 3)))).toHaveLength(1);
    expect(outcome(actionsFor(job, attempts))?.state).toBe('failed');
    expect(
      outcome(actionsFor(job, [ended({ state: 'failed' }), ended({ state: 'finished', attempt: 1 })])),
    ).toMatchObject({
      state: 'succeeded',
    });
  });

  it('believe the clock of a node only between the placement and now', () => {
    const placed = { state: 'staging', atMs: NOW - 5000, reason: 'placed', message: '' } as const;
    const endedAt = (atMs: number) => {
      const task = ended({ state: 'failed' });
      const end = { state: 'failed', atMs, reason: 'exited', message: '' } as const;
      return { ...task, history: [...task.history.slice(0, 1), placed, end] };
    };
    const notBefore = (atMs: number) => created(actionsFor(job, [endedAt(atMs)]))[0]?.notBeforeMs;
    expect(notBefore(NOW + 86_400_000)).toBe(NOW + 10_000);
    expect(notBefore(NOW - 86_400_000)).toBe(NOW - 5000 + 10_000);
    expect(notBefore(NOW - 300)).toBe(NOW - 300 + 10_000);
  });
});

describe('stops', () => {
  it('reach every live task of a stopped job that is not being stopped yet, of whatever version', () => {
    const job = aJob({ version: 2, stop, spec: { groups: [aGroup({ count: 5 })] } });
    const running = aTask(job, { index: 0, state: 'running', node: 'a' });
    const pending = aTask(job, { index: 1 });
    const old = aTask(job, { index: 2, jobVersion: 1, state: 'staging', node: 'a' });
    const stopping = aTask(job, { index: 3, state: 'running', node: 'a', stop });
    const over = aTask(job, { index: 4, state: 'failed' });
    expect(actionsFor(job, [over, stopping, pending, running, old])).toEqual([
      { type: 'stop-task', task: old.id, stop },
      { type: 'stop-task', task: running.id, stop },
      { type: 'stop-task', task: pending.id, stop },
    ]);
  });

  it('reach the tasks of a deleted job', () => {
    const job = aJob({ deleted: true, outcome: { state: 'failed', atMs: T0, message: '' } });
    const running = aTask(job, { state: 'running', node: 'a' });
    expect(actionsFor(job, [running])).toEqual([
      { type: 'stop-task', task: running.id, stop: { atMs: NOW, by: 'berth', reason: 'the job was deleted' } },
    ]);
  });
});

describe('conclusions', () => {
  const three = aJob({ spec: { groups: [aGroup({ count: 3 })] } });
  const inState = (index: number, state: TaskState, change: Partial<Task> & { atMs?: number } = {}) =>
    aTask(three, { index, state, node: 'edge-1', ...change });

  it('wait for the last task', () => {
    const tasks = [inState(0, 'finished'), inState(1, 'finished'), inState(2, 'running')];
    expect(actionsFor(three, tasks)).toEqual([]);
  });

  it('wait for tasks of older versions too', () => {
    const job = { ...three, version: 2 };
    const done = [0, 1, 2].map((index) => aTask(job, { index, state: 'finished' }));
    const old = aTask(job, { jobVersion: 1, state: 'running', node: 'a', stop });
    expect(actionsFor(job, [...done, old])).toEqual([]);
    expect(outcome(actionsFor(job, [...done, { ...old, state: 'killed' }]))?.state).toBe('succeeded');
  });

  it('say that all finished', () => {
    expect(
      outcome(
        actionsFor(
          three,
          [0, 1, 2].map((index) => inState(index, 'finished')),
        ),
      ),
    ).toEqual({
      state: 'succeeded',
      atMs: NOW,
      message: 'all 3 tasks finished',
    });
  });

  it('name how many failed, how, and the first in full', () => {
    const tasks = [
      inState(0, 'finished'),
      inState(1, 'lost', { atMs: T0 + 500 }),
      inState(2, 'failed', { atMs: T0 + 400, exitCode: 3 }),
    ];
    expect(outcome(actionsFor(three, tasks))).toEqual({
      state: 'failed',
      atMs: NOW,
      message:
        '2 of 3 tasks did not finish (1 failed, 1 lost); first: task main[2] ended as failed on node edge-1 with exit code 3 (failed)',
    });
  });

  it('count attempts and say what the single failure was', () => {
    const job = retrying({ retries: { max: 1 } });
    const attempts = [0, 1].map((attempt) => aTask(job, { attempt, state: 'error' }));
    expect(outcome(actionsFor(job, attempts))?.message).toBe(
      '1 of 1 task did not finish (1 error): task main[0] ended as error, after 2 attempts (error)',
    );
  });

  it('say that a job was stopped, even where some of it finished or never began', () => {
    const job = { ...three, stop };
    expect(outcome(actionsFor(job, [inState(0, 'finished'), inState(1, 'killed')]))).toEqual({
      state: 'stopped',
      atMs: NOW,
      message: 'stopped by alice: enough; 1 of 3 tasks had finished',
    });
    expect(outcome(actionsFor(job))?.state).toBe('stopped');
  });

  it('are drawn once', () => {
    const over = aJob({ outcome: { state: 'succeeded', atMs: T0, message: '' } });
    expect(
      planBatchPass({
        cluster: { ...clusterOf({ jobs: [over] }), unsettledJobs: () => [over] },
        nowMs: NOW,
        unseenEndsForMs: new Map(),
      }).actions,
    ).toEqual([]);
  });
});

describe('a deleted job', () => {
  const job = aJob({ deleted: true });
  const lost = aTask(job, { state: 'lost', node: 'edge-1' });

  it('goes when all of its tasks have ended and left the ledgers', () => {
    expect(actionsFor(job, [lost])).toEqual([{ type: 'remove-job', job: job.uid }]);
    expect(actionsFor(job)).toEqual([{ type: 'remove-job', job: job.uid }]);
  });

  it('stays while one of them holds a place, even one that was given up', () => {
    const ledgers = [aLedger({ entries: [anEntry(job, lost, { disowned: true })] })];
    expect(actionsFor(job, [lost], { nodes: [aNode()], ledgers })).toEqual([]);
  });
});

describe('a pass', () => {
  it('is bounded, and asks for the next one at once', () => {
    const job = aJob({ stop, spec: { groups: [aGroup({ count: PASS_ACTIONS_MAX + 1 })] } });
    const running = Array.from({ length: PASS_ACTIONS_MAX + 1 }, (_, index) =>
      aTask(job, { index, state: 'running', node: 'a' }),
    );
    const first = plan({ jobs: [job], tasks: running });
    expect(first.actions).toHaveLength(PASS_ACTIONS_MAX);
    expect(first.wakeAtMs).toBe(NOW);
    const after = applyPass(clusterOf({ jobs: [job], tasks: running }), first);
    const second = planBatchPass({ cluster: after, nowMs: NOW, unseenEndsForMs: new Map() });
    expect(second.actions).toHaveLength(1);
    expect(plan({ jobs: [job], tasks: running.slice(1) })).toMatchObject({ wakeAtMs: null });
    expect(second.wakeAtMs).toBeNull();
  });

  it('goes through jobs in the order of their age, whatever order they come in', () => {
    const jobs = [
      aJob({ spec: { name: 'a' }, createdAtMs: T0 + 1 }),
      aJob({ spec: { name: 'c' } }),
      aJob({ spec: { name: 'b' } }),
    ];
    const uids = (some: readonly Job[]) => plan({ jobs: some }).actions.map((action) => 'job' in action && action.job);
    expect(uids(jobs)).toEqual(['uidb', 'uidc', 'uida']);
    expect(uids(jobs.toReversed())).toEqual(['uidb', 'uidc', 'uida']);
  });

  it('leaves nothing to do for the next one, until something happens', () => {
    const job = aJob({ version: 2, spec: { groups: [aGroup({ count: 2, retries: { max: 1 } })] } });
    const cluster = clusterOf({
      jobs: [job],
      tasks: [aTask(job, { jobVersion: 1, state: 'running', node: 'a' }), aTask(job, { state: 'failed' })],
    });
    const first = planBatchPass({ cluster, nowMs: NOW, unseenEndsForMs: new Map() });
    expect(first.actions.length).toBeGreaterThan(1);
    expect(
      planBatchPass({ cluster: applyPass(cluster, first), nowMs: NOW, unseenEndsForMs: new Map() }).actions,
    ).toEqual([]);
  });
});
