import { describe, expect, test } from 'vitest';
import type { PassAction } from '../../../../control-plane/reconcile/actions.ts';
import { planServicePass } from '../../../../control-plane/reconcile/service/service-pass.ts';
import type { Deployment, ImageFetch } from '../../../../shared/domain/deployment.ts';
import type { Job, JobSpec, JobVersion } from '../../../../shared/domain/job.ts';
import { DEFAULT_UPDATE } from '../../../../shared/domain/service.ts';
import type { Task } from '../../../../shared/domain/task.ts';
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
} from '../../../support/builders.ts';

const NOW = T0 + 100_000;

function plan(literal: ClusterLiteral, nowMs = NOW) {
  return planServicePass({ cluster: clusterOf(literal), nowMs, unseenEndsForMs: new Map() });
}

function made(actions: readonly PassAction[]): Task[] {
  return actions.flatMap((action) => (action.type === 'create-tasks' ? action.tasks : []));
}

function stopped(actions: readonly PassAction[]): string[] {
  return actions.flatMap((action) => (action.type === 'stop-task' ? action.task : [])).sort();
}

function deploymentIn(actions: readonly PassAction[]): Deployment | undefined {
  return actions.flatMap((action) => (action.type === 'put-deployment' ? action.deployment : []))[0];
}

function versionOf({ uid, version, spec, templates }: Job): JobVersion {
  return { jobUid: uid, version, spec, templates, createdAtMs: T0, createdBy: 'alice', change: 'created' };
}

function aService(spec: Partial<JobSpec> = {}, change: Partial<Omit<Job, 'spec'>> = {}): Job {
  const groups = spec.groups ?? [aGroup({ count: 3 })];
  const templates = Object.fromEntries(groups.map(({ name }) => [name, change.version ?? 1]));
  return aJob({ templates, ...change, spec: { kind: 'service', groups, ...spec } });
}

/** Running tasks 0 to 2, on a node each. */
function threeOf(job: Job, change: Partial<Task> = {}): Task[] {
  return [0, 1, 2].map((index) => aTask(job, { index, state: 'running', node: `n${index}`, ...change }));
}

const NODES = [0, 1, 2, 3].map((at) => aNode({ id: `n${at}` }));

describe('a job that is to run no more', () => {
  const stop = { atMs: T0, by: 'alice', reason: 'enough' };

  test('loses its tasks, and its deployment with them', () => {
    const job = aService({}, { stop, deployments: 1 });
    const { actions } = plan({ nodes: NODES, jobs: [job], tasks: threeOf(job), deployments: [aDeployment(job)] });
    expect(stopped(actions)).toHaveLength(3);
    expect(deploymentIn(actions)).toMatchObject({
      state: 'cancelled',
      message: 'the job was stopped by alice',
      endedAtMs: NOW,
    });
  });

  test('has its outcome once all have ended', () => {
    const job = aService({}, { stop });
    const { actions } = plan({ jobs: [job], tasks: threeOf(job, { state: 'killed' }) });
    const outcome = { state: 'stopped', atMs: NOW, message: 'stopped by alice: enough' };
    expect(actions).toEqual([{ type: 'conclude-job', job: job.uid, outcome }]);
  });

  test('is removed when it was deleted and nothing of it holds a place', () => {
    const job = aService({}, { stop, deleted: true });
    const [task] = threeOf(job, { state: 'killed' });
    const entries = task === undefined ? [] : [anEntry(job, task)];
    const tasks = threeOf(job, { state: 'killed' });
    expect(plan({ nodes: NODES, jobs: [job], tasks, ledgers: [aLedger({ node: 'n0', entries })] }).actions).toEqual([]);
    expect(plan({ nodes: NODES, jobs: [job], tasks }).actions).toEqual([{ type: 'remove-job', job: job.uid }]);
  });

  test('waits without tasks while it is suspended, and has no outcome', () => {
    const job = aService({}, { suspended: { atMs: T0, by: 'alice', reason: 'a break' } });
    const { actions } = plan({ nodes: NODES, jobs: [job], tasks: threeOf(job) });
    expect(actions.map((action) => action.type === 'stop-task' && action.stop.reason)).toEqual([
      'the job is suspended (a break)',
      'the job is suspended (a break)',
      'the job is suspended (a break)',
    ]);
    expect(plan({ jobs: [job], tasks: threeOf(job, { state: 'killed' }) }).actions).toEqual([]);
  });
});

describe('a batch job', () => {
  test('is none of this', () => {
    expect(plan({ jobs: [aJob()] }).actions).toEqual([]);
  });
});

const old = aService({}, { version: 1 });
const job = aService(
  { groups: [aGroup({ count: 3, image: 'other:2' })] },
  { version: 2, goodVersion: 1, deployments: 2 },
);
const before = {
  jobUid: job.uid,
  version: 1,
  spec: old.spec,
  createdAtMs: T0,
  createdBy: 'alice',
  change: 'created',
  templates: { main: 1 },
} as const;
const under = (change: Partial<Deployment> = {}) =>
  aDeployment(job, { fromTemplates: { main: 1 }, progressAtMs: NOW, ...change });
const literal = (change: ClusterLiteral): ClusterLiteral => {
  return { nodes: NODES, jobs: [job], versions: [before], deployments: [under()], ...change };
};
const olds = threeOf(job, { jobVersion: 1 });

describe('while more are to come, but not yet', () => {
  const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
  const update = { ...DEFAULT_UPDATE, strategy: 'blue-green' } as const;
  const wider = aService({ groups: [aGroup({ count: 9, image: 'other:2' })], update }, { version: 2, deployments: 2 });
  const beside = aDeployment(wider, { fromTemplates: { main: 1 }, progressAtMs: NOW });
  const [first] = olds as [Task, ...Task[]];
  const successor = aTask(wider, { index: 0, attempt: 1, jobVersion: 1 });

  test.each([
    ['that stands beside', beside],
    ['that waits for what it depends on', { ...beside, startedAtMs: null }],
  ])('an old task that is moved off its node is one, and not two, under a deployment %s', (_, deployment) => {
    const { actions } = plan({
      ...literal({ jobs: [wider], deployments: [deployment], tasks: [...olds, successor] }),
      ledgers: [aLedger({ node: 'n0', drain, entries: [anEntry(wider, first)] })],
    });
    expect(made(actions).filter(({ jobVersion }) => jobVersion === 1)).toEqual([]);
  });
});

test.each([
  ['blue-green', 'what it tries out has to be healthy first'],
  ['rolling', 'under way'],
] as const)('a %s deployment says, when it begins, what comes first', (strategy, message) => {
  const update = { ...DEFAULT_UPDATE, strategy };
  const next = aService({ groups: [aGroup({ image: 'other:2' })], update }, { version: 2, deployments: 2 });
  const deployment = aDeployment(next, { fromTemplates: { main: 1 }, startedAtMs: null });
  const { actions } = plan(literal({ jobs: [next], deployments: [deployment], tasks: olds }));
  expect(deploymentIn(actions)).toMatchObject({ startedAtMs: NOW, message });
});

describe('a deployment', () => {
  const database = aService({ name: 'database', groups: [aGroup({ count: 1 })] });
  const waiting = aService({ dependsOn: ['database'] }, { deployments: 1 });
  const rollout = aDeployment(waiting, { startedAtMs: null, message: 'created' });
  const up = aTask(database, { state: 'running', node: 'n0' });
  const batch = aJob({ spec: { name: 'database' } });

  test.each<[string, readonly Job[]]>([
    ['is absent', []],
    ['is suspended', [{ ...aService({ name: 'database', role: 'eng' }), suspended: { atMs: 0, by: 'a', reason: '' } }]],
    ['has no tasks yet', [aService({ name: 'database', role: 'eng' })]],
  ])('does not say of a dependency in another role that it %s', (_what, jobs) => {
    const abroad = aService({ dependsOn: ['eng:database'] }, { deployments: 1 });
    const { actions } = plan({ nodes: NODES, jobs: [abroad, ...jobs], deployments: [rollout] });
    const put = actions.find((action) => action.type === 'put-deployment' && action.deployment.id === rollout.id);
    expect(put).toMatchObject({ deployment: { startedAtMs: null, message: 'waits for job eng:database' } });
  });

  test.each<[string, ClusterLiteral, string | null]>([
    ['that is absent', {}, 'waits for job database, which does not exist'],
    [
      'that has no tasks yet',
      { jobs: [database] },
      'waits for job database, which has 0 of 1 tasks of group main ready',
    ],
    ['that is up', { jobs: [database], tasks: [up] }, null],
    [
      'that is suspended',
      { jobs: [{ ...database, suspended: { atMs: 0, by: 'a', reason: '' } }], tasks: [up] },
      'waits for job database, which is suspended',
    ],
    [
      'that is being rolled out',
      {
        jobs: [{ ...database, deployments: 1 }],
        tasks: [up],
        deployments: [aDeployment({ ...database, deployments: 1 })],
      },
      'waits for job database, which is being rolled out',
    ],
    ['of kind batch that runs', { jobs: [batch] }, 'waits for job database, which has not ended'],
    [
      'of kind batch that failed',
      { jobs: [{ ...batch, outcome: { state: 'failed', atMs: 0, message: '' } }] },
      'waits for job database, which ended as failed',
    ],
    [
      'of kind batch that succeeded',
      { jobs: [{ ...batch, outcome: { state: 'succeeded', atMs: 0, message: '' } }] },
      null,
    ],
  ])('with a dependency %s', (_what, { jobs = [], tasks = [], deployments = [] }, message) => {
    const { actions } = plan({ nodes: NODES, jobs: [waiting, ...jobs], tasks, deployments: [rollout, ...deployments] });
    const put = actions.find((action) => action.type === 'put-deployment' && action.deployment.id === rollout.id);
    expect(put).toMatchObject({ deployment: message === null ? { startedAtMs: NOW } : { startedAtMs: null, message } });
    expect(made(actions).filter(({ jobUid }) => jobUid === waiting.uid)).toEqual([]);
  });
});

describe('a deployment of a new version', () => {
  test('makes and stops nothing while it is paused, but for what has ended', () => {
    const paused = [under({ paused: { atMs: T0, by: 'alice' } })];
    expect(plan(literal({ tasks: olds, deployments: paused })).actions).toEqual([]);
    const tasks = [...olds.slice(0, 2), aTask(job, { index: 2, jobVersion: 1, state: 'lost' })];
    expect(made(plan(literal({ tasks, deployments: paused })).actions).map(({ id }) => id)).toEqual([
      'demo-main-2-uiddemo-v1a1',
    ]);
  });

  test('ends when its deadline has passed without progress, and not a moment before', () => {
    const late = [under({ progressAtMs: NOW - 600_000 })];
    const soon = plan(literal({ tasks: olds, deployments: late }), NOW - 1);
    expect(deploymentIn(soon.actions)).toBeUndefined();
    expect(soon.wakeAtMs).toBe(NOW);
    const { actions } = plan(literal({ tasks: olds, deployments: late }));
    expect(deploymentIn(actions)).toMatchObject({ state: 'failed', revertedBy: 'uiddemo-d3' });
    expect(actions.at(-1)).toMatchObject({
      job: { version: 3, deployments: 3, goodVersion: 1, spec: old.spec, templates: { main: 1 } },
      revert: {
        version: { version: 3, change: 'reverted' },
        next: { state: 'running', revertOf: 'uiddemo-d2', fromVersion: 2 },
      },
    });
  });

  test.each([
    [
      'that is not wanted',
      { ...job, spec: { ...job.spec, update: { ...DEFAULT_UPDATE, autoRevert: false } } },
      under(),
    ],
    ['nothing was good yet', { ...job, goodVersion: null }, under()],
    ['it took another one back itself', job, under({ revertOf: 'uiddemo-d1' })],
  ])('is not taken back where %s', (_why, one, deployment) => {
    const late = { ...deployment, progressAtMs: NOW - 600_000 };
    const { actions } = plan(literal({ jobs: [one], tasks: olds, deployments: [late] }));
    expect(actions.at(-1)).toEqual({
      type: 'put-deployment',
      deployment: expect.objectContaining({ state: 'failed', revertedBy: null }),
    });
  });

  test('that is halfway and came to nothing is kept up as it is', () => {
    const failed = [under({ state: 'failed' })];
    const tasks = [aTask(job, { index: 0, state: 'running', node: 'n0' }), ...olds.slice(1)];
    expect(plan(literal({ tasks, deployments: failed })).actions).toEqual([]);
  });

  test('takes away the groups that are wanted no more', () => {
    const other = aTask(job, { group: 'other', state: 'running', node: 'n0' });
    const tasks = [...threeOf(job), other];
    expect(stopped(plan(literal({ tasks })).actions)).toEqual([other.id]);
  });

  test('relies on what works when it stops something that does', () => {
    const tasks = [...olds, ...threeOf(job).slice(0, 1)];
    const stop = plan(literal({ tasks })).actions.find((action) => action.type === 'stop-task');
    const left = tasks.map(({ id }) => id).filter((id) => id !== stop?.task);
    expect(stop?.relies?.job).toBe(job.uid);
    expect([...(stop?.relies?.tasks ?? [])].sort()).toEqual(left.sort());
  });

  test('leaves no image asked for behind', () => {
    const fetch: ImageFetch = {
      node: 'n0',
      image: 'other:2',
      deployment: 'uiddemo-d1',
      state: 'ready',
      message: '',
      atMs: T0,
    };
    const { actions } = plan({ nodes: NODES, imageFetches: [fetch] });
    expect(actions).toEqual([{ type: 'remove-image-fetch', node: 'n0', image: 'other:2' }]);
  });
});

describe('where an old task has to make room first', () => {
  const update = { ...DEFAULT_UPDATE, minHealthy: 0.6, maxOver: 0 };
  const tight = { ...job, spec: { ...job.spec, update } };
  const fetched = (node: string, state: ImageFetch['state']): ImageFetch => {
    return { node, image: 'other:2', deployment: 'uiddemo-d2', state, message: '', atMs: T0 };
  };
  const at = (tasks: readonly Task[], imageFetches: readonly ImageFetch[] = [], change: ClusterLiteral = {}) =>
    plan(literal({ jobs: [tight], tasks, imageFetches, ...change })).actions;

  test('asks for the image first, and stops nothing', () => {
    const actions = at(olds);
    expect(stopped(actions)).toEqual([]);
    expect(actions).toEqual([{ type: 'put-image-fetch', fetch: { ...fetched('n0', 'wanted'), atMs: NOW } }]);
    expect(at(olds, [fetched('n0', 'wanted')])).toEqual([]);
  });

  test.each(['ready', 'failed'] as const)('stops it once the image is %s', (state) => {
    expect(stopped(at(olds, [fetched('n2', state)]))).toEqual([olds[2]?.id]);
  });

  test('does not wait for a node that nobody reaches', () => {
    const epochs = { n2: { epoch: 1, unreachableSinceMs: T0 } };
    expect(stopped(at(olds, [], { dead: ['n2'], epochs }))).toContain(olds[2]?.id);
  });

  test('puts the new one where the old one was', () => {
    const gone = {
      ...threeOf(job, { jobVersion: 1 })[2],
      state: 'killed',
      stop: { atMs: T0, by: 'berth', reason: '' },
    } as Task;
    const [task] = made(at([...olds.slice(0, 2), gone], [fetched('n2', 'ready')]));
    expect(task).toMatchObject({ index: 2, jobVersion: 2, target: { node: 'n2', required: false } });
  });

  test('asks for no image that the old one runs from', () => {
    const same = {
      ...before,
      spec: { ...before.spec, groups: [aGroup({ count: 3, image: 'other:2', env: { A: '1' } })] },
    };
    expect(stopped(at(olds, [], { versions: [same] }))).toHaveLength(1);
  });
});

describe('a system job', () => {
  const job = aService({ kind: 'system', groups: [aGroup()] });
  const on = (node: string, index: number, change: Partial<Task> = {}) =>
    aTask(job, { index, state: 'running', node, target: { node, required: true }, ...change });
  const all = NODES.map(({ id }, index) => on(id, index));

  test('has one task on each node that may have it, with indexes in the order of the nodes', () => {
    const picky = aService({ kind: 'system', constraints: [{ attribute: 'node', operator: '!=', value: 'n1' }] });
    const tasks = made(plan({ nodes: NODES, jobs: [picky] }).actions);
    expect(tasks.map(({ index, target }) => [index, target?.node, target?.required])).toEqual([
      [0, 'n0', true],
      [1, 'n2', true],
      [2, 'n3', true],
    ]);
  });

  test('comes to a new node, with the lowest index that is free', () => {
    const tasks = made(
      plan({ nodes: [...NODES, aNode({ id: 'n9' })], jobs: [job], tasks: all.filter(({ index }) => index !== 1) })
        .actions,
    );
    expect(tasks.map(({ index, target }) => [index, target?.node])).toEqual([
      [1, 'n1'],
      [4, 'n9'],
    ]);
  });

  test('goes from a node that may have it no more, and stays on one that only takes nothing new', () => {
    const nodes = NODES.map((one) => (one.id === 'n1' ? { ...one, engine: 'none' } : one));
    const ledgers = [aLedger({ node: 'n2', eligible: false })];
    expect(stopped(plan({ nodes, ledgers, jobs: [job], tasks: all }).actions)).toEqual([all[1]?.id]);
  });

  test('goes last from a node that is being emptied', () => {
    const web = aService({ name: 'web', groups: [aGroup({ count: 1 })] });
    const served = aTask(web, { state: 'running', node: 'n1' });
    const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
    const entries = [anEntry(job, all[1] as Task), anEntry(web, served)];
    const ledgers = [aLedger({ node: 'n1', drain, entries })];
    const tasks = [...all, served];
    expect(stopped(plan({ nodes: NODES, ledgers, jobs: [job, web], tasks }).actions)).toEqual([]);
    const empty = [aLedger({ node: 'n1', drain, entries: entries.slice(0, 1) })];
    expect(stopped(plan({ nodes: NODES, ledgers: empty, jobs: [job], tasks: all }).actions)).toEqual([all[1]?.id]);
  });

  test('is rolled one node at a time, and makes nothing beside the old one', () => {
    const next = aService({ kind: 'system', groups: [aGroup({ env: { A: '1' } })] }, { version: 2, deployments: 2 });
    const deployments = [aDeployment(next, { fromTemplates: { main: 1 }, progressAtMs: NOW })];
    const olds = NODES.map(({ id }, index) => on(id, index, { jobVersion: 1 }));
    const versions = [
      {
        jobUid: job.uid,
        version: 1,
        spec: job.spec,
        createdAtMs: T0,
        createdBy: 'alice',
        change: 'created',
        templates: { main: 1 },
      } as const,
    ];
    const literal = { nodes: NODES, jobs: [next], versions };
    const { actions } = plan({ ...literal, deployments, tasks: olds });
    expect(stopped(actions)).toHaveLength(1);
    expect(made(actions)).toEqual([]);

    const cordoned = (node: string, tasks: readonly Task[], rollouts = deployments) =>
      plan({ ...literal, ledgers: [aLedger({ node, eligible: false })], deployments: rollouts, tasks }).actions;
    const [first, ...others] = olds;
    const last = others.map(({ index, node }) => on(node ?? '', index, { jobVersion: 2 }));
    const [held] = olds.map(({ id }) => id);
    // Where nothing new may come, the old one stays: the rollout is done without it, and comes back to it once it may.
    expect(stopped(cordoned('n0', olds))).not.toContain(held);
    const done = cordoned('n0', [...(first === undefined ? [] : [first]), ...last]);
    expect(stopped(done)).toEqual([]);
    const message = 'version 2 runs: 3 tasks of it are healthy; 1 old one stays where nodes take nothing new';
    expect(done).toMatchObject([{ type: 'put-deployment', deployment: { state: 'succeeded', message } }]);
    const over = deployments.map((one) => ({ ...one, state: 'succeeded' as const }));
    const after = plan({ ...literal, deployments: over, tasks: [...(first === undefined ? [] : [first]), ...last] });
    expect(stopped(after.actions)).toEqual([held]);
  });
});

describe('a service of which two must never run', () => {
  test('is moved by stopping first, and made anew only once nothing of the slot may run', () => {
    const job = aService({ stopAfterDisconnectSeconds: 30 });
    const tasks = threeOf(job);
    const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
    const ledgers = [aLedger({ node: 'n0', drain })];
    const { actions } = plan({ nodes: NODES, ledgers, jobs: [job], tasks });
    expect(made(actions)).toEqual([]);
    expect(actions).toEqual([
      expect.objectContaining({ task: tasks[0]?.id, stop: expect.objectContaining({ by: 'alice', displaced: true }) }),
    ]);
    const ending = tasks.map((task, at) =>
      at === 0 ? { ...task, stop: { atMs: T0, by: 'alice', reason: '' } } : task,
    );
    expect(made(plan({ nodes: NODES, ledgers, jobs: [job], tasks: ending }).actions)).toEqual([]);
  });

  test('is moved by starting first where an older version of it was of that kind, and only a task without a place is left of that', () => {
    const groups = [aGroup({ count: 2 })];
    const job = aService({ groups }, { version: 2 });
    const before = aService({ groups, stopAfterDisconnectSeconds: 30 });
    const old = aTask(before, { index: 1 });
    const works = aTask(job, { state: 'running', node: 'n0' });
    const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
    const ledgers = [aLedger({ node: 'n0', drain })];
    const versions = [versionOf(before)];
    const { actions } = plan({ nodes: NODES, ledgers, jobs: [job], versions, tasks: [works, old] });
    expect(stopped(actions)).toEqual([old.id]);
    expect(made(actions)).not.toEqual([]);
  });
});
