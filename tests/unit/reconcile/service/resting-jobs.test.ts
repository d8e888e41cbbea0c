import { beforeEach, describe, expect, test } from 'vitest';
import { RestingJobs } from '../../../../control-plane/reconcile/service/resting-jobs.ts';
import { planServicePass } from '../../../../control-plane/reconcile/service/service-pass.ts';
import { SnapshotTouches } from '../../../../control-plane/store/touch-log.ts';
import type { ClusterView } from '../../../../shared/domain/cluster.ts';
import type { Job } from '../../../../shared/domain/job.ts';
import type { Task } from '../../../../shared/domain/task.ts';
import { aGroup, aJob, aLedger, aNode, aTask, type ClusterLiteral, clusterOf, T0 } from '../../../support/builders.ts';

const GROUPS = [aGroup({ count: 1 })];
const JOBS = ['one', 'two'].map((name) => aJob({ spec: { name, kind: 'service', groups: GROUPS } }));
const NODES = [aNode({ id: 'n0' })];
const TASKS = JOBS.map((job) => aTask(job, { state: 'running', node: 'n0' }));

let touched: SnapshotTouches;
let resting: RestingJobs;
let asked: string[];

beforeEach(() => {
  touched = new SnapshotTouches();
  resting = new RestingJobs();
  pass({});
});

/** Runs a pass and says of which jobs it looked at the tasks. */
function pass(change: ClusterLiteral, nowMs = T0): string[] {
  asked = [];
  const cluster = clusterOf({ nodes: NODES, jobs: JOBS, tasks: TASKS, ...change });
  const view: ClusterView = { ...cluster, touched, tasksOfJob: (uid) => noted(uid, cluster.tasksOfJob(uid)) };
  planServicePass({ cluster: view, nowMs, unseenEndsForMs: new Map(), resting });
  return asked;
}

function noted(uid: string, tasks: Iterable<Task>): Iterable<Task> {
  asked.push(uid);
  return tasks;
}

const [ONE, TWO] = JOBS as [Job, Job];

describe('of jobs of which nothing is to be done', () => {
  test('none is looked at while nothing changes', () => {
    expect(pass({})).toEqual([]);
    expect(pass({}, T0 + 3_600_000)).toEqual([]);
  });

  test('one is looked at whose task was touched, once', () => {
    touched.task(TASKS[1]?.id ?? '');
    expect(pass({})).toEqual([TWO.uid]);
    expect(pass({})).toEqual([]);
  });

  test('one is looked at whose task is on record no more', () => {
    touched.task(TASKS[1]?.id ?? '');
    expect(pass({ tasks: TASKS.slice(0, 1) })).toEqual([TWO.uid]);
  });

  test('one is looked at that is another one', () => {
    expect(pass({ jobs: [{ ...ONE }, TWO] })).toEqual([ONE.uid]);
  });

  test('one is looked at for as long as something is to be done', () => {
    touched.task(TASKS[1]?.id ?? '');
    const tasks = TASKS.slice(0, 1);
    pass({ tasks });
    expect(pass({ tasks })).toEqual([TWO.uid]);
  });

  test.each<[string, ClusterLiteral, boolean]>([
    ['takes on a task', { ledgers: [aLedger({ node: 'n0', assignmentGeneration: 2 })] }, false],
    ['is drained', { ledgers: [aLedger({ node: 'n0', drain: { startedAtMs: T0, deadlineMs: null, by: 'a' } })] }, true],
    ['takes nothing new', { ledgers: [aLedger({ node: 'n0', eligible: false })] }, true],
    ['is not reached', { epochs: { n0: { epoch: 1, unreachableSinceMs: T0 } } }, true],
    ['says other things', { nodes: [aNode({ id: 'n0' })] }, true],
  ])('all are looked at when their node %s', (_what, change, isLookedAt) => {
    touched.node('n0');
    expect(pass(change)).toEqual(isLookedAt ? [ONE.uid, TWO.uid] : []);
  });

  test('all are looked at when too much has happened to be told', () => {
    touched.everything();
    expect(pass({})).toEqual([ONE.uid, TWO.uid]);
  });

  test('all are looked at where the state does not tell', () => {
    const cluster = clusterOf({ nodes: NODES, jobs: JOBS, tasks: [] });
    const { actions } = planServicePass({ cluster, nowMs: T0, unseenEndsForMs: new Map(), resting });
    expect(actions).toHaveLength(2);
  });

  test('one is looked at when a task of it comes to count', () => {
    const update = { minHealthy: 1, maxOver: 0, strategy: 'rolling', canaries: 1, autoPromote: false } as const;
    const spec = {
      ...ONE.spec,
      update: { ...update, minHealthySeconds: 30, progressDeadlineSeconds: 60, autoRevert: false },
    };
    const jobs = [{ ...ONE, spec }, TWO];
    pass({ jobs });
    expect(pass({ jobs }, T0 + 29_999)).toEqual([]);
    expect(pass({ jobs }, T0 + 30_000)).toEqual([ONE.uid]);
  });
});
