import { describe, expect, it } from 'vitest';
import { ACTION_TASKS_MAX } from '../../../control-plane/reconcile/actions.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Drain } from '../../../shared/domain/ledger.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { applyPass } from '../../support/apply-plan.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aSpec,
  aTask,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const plan = (literal: ClusterLiteral, nowMs: number) =>
  planNodeHealth({
    cluster: clusterOf(literal),
    nowMs,
    leasesCountFromMs: 0,
    unreachableForMs: new Map(),
    unseenEndsForMs: new Map(),
  });

/** One node, away since T0, on which the jobs' tasks run. */
function away(running: readonly (readonly [Job, Task])[], more: ClusterLiteral = {}): ClusterLiteral {
  return {
    nodes: [aNode()],
    ledgers: [aLedger({ entries: running.map(([job, task]) => anEntry(job, task)) })],
    epochs: { 'edge-1': { epoch: 7, unreachableSinceMs: T0 } },
    dead: ['edge-1'],
    jobs: running.map(([job]) => job),
    tasks: running.map(([, task]) => task),
    ...more,
  };
}

function runningJob(name: string, replaceAfterSeconds: number | 'never'): readonly [Job, Task] {
  const job = aJob({ spec: { name, replaceAfterSeconds } });
  return [job, aTask(job, { state: 'running', node: 'edge-1' })];
}

describe('a node', () => {
  it.each([
    { alive: true, since: null, actions: [] },
    { alive: false, since: null, actions: [{ type: 'mark-unreachable', node: 'edge-1', sinceMs: T0 + 5 }] },
    { alive: false, since: T0, actions: [] },
    { alive: true, since: T0, actions: [{ type: 'mark-reachable', node: 'edge-1' }] },
  ])('that is alive: $alive and marked since $since', ({ alive, since, actions }) => {
    const epochs = { 'edge-1': { epoch: 1, unreachableSinceMs: since } };
    const { actions: planned } = plan({ nodes: [aNode()], epochs, dead: alive ? [] : ['edge-1'] }, T0 + 5);
    expect(planned).toEqual(actions);
  });

  it('that has no epoch yet is left alone', () => {
    const cluster = { ...clusterOf({ nodes: [aNode()], dead: ['edge-1'] }), epochs: new Map() };
    expect(
      planNodeHealth({
        cluster,
        nowMs: T0,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      }),
    ).toEqual({
      actions: [],
      wakeAtMs: null,
    });
  });

  it('is looked at in the order of ids', () => {
    const nodes = ['c', 'a', 'b'].map((id) => aNode({ id }));
    const { actions } = plan({ nodes, dead: ['a', 'b', 'c'] }, T0);
    expect(actions.map((action) => 'node' in action && action.node)).toEqual(['a', 'b', 'c']);
  });
});

describe('tasks of an unreachable node', () => {
  it('are given up when their own job has waited long enough, not earlier', () => {
    const short = runningJob('short', 10);
    const long = runningJob('long', 90.5);
    const literal = away([short, long, runningJob('never', 'never')]);
    expect(plan(literal, T0 + 9999)).toEqual({ actions: [], wakeAtMs: T0 + 10_000 });
    expect(plan(literal, T0 + 10_000)).toEqual({
      actions: [
        {
          type: 'give-up-tasks',
          node: 'edge-1',
          tasks: [short[1].id],
          atMs: T0 + 10_000,
          message: 'node edge-1 has been unreachable for 10 s, longer than the job waits for it',
        },
      ],
      wakeAtMs: T0 + 90_500,
    });
    const both = plan(literal, T0 + 90_500);
    expect(both.actions).toMatchObject([{ tasks: [long[1].id, short[1].id] }]);
    expect(both.wakeAtMs).toBeNull();
  });

  it('are not given up once the node is back', () => {
    expect(plan({ ...away([runningJob('short', 10)]), dead: [] }, T0 + 99_000).actions).toEqual([
      { type: 'mark-reachable', node: 'edge-1' },
    ]);
  });

  it('count by what the job says now, else by its version, else by the default', () => {
    const [job, task] = runningJob('one', 10);
    const wakeAt = (change: ClusterLiteral) => plan(away([[job, task]], change), T0).wakeAtMs;
    const version = {
      jobUid: job.uid,
      version: 1,
      createdAtMs: T0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
    };
    const versions = [{ ...version, spec: aSpec({ name: 'one', replaceAfterSeconds: 20 }) }];
    expect(wakeAt({ jobs: [{ ...job, version: 2 }], versions })).toBe(T0 + 10_000);
    expect(wakeAt({ jobs: [], versions })).toBe(T0 + 20_000);
    expect(wakeAt({ jobs: [] })).toBe(T0 + 60_000);
  });

  it('that have ended or were given up before are passed over', () => {
    const [job, task] = runningJob('one', 10);
    const finished = { ...task, state: 'finished' as const };
    expect(plan(away([[job, finished]]), T0 + 99_000)).toEqual({ actions: [], wakeAtMs: null });
    const ledgers = [aLedger({ entries: [anEntry(job, task, { disowned: true })] })];
    expect(plan(away([[job, task]], { ledgers }), T0 + 99_000).actions).toEqual([]);
  });

  it('are given up in transactions of a bounded size, once', () => {
    const job = aJob({ spec: { groups: [aGroup({ count: ACTION_TASKS_MAX + 1 })] } });
    const all = Array.from({ length: ACTION_TASKS_MAX + 1 }, (_, index) => {
      return [job, aTask(job, { index, state: 'running', node: 'edge-1' })] as const;
    });
    const cluster = clusterOf(away(all, { jobs: [job] }));
    const first = planNodeHealth({
      cluster,
      nowMs: T0 + 60_000,
      leasesCountFromMs: 0,
      unreachableForMs: new Map(),
      unseenEndsForMs: new Map(),
    });
    expect(first.actions.map((action) => 'tasks' in action && action.tasks.length)).toEqual([ACTION_TASKS_MAX, 1]);
    const after = applyPass(cluster, first);
    expect([...after.tasks.values()].every(({ state }) => state === 'lost')).toBe(true);
    expect(
      planNodeHealth({
        cluster: after,
        nowMs: T0 + 60_000,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      }).actions,
    ).toEqual([]);
  });
});

describe('a draining node', () => {
  const drain: Drain = { startedAtMs: T0, deadlineMs: T0 + 1000, by: 'bob' };
  const [job, task] = runningJob('one', 60);
  const draining = (change: Partial<Drain> = {}, of: Task = task): ClusterLiteral => ({
    nodes: [aNode()],
    ledgers: [aLedger({ drain: { ...drain, ...change }, entries: [anEntry(job, of)] })],
    jobs: [job],
    tasks: [of],
  });

  it('lets its tasks run until the deadline, and then displaces each', () => {
    expect(plan(draining(), T0 + 999)).toEqual({ actions: [], wakeAtMs: T0 + 1000 });
    expect(plan(draining(), T0 + 1000)).toEqual({
      actions: [
        {
          type: 'stop-task',
          task: task.id,
          stop: {
            atMs: T0 + 1000,
            by: 'bob',
            reason: 'node edge-1 is being drained, and its deadline has passed',
            displaced: true,
          },
        },
      ],
      wakeAtMs: null,
    });
  });

  it('stops them within the longest grace that was given with it', () => {
    expect(plan(draining({ graceMsMax: 500 }), T0 + 1000).actions).toMatchObject([{ graceMsMax: 500 }]);
  });

  it('lets them run to their own end where there is no deadline', () => {
    expect(plan(draining({ deadlineMs: null }), T0 + 1e9)).toEqual({ actions: [], wakeAtMs: null });
  });

  it('stops nothing twice, and nothing that has ended', () => {
    const stopping = { ...task, stop: { atMs: T0, by: 'alice', reason: 'enough' } };
    expect(plan(draining({}, stopping), T0 + 1000).actions).toEqual([]);
    expect(plan(draining({}, { ...task, state: 'finished' }), T0 + 1000).actions).toEqual([]);
  });
});
