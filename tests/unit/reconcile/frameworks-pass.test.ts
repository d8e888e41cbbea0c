import { describe, expect, it } from 'vitest';
import type { PassAction } from '../../../control-plane/reconcile/actions.ts';
import { CONNECT_MS, FAILOVER, planFrameworks } from '../../../control-plane/reconcile/frameworks-pass.ts';
import { KEEP_MIN_MS, planRetention, RETENTION_DEFAULTS } from '../../../control-plane/reconcile/retention-pass.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import { advance, isTerminal, TASK_STATES, type Task, type TaskState } from '../../../shared/domain/task.ts';
import { applyPass } from '../../support/apply-plan.ts';
import { aFramework, aJob, aLedger, anEntry, type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';
import { NO_OUTAGE } from '../../support/replica.ts';

const ID = 'f000000000001';
const TEARDOWN = { atMs: T0, by: 'alice', reason: 'enough' };

function plan(
  change: Partial<Framework>,
  {
    nowMs = T0,
    leasesCountFromMs = 0,
    ...literal
  }: ClusterLiteral & { nowMs?: number; leasesCountFromMs?: number } = {},
): { actions: readonly PassAction[]; wakeAtMs: number | null } {
  const cluster = clusterOf({ frameworks: [aFramework(change)], ...literal });
  return planFrameworks({ ...NO_OUTAGE, cluster, nowMs, leasesCountFromMs });
}

const AWAY = { disconnected: [ID] };

describe('a framework', () => {
  it.each<[string, Partial<Framework>, Parameters<typeof plan>[1], string | null, number | null]>([
    ['with a stream is left alone', {}, {}, null, null],
    ['whose stream is open again is marked so', { disconnectedSinceMs: T0 }, {}, 'mark-connected', null],
    ['without a stream is marked so', {}, AWAY, 'mark-disconnected', null],
    [
      'without a stream is not marked while leases do not count',
      {},
      { ...AWAY, leasesCountFromMs: T0 + 5 },
      null,
      T0 + 5,
    ],
    [
      'is waited for until its failover timeout has passed',
      { disconnectedSinceMs: T0, subscribedAtMs: T0 - 1 },
      { ...AWAY, nowMs: T0 + 59_999 },
      null,
      T0 + 60_000,
    ],
    [
      'is torn down then',
      { disconnectedSinceMs: T0, subscribedAtMs: T0 - 1 },
      { ...AWAY, nowMs: T0 + 60_000 },
      'tear-down',
      null,
    ],
    [
      'is not torn down while leases do not count',
      { disconnectedSinceMs: T0, subscribedAtMs: T0 - 1 },
      { ...AWAY, nowMs: T0 + 60_000, leasesCountFromMs: T0 + 60_001 },
      null,
      T0 + 60_001,
    ],
    [
      'that does not fail over is torn down at once',
      { disconnectedSinceMs: T0, subscribedAtMs: T0 - 1, failoverTimeoutSeconds: 0 },
      AWAY,
      'tear-down',
      null,
    ],
    [
      'gets the time to open its first stream all the same',
      { disconnectedSinceMs: T0, subscribedAtMs: T0, failoverTimeoutSeconds: 0 },
      { ...AWAY, nowMs: T0 + CONNECT_MS - 1 },
      null,
      T0 + CONNECT_MS,
    ],
    [
      'gets no more time than that',
      { disconnectedSinceMs: T0, subscribedAtMs: T0, failoverTimeoutSeconds: 0 },
      { ...AWAY, nowMs: T0 + CONNECT_MS },
      'tear-down',
      null,
    ],
    ['that was torn down is not waited for', { teardown: TEARDOWN, disconnectedSinceMs: T0 }, AWAY, null, null],
  ])('%s', (_name, change, options, action, wakeAtMs) => {
    const planned = plan(change, options);
    expect(planned.actions.map(({ type }) => type)).toEqual(action === null ? [] : [action]);
    expect(planned.wakeAtMs).toBe(wakeAtMs);
  });

  it('has what it launched stopped once it is torn down, each task once, in an order that does not change', () => {
    const [one, two] = [launchedTask(ID, 'one', { state: 'running' }), launchedTask(ID, 'two')];
    const ended = launchedTask(ID, 'three', { state: 'finished' });
    const other = launchedTask('f000000000002', 'four');
    const tasks = [two, ended, other, one];
    const cluster = clusterOf({ frameworks: [aFramework({ teardown: TEARDOWN })], tasks });
    const planned = planFrameworks({ ...NO_OUTAGE, cluster, nowMs: T0 + 1 });
    expect(planned.actions).toMatchObject([
      { type: 'stop-task', task: one.id, stop: { by: 'alice', atMs: T0 + 1 } },
      { type: 'stop-task', task: two.id },
    ]);
    expect(planFrameworks({ ...NO_OUTAGE, cluster: applyPass(cluster, planned), nowMs: T0 + 2 }).actions).toEqual([]);
  });

  it('that has stayed away is torn down by the timeout, and its tasks end by the next pass', () => {
    const task = launchedTask(ID, 'one', { state: 'running' });
    const framework = aFramework({ disconnectedSinceMs: T0, subscribedAtMs: T0 - 1 });
    const cluster = clusterOf({ frameworks: [framework], tasks: [task], ...AWAY });
    const nowMs = T0 + 60_000;
    const after = applyPass(cluster, planFrameworks({ ...NO_OUTAGE, cluster, nowMs }));
    expect(after.frameworks.get(ID)?.teardown).toMatchObject({ by: FAILOVER, atMs: nowMs });
    const then = planFrameworks({ ...NO_OUTAGE, cluster: after, nowMs });
    expect(then.actions).toMatchObject([{ type: 'stop-task', task: task.id }]);
  });
});

describe('tasks that were launched as a group', () => {
  const grouped = (name: string, state: TaskState, change: Partial<Task> = {}, together = 'one') => {
    const task = launchedTask(ID, name, { state, ...change });
    return { ...task, framework: { id: ID, name, acknowledged: 1, labels: {}, annotations: {}, together } };
  };
  const stopped = (...tasks: Task[]) =>
    plan({}, { tasks }).actions.flatMap((action) => (action.type === 'stop-task' ? [action.task] : [action.type]));

  it.each([...TASK_STATES.filter(isTerminal)])('are stopped once one is %s, unless that is a good end', (state) => {
    const [one, two, three] = [grouped('one', state), grouped('two', 'running'), grouped('three', 'staging')];
    const done = grouped('four', 'finished');
    expect(stopped(two, one, done, three)).toEqual(state === 'finished' ? [] : [three.id, two.id]);
  });

  it('are left alone while all of them live, and so is whatever is of another one', () => {
    expect(stopped(grouped('one', 'running'), grouped('two', 'staging'))).toEqual([]);
    const other = grouped('other', 'running', {}, 'other');
    const alone = launchedTask(ID, 'alone', { state: 'running' });
    expect(stopped(grouped('one', 'failed'), other, alone, launchedTask(ID, 'failed', { state: 'failed' }))).toEqual(
      [],
    );
  });

  it('are stopped once, and say whose end was the first', () => {
    const exited = (name: string, atMs: number) =>
      advance(grouped(name, 'running'), { state: 'failed', atMs, reason: 'exited', message: `exited with ${atMs}` });
    const left = grouped('three', 'running');
    const tasks = [exited('one', T0 + 9), exited('two', T0 + 5), left];
    const cluster = clusterOf({ frameworks: [aFramework()], tasks });
    const planned = planFrameworks({ ...NO_OUTAGE, cluster, nowMs: T0 + 10 });
    const reason = `"two", launched in one group with it, ended as failed: exited with ${T0 + 5}`;
    const stop = { atMs: T0 + 10, by: 'berth', reason };
    expect(planned.actions).toEqual([{ type: 'stop-task', task: left.id, stop }]);
    expect(planFrameworks({ ...NO_OUTAGE, cluster: applyPass(cluster, planned), nowMs: T0 + 11 }).actions).toEqual([]);
  });

  it('end by themselves with a framework that is torn down', () => {
    const tasks = [grouped('one', 'failed'), grouped('two', 'running')];
    const { actions } = plan({ teardown: TEARDOWN }, { tasks });
    expect(actions).toMatchObject([{ type: 'stop-task', stop: { by: 'alice' } }]);
  });
});

function forgotten(literal: ClusterLiteral, nowMs: number, policy = RETENTION_DEFAULTS): string[] {
  const { actions } = planRetention({ cluster: clusterOf(literal), nowMs, policy });
  return actions.flatMap((action) =>
    action.type === 'forget' ? action.records.map((one) => JSON.stringify(one)) : [],
  );
}

describe('what is kept of a framework', () => {
  const gone = aFramework({ teardown: TEARDOWN });
  const record = JSON.stringify({ kind: 'framework', framework: ID });

  it('is its record for a while after it was torn down, and for as long as there are tasks of it', () => {
    expect(forgotten({ frameworks: [gone] }, T0 + KEEP_MIN_MS - 1)).toEqual([]);
    expect(forgotten({ frameworks: [gone] }, T0 + KEEP_MIN_MS)).toEqual([record]);
    const task = launchedTask(ID, 'one', { state: 'finished' });
    expect(forgotten({ frameworks: [gone], tasks: [task] }, T0 + KEEP_MIN_MS)).toEqual([]);
    expect(forgotten({ frameworks: [aFramework()] }, T0 + 10 * RETENTION_DEFAULTS.keepMs)).toEqual([]);
  });

  it('is what it has not acknowledged of its operations, which goes before its own record', () => {
    const operation = { id: 'p1', framework: ID, name: 'one', node: 'edge-1', atMs: T0 };
    const operations = [operation];
    expect(forgotten({ frameworks: [gone], operations }, T0 + KEEP_MIN_MS - 1)).toEqual([]);
    expect(forgotten({ frameworks: [gone], operations }, T0 + KEEP_MIN_MS)).toEqual([
      JSON.stringify({ kind: 'operation', framework: ID, name: 'one' }),
    ]);
    expect(forgotten({ frameworks: [aFramework()], operations }, T0 + 10 * RETENTION_DEFAULTS.keepMs)).toEqual([]);
  });

  it.each(TASK_STATES.filter((state) => state !== 'pending'))(
    'is a task that is %s until it holds no place',
    (state) => {
      const task = launchedTask(ID, 'one', { state });
      const ledger = aLedger({ entries: [anEntry(aJob(), task, { framework: ID })] });
      const late = T0 + RETENTION_DEFAULTS.keepMs + 10;
      expect(forgotten({ frameworks: [aFramework()], tasks: [task], ledgers: [ledger] }, late)).toEqual([]);
    },
  );

  it('is an ended task that it has not heard of for longer than those that it has, however many there are', () => {
    const owed = launchedTask(ID, 'a', { state: 'failed' });
    const heard = ['b', 'c', 'd'].map((name) =>
      launchedTask(ID, name, {
        state: 'failed',
        framework: { id: ID, name, acknowledged: 2, labels: {}, annotations: {}, together: null },
      }),
    );
    const tasks = [owed, ...heard];
    const policy = { ...RETENTION_DEFAULTS, endedTasksMax: 1 };
    const goes = (framework: Framework) => forgotten({ frameworks: [framework], tasks }, T0 + KEEP_MIN_MS + 10, policy);
    expect(goes(aFramework())).toEqual(heard.map(({ id }) => JSON.stringify({ kind: 'task', id })));
    const all = { ...policy, endedTasksMax: 0 };
    expect(forgotten({ frameworks: [aFramework()], tasks }, T0 + KEEP_MIN_MS + 10, all)).toHaveLength(4);
    expect(goes(gone)).toEqual(
      [owed, heard[0], heard[1]].map((task) => JSON.stringify({ kind: 'task', id: task?.id })),
    );
  });
});
