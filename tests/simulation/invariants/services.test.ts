/** Each check of services and their deployments sees what it is for. */
import { describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { type Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Deployment, ImageFetch } from '../../../shared/domain/deployment.ts';
import type { Job, JobVersion, StopRequest } from '../../../shared/domain/job.ts';
import { DEFAULT_UPDATE, type UpdatePolicy } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aDeployment, aGroup, aJob, aLedger, aNode, anEntry, aTask } from '../../support/builders.ts';
import { environmentOf } from '../behaviour.ts';
import { unsettled } from './convergence.ts';
import { checkDeployments } from './deployments.ts';
import { emptyPast, type Past, remember } from './past.ts';
import { checkServices } from './services.ts';
import { checkTrials } from './trials.ts';

const WORKS = { lifeMs: null, exitCode: 0, failurePercent: 0, stopMs: 0, isUnusable: false } as const;
const NODES = ['n0', 'n1', 'n2', 'n3'];

function service(version: number, change: Partial<UpdatePolicy> = {}, kind: 'service' | 'system' = 'service'): Job {
  const group = aGroup({ count: kind === 'system' ? 1 : 4, env: environmentOf(WORKS), image: 'local/tool:1' });
  return aJob({
    version,
    templates: { main: version },
    deployments: version,
    spec: { kind, update: { ...DEFAULT_UPDATE, minHealthy: 0.75, maxOver: 0.25, ...change }, groups: [group] },
  });
}

function versionOf({ uid, version, spec, templates }: Job): JobVersion {
  return { jobUid: uid, version, spec, createdAtMs: 0, createdBy: 'alice', change: 'updated', templates };
}

function running(job: Job, index: number, change: Partial<Task> = {}): Task {
  return aTask(job, { index, state: 'running', node: NODES[index % 4] ?? '', ...change });
}

interface State {
  readonly jobs: readonly Job[];
  readonly tasks?: readonly Task[];
  readonly deployments?: readonly Deployment[];
  readonly fetches?: readonly ImageFetch[];
  readonly unreached?: readonly string[];
  readonly drained?: readonly string[];
}

/** The last of the jobs is the one that is wanted; each has left its version. */
function snapshotOf({
  jobs,
  tasks = [],
  deployments = [],
  fetches = [],
  unreached = [],
  drained = [],
}: State): Snapshot {
  const last = jobs.at(-1);
  const ledgerOf = (node: string) => {
    const there = tasks.filter((task) => task.node === node && !['finished', 'failed', 'killed'].includes(task.state));
    const entries = there.map((task) =>
      anEntry(jobs.find(({ version }) => version === task.jobVersion) ?? aJob(), task),
    );
    return aLedger({
      node,
      entries,
      drain: drained.includes(node) ? { startedAtMs: 0, deadlineMs: null, by: 'bob' } : null,
    });
  };
  const writes = [
    ...(last === undefined ? [] : [putRecord('jobs', keys.job(last.spec), last)]),
    ...jobs.map((job) => putRecord('versions', keys.version(job.uid, job.version), versionOf(job))),
    ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
    ...deployments.map((deployment) => putRecord('deployments', keys.deployment(deployment.id), deployment)),
    ...fetches.map((fetch) => putRecord('fetches', keys.imageFetch(fetch.node, fetch.image), fetch)),
    ...NODES.flatMap((id) => [
      putRecord('nodes', keys.node(id), aNode({ id })),
      putRecord('alive', keys.alive(id), { epoch: 1 }),
      putRecord('epochs', keys.epoch(id), { epoch: 1, unreachableSinceMs: unreached.includes(id) ? 0 : null }),
      putRecord('ledger', keys.ledger(id), ledgerOf(id)),
    ]),
  ];
  const keyValues = writes.flatMap((write) =>
    write.type === 'put' ? [{ ...write, createRevision: 2, modRevision: 2, lease: null }] : [],
  );
  return new Snapshot(2, keyValues);
}

function taskChange(before: Task | null, after: Task): Change {
  return { kind: 'tasks', key: keys.task(after.id), id: after.id, revision: 2, before, after };
}

function revisionOf(changes: readonly Change[]) {
  return { number: 2, commit: null, changes, events: [] };
}

const RELEASE: StopRequest = { atMs: 0, by: 'berth', reason: 'version 2 of the job has taken its place' };

describe('what is stopped of a service', () => {
  const [first, second] = [service(1), service(2)];
  const rollout = aDeployment(second, { fromTemplates: { main: 1 } });
  const four = [0, 1, 2, 3].map((index) => running(first, index));

  /** What is found when the tasks at these places are stopped at once. */
  function found(indexes: readonly number[], stop: StopRequest, state: Partial<State> = {}): number {
    const { tasks = four, jobs = [first, second], deployments = [rollout] } = state;
    const stopped = tasks.map((task) => (indexes.includes(task.index) ? { ...task, stop } : task));
    const changes = stopped.flatMap((after, at) => {
      const before = tasks[at];
      return before === undefined || after.stop === null ? [] : [taskChange(before, after)];
    });
    const now = snapshotOf({ ...state, jobs, deployments, tasks: stopped });
    return checkServices(revisionOf(changes), emptyPast(), now).length;
  }

  it('leaves as much at work as was promised', () => {
    expect(found([0], RELEASE)).toBe(0);
    expect(found([0, 1], RELEASE)).toBe(2);
  });

  it('counts nothing as at work that does not run, is not reached, or is being stopped', () => {
    const lacking = (change: Partial<Task>) => four.map((task) => (task.index === 3 ? { ...task, ...change } : task));
    expect(found([0], RELEASE, { tasks: lacking({ state: 'starting' }) })).toBe(1);
    expect(found([0], RELEASE, { tasks: lacking({ stop: { ...RELEASE, by: 'alice' } }) })).toBe(1);
    expect(found([0], RELEASE, { unreached: ['n3'] })).toBe(1);
  });

  it('may be anything where a user, a deadline or somebody displacing it says so, but for a move off a node', () => {
    expect(found([0, 1], { ...RELEASE, by: 'alice', reason: 'enough' })).toBe(0);
    expect(
      found([0, 1], { ...RELEASE, by: 'bob', reason: 'node n0 is being drained, and its deadline has passed' }),
    ).toBe(0);
    const displacedBy = { because: 'priority', role: 'default', task: null } as const;
    expect(found([0, 1], { ...RELEASE, displacedBy })).toBe(0);
    const suspended = { ...second, suspended: { atMs: 0, by: 'alice', reason: '' } };
    expect(found([0, 1], RELEASE, { jobs: [first, suspended] })).toBe(0);
    expect(
      found([0, 1], { ...RELEASE, by: 'bob', reason: 'node n0 is being drained, and the task is moved off it' }),
    ).toBe(2);
  });

  it('is one at a time at the most where an old one goes first', () => {
    const [before, after] = [service(1, {}, 'system'), service(2, { minHealthy: 1 }, 'system')];
    const tasks = [0, 1, 2, 3].map((index) => running(before, index));
    const state = { jobs: [before, after], tasks, deployments: [aDeployment(after, { fromTemplates: { main: 1 } })] };
    expect(found([0], RELEASE, state)).toBe(0);
    expect(found([0, 1], RELEASE, state)).toBe(2);
    expect(found([0, 1], RELEASE, { ...state, drained: ['n0', 'n1', 'n2'] })).toBe(0);
  });

  it('is none of the old ones before the new ones are promoted', () => {
    const green = service(2, { strategy: 'blue-green', minHealthy: 1 });
    const tasks = [...four, ...[0, 1, 2, 3].map((index) => running(green, index))];
    const beside = aDeployment(green, { fromTemplates: { main: 1 } });
    const stop = (deployment: Deployment) => {
      const stopped = tasks.map((task, at) => (at === 0 ? { ...task, stop: RELEASE } : task));
      const now = snapshotOf({ jobs: [first, green], tasks: stopped, deployments: [deployment] });
      return checkServices(
        revisionOf([taskChange(running(first, 0), stopped[0] ?? running(first, 0))]),
        emptyPast(),
        now,
      ).length;
    };
    expect(stop(beside)).toBe(1);
    expect(stop({ ...beside, promotedAtMs: 1 })).toBe(0);
  });
});

describe('what is made of a service', () => {
  const job = service(1);
  const made = (task: Task, others: readonly Task[], state: Partial<State> = {}, past = emptyPast()) => {
    const now = snapshotOf({ jobs: [job], ...state, tasks: [...others, task] });
    return checkServices(revisionOf([taskChange(null, task)]), past, now).length;
  };
  const pending = (index: number, change: Partial<Task> = {}) => aTask(job, { index, ...change });

  it('is no more than is allowed, with what ends where it is reached', () => {
    const [three, four] = [3, 4].map((count) => Array.from({ length: count }, (_, index) => running(job, index)));
    expect(made(pending(4), four ?? [])).toBe(0);
    const ending = running(job, 5, { stop: RELEASE });
    expect(made(pending(4), [...(four ?? []), ending])).toBe(1);
    expect(made(pending(4), [...(four ?? []), ending], { unreached: ['n1'] })).toBe(0);
    const parted = { ...emptyPast(), parted: new Set(['n1']) };
    expect(made(pending(4), [...(four ?? []), ending], {}, parted)).toBe(0);
    expect(made(pending(3), [...(three ?? []), ending])).toBe(0);
  });

  it('is one for a slot, unless the other has to leave its node', () => {
    const next = pending(0, { attempt: 1 });
    expect(made(next, [running(job, 0)])).toBe(1);
    expect(made(next, [running(job, 0, { stop: RELEASE })])).toBe(0);
    expect(made(next, [running(job, 0)], { drained: ['n0'] })).toBe(0);
    expect(made(next, [running(job, 0, { jobVersion: 0 })])).toBe(0);
  });

  it('is one for a node of a system job', () => {
    const daemon = service(1, {}, 'system');
    const at = (index: number, node: string) => aTask(daemon, { index, target: { node, required: true } });
    const state = { jobs: [daemon] };
    expect(made(at(1, 'n1'), [running(daemon, 0)], state)).toBe(0);
    expect(made(at(1, 'n0'), [running(daemon, 0)], state)).toBe(1);
  });
});

describe('deployments', () => {
  const [first, second] = [service(1), service(2)];
  const [d1, d2] = [aDeployment(first), aDeployment(second)];
  const past = (change: Partial<Past> = {}): Past => ({ ...emptyPast(), ...change });

  function found(
    before: Deployment | null,
    after: Deployment | null,
    state: Partial<State> = {},
    known = past(),
  ): string[] {
    const id = (after ?? before)?.id ?? '';
    const change: Change = { kind: 'deployments', key: keys.deployment(id), id, revision: 2, before, after };
    const deployments = [...(state.deployments ?? []), ...(after === null ? [] : [after])];
    const now = snapshotOf({ jobs: [first, second], ...state, deployments });
    return checkDeployments(revisionOf([change]), known, now).map(({ message }) => message);
  }

  it('run one at a time, and are counted with their job', () => {
    expect(found(null, d2, { deployments: [{ ...d1, state: 'cancelled' }] })).toEqual([]);
    expect(found(null, d2, { deployments: [d1] })).toHaveLength(1);
    expect(found(null, { ...d2, id: `${second.uid}-d3` })).toHaveLength(1);
  });

  it('stay as they came out', () => {
    const failed: Deployment = { ...d2, state: 'failed', message: 'no' };
    expect(found(failed, failed)).toEqual([]);
    expect(found(failed, { ...failed, message: 'yes' })).toHaveLength(1);
    expect(found(failed, { ...failed, state: 'succeeded' })).toHaveLength(1);
    expect(found(failed, null)).toEqual([]);
    expect(found(d2, null)).toHaveLength(1);
  });

  it('that fail are taken back once, where something was good before and nobody says otherwise', () => {
    const third = { ...service(3), deployments: 3 };
    const failed: Deployment = { ...d2, state: 'failed' };
    const back = aDeployment(third, { cause: 'reverted', revertOf: d2.id });
    const good = past({ good: new Map([[first.uid, 1]]) });
    const all = { jobs: [first, second, third], deployments: [back] };
    expect(found(d2, { ...failed, revertedBy: back.id }, all, good)).toEqual([]);
    expect(found(d2, failed, all, good)).toHaveLength(1);
    expect(found(d2, failed, all)).toEqual([]);
    expect(found(d2, { ...failed, revertedBy: back.id }, all)).toHaveLength(1);
    const careless = service(2, { autoRevert: false });
    expect(found(d2, failed, { jobs: [first, careless] }, good)).toEqual([]);
    expect(found(null, back, { jobs: all.jobs }, past({ reverted: new Set([d2.id]) }))).toHaveLength(1);
  });

  it('alone say which version is good', () => {
    const after = { ...second, goodVersion: 2 };
    const change: Change = {
      kind: 'jobs',
      key: keys.job(after.spec),
      id: after.uid,
      revision: 2,
      before: second,
      after,
    };
    const told = (deployment: Deployment) =>
      checkDeployments(revisionOf([change]), past(), snapshotOf({ jobs: [first, after], deployments: [deployment] }));
    expect(told({ ...d2, state: 'succeeded' })).toEqual([]);
    expect(told({ ...d2, state: 'failed' })).toHaveLength(1);
    expect(told({ ...d2, state: 'succeeded', toVersion: 1 })).toHaveLength(1);
  });
});

describe('what is tried out', () => {
  const [first, second] = [service(1), service(2, { strategy: 'canary', canaries: 1 })];
  const trial = aDeployment(second, { fromTemplates: { main: 1 } });
  const [canary, another] = [running(second, 0), running(second, 1)];

  /** What is found when another task of the second version is made beside the first of it, after what has happened so far. */
  function found(deployments: readonly Deployment[], tasks: readonly Task[] = [canary], job = second): number {
    const past = emptyPast();
    const versions = [first, second].map(
      (one): Change => ({
        kind: 'versions',
        key: keys.version(one.uid, one.version),
        id: `${one.uid}/${one.version}`,
        revision: 1,
        before: null,
        after: versionOf(one),
      }),
    );
    const told = deployments.map(
      (after): Change => ({
        kind: 'deployments',
        key: keys.deployment(after.id),
        id: after.id,
        revision: 1,
        before: null,
        after,
      }),
    );
    remember(past, revisionOf([...told, ...versions]));
    const now = snapshotOf({ jobs: [first, job], tasks: [...tasks, another], deployments });
    return checkTrials(revisionOf([taskChange(null, another)]), past, now).length;
  }

  it('has no more tasks than are tried out', () => {
    expect(found([trial])).toBe(1);
    expect(found([trial], [])).toBe(0);
    expect(found([trial], [{ ...canary, stop: RELEASE }])).toBe(0);
    expect(
      found([
        { ...trial, state: 'cancelled' },
        { ...trial, id: 'later', cause: 'resumed' },
      ]),
    ).toBe(1);
  });

  it('may have any number once it was promoted, or was rolled out otherwise', () => {
    expect(found([{ ...trial, promotedAtMs: 1 }])).toBe(0);
    expect(found([{ ...trial, state: 'succeeded' }])).toBe(0);
    expect(found([{ ...trial, cause: 'restarted' }])).toBe(0);
    expect(found([{ ...trial, fromVersion: null }])).toBe(0);
    expect(found([{ ...trial, fromTemplates: {} }])).toBe(0);
    expect(found([trial], [canary], service(2))).toBe(0);
  });
});

describe('services at rest', () => {
  const job = service(1);
  const over = aDeployment(job, { state: 'succeeded' });
  const four = [0, 1, 2, 3].map((index) => running(job, index));
  const left = (state: Partial<State>) =>
    unsettled([], snapshotOf({ jobs: [job], tasks: four, deployments: [over], ...state }));

  it('have all that is wanted of them at work', () => {
    expect(left({})).toEqual([]);
    expect(left({ tasks: four.slice(1) })).toHaveLength(1);
    expect(
      left({ tasks: four.map((task) => (task.index === 0 ? { ...task, state: 'starting' as const } : task)) }),
    ).toHaveLength(1);
    expect(left({ tasks: [...four, running(job, 4)] })).toHaveLength(1);
    expect(left({ drained: ['n0'] }).length).toBeGreaterThan(0);
  });

  it('have none while they are suspended', () => {
    const suspended = { ...job, suspended: { atMs: 0, by: 'alice', reason: '' } };
    expect(left({ jobs: [suspended] })).toHaveLength(4);
    expect(left({ jobs: [suspended], tasks: [] })).toEqual([]);
  });

  it('have no deployment under way, unless it waits for somebody', () => {
    expect(left({ deployments: [aDeployment(job)] })).toHaveLength(1);
    expect(left({ deployments: [aDeployment(job, { paused: { atMs: 0, by: 'alice' } })] })).toEqual([]);
  });

  it('leave no images that are to be fetched for what is over', () => {
    const fetch = { node: 'n0', image: 'i', deployment: over.id, state: 'ready', message: '', atMs: 0 } as const;
    expect(left({ fetches: [fetch] })).toHaveLength(1);
  });

  it('of every node have one task each', () => {
    const daemon = service(1, {}, 'system');
    const state = { jobs: [daemon], tasks: [0, 1, 2, 3].map((index) => running(daemon, index)) };
    expect(left(state)).toEqual([]);
    expect(left({ ...state, tasks: state.tasks.slice(1) })).toHaveLength(1);
    expect(left({ ...state, tasks: [...state.tasks, running(daemon, 4)] })).toHaveLength(1);
  });
});
