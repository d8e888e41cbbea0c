import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FORGET_RECORDS_MAX, type Forgettable } from '../../../control-plane/reconcile/actions.ts';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import {
  GONE_KEEP_MS,
  KEEP_MIN_MS,
  planRetention,
  RETENTION_ACTIONS_MAX,
  RETENTION_DEFAULTS,
  type RetentionPolicy,
} from '../../../control-plane/reconcile/retention-pass.ts';
import { DEPLOYMENTS_KEPT_MAX } from '../../../control-plane/reconcile/service/kept-records.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import type { Job, JobVersion } from '../../../shared/domain/job.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import { isTerminal, TASK_STATES, type Task } from '../../../shared/domain/task.ts';
import { applyPass } from '../../support/apply-plan.ts';
import {
  aDeployment,
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

const { keepMs } = RETENTION_DEFAULTS;
/** Keeps nothing but what must be kept. */
const NOTHING: RetentionPolicy = { keepMs: 0, endedJobsMax: 0, endedTasksMax: 0, versionsMax: 1 };

function forgotten(cluster: ClusterView, nowMs: number, policy: Partial<RetentionPolicy> = {}): string[] {
  const { actions } = planRetention({ cluster, nowMs, policy: { ...RETENTION_DEFAULTS, ...policy } });
  return actions.flatMap((action) => (action.type === 'forget' ? action.records.map(nameOf) : [action.type]));
}

function nameOf(record: Forgettable): string {
  if (record.kind === 'gone-node') return `gone ${record.node}`;
  if (record.kind === 'framework') return `framework ${record.framework}`;
  if (record.kind === 'operation') return `operation ${record.framework} ${record.name}`;
  if (record.kind === 'deployment') return `deployment ${record.id}`;
  return record.kind === 'task'
    ? record.id
    : `${record.kind} ${record.job}${'version' in record ? ` ${record.version}` : ''}`;
}

function ended(name: string, atMs: number, change: Partial<Omit<Job, 'spec'>> = {}): { job: Job; task: Task } {
  const job = aJob({ spec: { name }, outcome: { state: 'succeeded', atMs, message: 'all finished' }, ...change });
  return { job, task: aTask(job, { state: 'finished', atMs, node: 'edge-1' }) };
}

function clusterWith(all: readonly { job: Job; task: Task }[], more: ClusterLiteral = {}): ClusterView {
  return clusterOf({ nodes: [aNode()], jobs: all.map(({ job }) => job), tasks: all.map(({ task }) => task), ...more });
}

function versionOf(job: Job, version: number): JobVersion {
  return {
    jobUid: job.uid,
    version,
    spec: job.spec,
    createdAtMs: T0,
    createdBy: 'alice',
    change: 'created' as const,
    templates: {},
  };
}

describe('a job that has ended', () => {
  const one = ended('one', T0);

  it('goes with its tasks and versions when its time is over, its own record last', () => {
    const cluster = clusterWith([one], { versions: [versionOf(one.job, 1)] });
    expect(forgotten(cluster, T0 + keepMs - 1)).toEqual([]);
    expect(forgotten(cluster, T0 + keepMs)).toEqual([one.task.id, 'version uidone 1', 'job uidone']);
  });

  it('stays for as long as something of it holds a place', () => {
    const entry = anEntry(one.job, one.task, { disowned: true });
    expect(forgotten(clusterWith([one], { ledgers: [aLedger({ entries: [entry] })] }), T0 + 10 * keepMs)).toEqual([]);
  });

  it('stays if it is to be deleted anyway, or has no outcome', () => {
    const all = [ended('deleted', T0, { deleted: true }), ended('live', T0, { outcome: null })];
    expect(forgotten(clusterWith(all), T0 + 10 * keepMs)).toEqual([]);
  });

  it('is one of as many as are kept: the oldest go first, but none that has ended only just now', () => {
    const all = ['a', 'b', 'c', 'd'].map((name, at) => ended(name, T0 + at));
    const cluster = clusterWith(all);
    const jobs = (nowMs: number, policy: Partial<RetentionPolicy>) =>
      forgotten(cluster, nowMs, policy).filter((record) => record.startsWith('job'));
    expect(jobs(T0 + KEEP_MIN_MS + 3, { endedJobsMax: 2 })).toEqual(['job uida', 'job uidb']);
    expect(jobs(T0 + KEEP_MIN_MS, { endedJobsMax: 2 })).toEqual(['job uida']);
    expect(jobs(T0 + KEEP_MIN_MS + 3, { endedTasksMax: 1 })).toEqual(['job uida', 'job uidb', 'job uidc']);
    expect(jobs(T0 + KEEP_MIN_MS + 3, {})).toEqual([]);
  });
});

describe('ended tasks', () => {
  it('of a job that was removed are kept for as long as jobs are', () => {
    const { task } = ended('gone', T0);
    const cluster = clusterOf({ nodes: [aNode()], tasks: [task] });
    expect(forgotten(cluster, T0 + keepMs - 1)).toEqual([]);
    expect(forgotten(cluster, T0 + keepMs)).toEqual([task.id]);
    expect(forgotten(cluster, T0 + KEEP_MIN_MS, { endedTasksMax: 0 })).toEqual([task.id]);
  });

  it('of the version that a job is at stay, whatever their number and age', () => {
    const job = aJob({ spec: { groups: [aGroup({ retries: { max: 5 } })] } });
    const tasks = [0, 1, 2].map((attempt) => aTask(job, { attempt, state: 'failed' }));
    expect(forgotten(clusterOf({ jobs: [job], tasks }), T0 + 10 * keepMs, NOTHING)).toEqual([]);
  });

  it('of earlier versions go', () => {
    const job = aJob({ version: 3 });
    const tasks = [1, 2, 3].map((jobVersion) => aTask(job, { jobVersion, state: 'killed' }));
    const cluster = clusterOf({ jobs: [job], tasks, versions: [versionOf(job, 1), versionOf(job, 2)] });
    expect(forgotten(cluster, T0 + keepMs)).toEqual(tasks.slice(0, 2).map(({ id }) => id));
  });

  it('are told in their age from when they ended, and not before they were placed, whatever a node says', () => {
    const job = aJob({ spec: { name: 'gone' } });
    const history = [
      { state: 'pending', atMs: T0, reason: 'submitted', message: '' },
      { state: 'staging', atMs: T0 + 5000, reason: 'placed', message: '' },
      { state: 'finished', atMs: 0, reason: 'exited', message: '' },
    ] as const;
    const cluster = clusterOf({ tasks: [aTask(job, { state: 'finished', history })] });
    expect(forgotten(cluster, T0 + 4999 + keepMs)).toEqual([]);
    expect(forgotten(cluster, T0 + 5000 + keepMs)).toHaveLength(1);
  });
});

describe('versions', () => {
  const job = aJob({ version: 6 });
  const versions = [1, 2, 3, 4, 5].map((version) => versionOf(job, version));

  it('beyond those that are kept go, also of a job that lives', () => {
    const cluster = clusterOf({ jobs: [job], versions });
    expect(forgotten(cluster, T0, { versionsMax: 4 })).toEqual(['version uiddemo 1', 'version uiddemo 2']);
    expect(forgotten(cluster, T0, { versionsMax: 6 })).toEqual([]);
  });

  it('stay while a task of theirs is on record, which goes with them when it has ended', () => {
    const tasks = [
      aTask(job, { jobVersion: 1, state: 'running', node: 'edge-1' }),
      aTask(job, { jobVersion: 2, state: 'failed' }),
    ];
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job], versions, tasks });
    expect(forgotten(cluster, T0 + 1, { versionsMax: 4 })).toEqual([]);
    expect(forgotten(cluster, T0 + KEEP_MIN_MS, { versionsMax: 4 })).toEqual([tasks[1]?.id]);
  });
});

describe('of a service', () => {
  const service = (change: Partial<Omit<Job, 'spec'>>) => aJob({ spec: { kind: 'service' }, version: 6, ...change });

  it('the newest attempts stay that it may go on from, and all others go', () => {
    const job = service({ templates: { main: 5 }, goodVersion: 2 });
    const made = [
      aTask(job, { jobVersion: 1, state: 'killed' }),
      aTask(job, { jobVersion: 2, state: 'killed' }),
      aTask(job, { jobVersion: 2, attempt: 1, state: 'killed' }),
      aTask(job, { jobVersion: 3, state: 'killed' }),
      aTask(job, { jobVersion: 3, index: 1, state: 'running' }),
      aTask(job, { jobVersion: 5, state: 'failed' }),
      aTask(job, { jobVersion: 5, attempt: 1, state: 'failed' }),
      aTask(job, { jobVersion: 5, attempt: 2, state: 'failed' }),
    ];
    const good = { ...versionOf(job, 2), templates: { main: 2 } };
    const cluster = clusterOf({ jobs: [job], tasks: made, versions: [good] });
    const gone = [0, 1, 5, 6].map((at) => made[at]?.id);
    expect(forgotten(cluster, T0 + keepMs).sort()).toEqual(gone.sort());
  });

  it('versions stay that it may be taken back to, or that its deployment or its tasks come from', () => {
    const job = service({ templates: { main: 3 }, goodVersion: 2, deployments: 1 });
    const versions = [1, 2, 3, 4, 5].map((version) => versionOf(job, version));
    const deployments = [aDeployment(job, { fromVersion: 4 })];
    const cluster = clusterOf({ jobs: [job], versions, deployments });
    expect(forgotten(cluster, T0, NOTHING)).toEqual(['version uiddemo 1', 'version uiddemo 5']);
  });

  it('versions stay that stand beside what is tried out, though that was aborted', () => {
    const groups = [aGroup({ image: 'another:1' })];
    const spec = { kind: 'service' as const, update: { ...DEFAULT_UPDATE, strategy: 'canary' as const }, groups };
    const job = aJob({ spec, version: 6, templates: { main: 6 }, goodVersion: 2, deployments: 1 });
    const first = service({});
    const versions = [1, 2, 3, 4, 5].map((version) => versionOf(first, version));
    const ended = aTask(job, { jobVersion: 3, state: 'killed' });
    const aborted = { state: 'cancelled', fromVersion: 4, fromTemplates: { main: 3 } } as const;
    const forgottenAfter = (change: Partial<Deployment>) => {
      const deployments = [aDeployment(job, { ...aborted, ...change })];
      return forgotten(clusterOf({ jobs: [job], versions, deployments, tasks: [ended] }), T0 + keepMs, NOTHING);
    };
    expect(forgottenAfter({})).toEqual(['version uiddemo 1', 'version uiddemo 5']);
    expect(forgottenAfter({ promotedAtMs: T0 })).toContain(ended.id);
    expect(forgottenAfter({ promotedAtMs: T0 })).toContain('version uiddemo 4');
  });

  it('the last deployments stay, and what is under way', () => {
    const job = service({ deployments: 30 });
    const deployments = Array.from({ length: 30 }, (_, at) => {
      const state = at === 0 ? 'running' : 'succeeded';
      return aDeployment(job, { id: `${job.uid}-d${at + 1}`, state, createdAtMs: T0 + at });
    });
    const cluster = clusterOf({ jobs: [job], deployments });
    const gone = Array.from({ length: 29 - DEPLOYMENTS_KEPT_MAX }, (_, at) => `deployment ${job.uid}-d${at + 2}`);
    expect(forgotten(cluster, T0)).toEqual(gone);
  });

  it('that has been stopped all goes together', () => {
    const outcome = { state: 'stopped', atMs: T0, message: 'stopped' } as const;
    const job = service({ version: 1, deployments: 1, outcome });
    const deployments = [aDeployment(job, { state: 'succeeded' })];
    const cluster = clusterOf({ jobs: [job], deployments });
    expect(forgotten(cluster, T0 + keepMs)).toEqual([
      `deployment ${job.uid}-d1`,
      `version ${job.uid} 1`,
      `job ${job.uid}`,
    ]);
  });
});

describe('the work of one run', () => {
  it('is bounded in records for each transaction, and in transactions', () => {
    const all = Array.from({ length: 900 }, (_, at) => ended(`j${String(at).padStart(4, '0')}`, T0));
    const cluster = clusterWith(all);
    const { actions, more } = planRetention({ cluster, nowMs: T0 + keepMs, policy: RETENTION_DEFAULTS });
    expect(actions).toHaveLength(RETENTION_ACTIONS_MAX);
    expect(actions.map((action) => 'records' in action && action.records.length)).toEqual(
      Array.from({ length: RETENTION_ACTIONS_MAX }, () => FORGET_RECORDS_MAX),
    );
    expect(more).toBe(true);
  });

  it('is nothing where nothing has ended', () => {
    const { job, task } = ended('one', T0 + keepMs);
    const plan = planRetention({
      cluster: clusterWith([{ job, task }]),
      nowMs: T0 + keepMs,
      policy: RETENTION_DEFAULTS,
    });
    expect(plan).toEqual({ actions: [], more: false });
  });
});

const taskShape = fc.record({
  jobVersion: fc.integer({ min: 1, max: 3 }),
  index: fc.integer({ min: 0, max: 1 }),
  attempt: fc.integer({ min: 0, max: 2 }),
  state: fc.constantFrom(...TASK_STATES),
  holds: fc.boolean(),
  atMs: fc.constantFrom(T0, T0 + KEEP_MIN_MS),
});

const jobShape = fc.record({
  name: fc.stringMatching(/^[a-z]{1,3}$/),
  version: fc.integer({ min: 1, max: 3 }),
  isOnRecord: fc.boolean(),
  hasOutcome: fc.boolean(),
  deleted: fc.constantFrom(false, false, true),
  stopped: fc.boolean(),
  tasks: fc.uniqueArray(taskShape, {
    maxLength: 6,
    selector: (task) => `${task.jobVersion}/${task.index}/${task.attempt}`,
  }),
});

/** Jobs in every condition that they can be in; one with an outcome has nothing that lives. */
const cluster = fc.uniqueArray(jobShape, { maxLength: 5, selector: ({ name }) => name }).map((shapes) => {
  const made = shapes.map((shape) => {
    const groups = [aGroup({ count: 2, retries: { max: 2, delaySeconds: 0 } })];
    const outcome = shape.hasOutcome ? ({ state: 'failed', atMs: T0, message: '' } as const) : null;
    const stop = shape.stopped ? { atMs: T0, by: 'alice', reason: 'enough' } : null;
    const job = aJob({
      spec: { name: shape.name, groups },
      version: shape.version,
      outcome,
      stop,
      deleted: shape.deleted,
    });
    const tasks = shape.tasks
      .filter(
        ({ jobVersion, state }) =>
          jobVersion <= shape.version && (isTerminal(state) || (!shape.hasOutcome && shape.isOnRecord)),
      )
      .map(({ holds, ...place }) => ({
        task: aTask(job, { ...place, node: place.state === 'pending' ? null : 'edge-1' }),
        holds,
      }));
    return { job, tasks, isOnRecord: shape.isOnRecord };
  });
  const entries = made.flatMap(({ job, tasks }) =>
    tasks
      .filter(({ task, holds }) => task.node !== null && (holds || !isTerminal(task.state)))
      .map(({ task }) => anEntry(job, task)),
  );
  return clusterOf({
    nodes: [aNode()],
    ledgers: [aLedger({ entries })],
    jobs: made.flatMap(({ job, isOnRecord }) => (isOnRecord ? [job] : [])),
    tasks: made.flatMap(({ tasks }) => tasks.map(({ task }) => task)),
  });
});

describe('forgetting', () => {
  it('changes nothing of what any pass or round wants, however little is kept', () => {
    fc.assert(
      fc.property(cluster, (before) => {
        const nowMs = T0 + KEEP_MIN_MS;
        const after = applyPass(before, {
          ...planRetention({ cluster: before, nowMs, policy: NOTHING }),
          wakeAtMs: null,
        });
        expect(planBatchPass({ cluster: after, nowMs, unseenEndsForMs: new Map() })).toEqual(
          planBatchPass({ cluster: before, nowMs, unseenEndsForMs: new Map() }),
        );
        const health = (seen: ClusterView) =>
          planNodeHealth({
            cluster: seen,
            nowMs,
            leasesCountFromMs: 0,
            unreachableForMs: new Map(),
            unseenEndsForMs: new Map(),
          });
        expect(health(after)).toEqual(health(before));
        const round = (seen: ClusterView) => planRound({ cluster: seen, nowMs });
        expect(round(after)).toEqual(round(before));
      }),
      { numRuns: 300 },
    );
  });

  it('is over after one run, and has left nothing that nobody needs', () => {
    fc.assert(
      fc.property(cluster, (before) => {
        const nowMs = T0 + 2 * KEEP_MIN_MS;
        const plan = planRetention({ cluster: before, nowMs, policy: NOTHING });
        const after = applyPass(before, { ...plan, wakeAtMs: null });
        expect(planRetention({ cluster: after, nowMs, policy: NOTHING }).actions).toEqual([]);
        for (const task of after.tasks.values()) {
          const job = after.jobs.get(task.jobUid);
          const holds = after.ledgers.get('edge-1')?.entries[task.id] !== undefined;
          const counts =
            job !== undefined && task.jobVersion === job.version && !(job.outcome !== null && !job.deleted);
          const heldWithJob = job !== undefined && [...after.tasksOfJob(job.uid)].some((other) => isHeld(after, other));
          expect(holds || counts || heldWithJob || !isTerminal(task.state)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function isHeld(view: ClusterView, task: Task): boolean {
  return !isTerminal(task.state) || view.ledgers.get('edge-1')?.entries[task.id] !== undefined;
}

describe('that a node was declared gone', () => {
  const gone = { atMs: T0, by: 'admin' };
  const epochs = { 'edge-1': { epoch: 9, unreachableSinceMs: null, gone } };
  const later = T0 + GONE_KEEP_MS;

  it.each([
    ['is told for a long time', { epochs }, later - 1, []],
    ['is forgotten in the end', { epochs }, later, ['gone edge-1']],
    ['is kept while its ledger stands', { epochs, ledgers: [aLedger()] }, later, []],
    [
      'is no more once another machine has its name',
      { epochs: { 'edge-1': { ...epochs['edge-1'], gone: undefined } } },
      later,
      [],
    ],
  ] as const)('%s', (_what, literal, nowMs, expected) => {
    expect(forgotten(clusterOf(literal), nowMs)).toEqual(expected);
  });
});
