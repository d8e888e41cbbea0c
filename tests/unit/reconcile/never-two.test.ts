/** Tasks that must never run twice at a time: when another one may take their place. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PassAction } from '../../../control-plane/reconcile/actions.ts';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { CLOCK_DRIFT_MAX, FENCE_MARGIN_MS } from '../../../control-plane/reconcile/fence-wait.ts';
import { planKeptAside } from '../../../control-plane/reconcile/kept-aside-pass.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import type { Job, JobSpec, JobVersion } from '../../../shared/domain/job.ts';
import type { Task, TaskReason, TaskState } from '../../../shared/domain/task.ts';
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

const WAIT_MS = 20_000 * 1.02 + FENCE_MARGIN_MS;

/** One node, away since T0, on which a task of the job runs. */
function away(spec: Partial<JobSpec>, more: ClusterLiteral = {}): ClusterLiteral {
  const job = aJob({ spec });
  const task = aTask(job, { state: 'running', node: 'edge-1' });
  return {
    nodes: [aNode()],
    ledgers: [aLedger({ entries: [anEntry(job, task)] })],
    epochs: { 'edge-1': { epoch: 7, unreachableSinceMs: T0 } },
    dead: ['edge-1'],
    jobs: [job],
    tasks: [task],
    ...more,
  };
}

function health(literal: ClusterLiteral, at: { readonly nowMs: number; readonly seenForMs: number | null }) {
  const unreachableForMs = new Map(at.seenForMs === null ? [] : [['edge-1', at.seenForMs]]);
  return planNodeHealth({
    cluster: clusterOf(literal),
    nowMs: at.nowMs,
    leasesCountFromMs: 0,
    unreachableForMs,
    unseenEndsForMs: new Map(),
  });
}

describe('a task of an unreachable node that must not run twice at a time', () => {
  const fenced = away({ replaceAfterSeconds: 5, stopAfterDisconnectSeconds: 20 });

  it.each([
    { name: 'neither bound has passed', nowMs: T0 + 4999, seenForMs: WAIT_MS - 1, given: 0, wakeAtMs: T0 + 5000 },
    { name: 'only the job has waited', nowMs: T0 + 5000, seenForMs: WAIT_MS - 10, given: 0, wakeAtMs: T0 + 5010 },
    { name: 'only the node has had its time', nowMs: T0 + 4999, seenForMs: WAIT_MS, given: 0, wakeAtMs: T0 + 5000 },
    { name: 'both have passed', nowMs: T0 + 5000, seenForMs: WAIT_MS, given: 1, wakeAtMs: null },
    { name: 'another replica says long ago', nowMs: T0 + 1e9, seenForMs: 0, given: 0, wakeAtMs: T0 + 1e9 + WAIT_MS },
    { name: 'nobody here has seen it yet', nowMs: T0 + 1e9, seenForMs: null, given: 0, wakeAtMs: T0 + 1e9 + WAIT_MS },
  ])('is given up only when $name: $given', ({ nowMs, seenForMs, given, wakeAtMs }) => {
    const plan = health(fenced, { nowMs, seenForMs });
    expect(plan.actions.map(({ type }) => type)).toEqual(given === 1 ? ['give-up-tasks'] : []);
    expect(plan.wakeAtMs).toBe(wakeAtMs);
  });

  it('waits for its node whatever the job says by now, since the node goes by the version', () => {
    const [job] = fenced.jobs ?? [];
    const version = {
      jobUid: job?.uid ?? '',
      version: 1,
      createdAtMs: T0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
    };
    const versions: JobVersion[] = [{ ...version, spec: aSpec({ stopAfterDisconnectSeconds: 20 }) }];
    const jobs = [aJob({ version: 2, spec: { replaceAfterSeconds: 0 } })];
    const literal = { ...fenced, jobs, versions };
    expect(health(literal, { nowMs: T0 + 9000, seenForMs: WAIT_MS - 1 }).actions).toEqual([]);
    expect(health(literal, { nowMs: T0 + 9000, seenForMs: WAIT_MS }).actions).toHaveLength(1);
  });

  it('is never given up before its node has stopped it, for any two clocks within the bound', () => {
    const bounds = fc.record({
      stopAfterSeconds: fc.integer({ min: 10, max: 31_536_000 }),
      // How much faster the replica's clock runs than the node's.
      ratio: fc.double({ min: 1 - CLOCK_DRIFT_MAX, max: 1 + CLOCK_DRIFT_MAX, noNaN: true }),
      seenForMs: fc.integer({ min: 0, max: 40_000_000_000 }),
    });
    fc.assert(
      fc.property(bounds, ({ stopAfterSeconds, ratio, seenForMs }) => {
        const literal = away({ replaceAfterSeconds: 0, stopAfterDisconnectSeconds: stopAfterSeconds });
        const { actions } = health(literal, { nowMs: T0 + 1, seenForMs });
        const onNodeMs = seenForMs / ratio;
        if (actions.length > 0) expect(onNodeMs).toBeGreaterThanOrEqual(stopAfterSeconds * 1000);
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves others on its node alone', () => {
    const free = away({ replaceAfterSeconds: 5 });
    expect(health(free, { nowMs: T0 + 5000, seenForMs: 0 }).actions).toHaveLength(1);
  });
});

describe('a new version of a job', () => {
  interface Case {
    readonly name: string;
    readonly before: number | undefined;
    readonly now: number | undefined;
    readonly old: { readonly state: TaskState; readonly holdsPlace: boolean };
    readonly isMade: boolean;
  }
  const RUNS = { state: 'running', holdsPlace: true } as const;
  const FINISHED = { state: 'finished', holdsPlace: true } as const;
  const GIVEN_UP = { state: 'lost', holdsPlace: true } as const;
  const RELEASED = { state: 'lost', holdsPlace: false } as const;

  it.each<Case>([
    { name: 'both may run twice', before: undefined, now: undefined, old: RUNS, isMade: true },
    { name: 'the old one must not', before: 20, now: undefined, old: RUNS, isMade: false },
    { name: 'the new one must not', before: undefined, now: 20, old: RUNS, isMade: false },
    { name: 'the old one has ended', before: 20, now: 20, old: FINISHED, isMade: true },
    { name: 'its node has stopped it', before: 20, now: 20, old: GIVEN_UP, isMade: true },
    { name: 'its node may still run it', before: undefined, now: 20, old: GIVEN_UP, isMade: false },
    { name: 'its node has confirmed its end', before: undefined, now: 20, old: RELEASED, isMade: true },
    { name: 'it may run on, and so may the new', before: undefined, now: undefined, old: GIVEN_UP, isMade: true },
  ])('when $name: its task is made: $isMade', ({ before, now, old, isMade }) => {
    const { literal, job } = twoVersions({ before, now, old });
    const { actions } = planBatchPass({ cluster: clusterOf(literal), nowMs: T0 + 1000, unseenEndsForMs: new Map() });
    expect(made(actions)).toEqual(isMade ? [`${job.version}/0`] : []);
    expect(actions.filter(({ type }) => type === 'conclude-job')).toEqual([]);
    expect(actions.filter(({ type }) => type === 'stop-task')).toHaveLength(old.state === 'running' ? 1 : 0);
  });

  it('waits for nothing but the slot that is taken', () => {
    const { literal, job } = twoVersions({ before: 20, now: 20, old: RUNS, count: 3 });
    const { actions } = planBatchPass({ cluster: clusterOf(literal), nowMs: T0 + 1000, unseenEndsForMs: new Map() });
    expect(made(actions)).toEqual([`${job.version}/1`, `${job.version}/2`]);
  });

  function twoVersions({ before, now, old, count = 1 }: Omit<Case, 'name' | 'isMade'> & { readonly count?: number }) {
    const spec = { groups: [aGroup({ count })] };
    const job: Job = aJob({ version: 2, spec: { ...spec, stopAfterDisconnectSeconds: now } });
    const version = {
      jobUid: job.uid,
      version: 1,
      createdAtMs: T0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
    };
    const versions = [{ ...version, spec: aSpec({ ...spec, stopAfterDisconnectSeconds: before }) }];
    const task: Task = aTask(job, { jobVersion: 1, state: old.state, node: 'edge-1' });
    const entries = old.holdsPlace ? [anEntry(job, task, { disowned: old.state === 'lost' })] : [];
    const literal: ClusterLiteral = {
      nodes: [aNode()],
      ledgers: [aLedger({ entries })],
      jobs: [job],
      versions,
      tasks: [task],
    };
    return { literal, job };
  }
});

describe('a slot of which a node keeps something aside, after a restore', () => {
  const FENCED = { stopAfterDisconnectSeconds: 20, groups: [aGroup({ count: 2, retries: { max: 3 } })] };

  function restored(spec: Partial<JobSpec>, kept: { readonly attempt: number; readonly version?: number }) {
    const job = aJob({ version: 2, spec });
    const { id } = aTask(job, { attempt: kept.attempt, jobVersion: kept.version ?? 2 });
    const epochs = { 'edge-1': { epoch: 7, unreachableSinceMs: null, keptAside: [{ task: id, stop: null }] } };
    const other = aTask(job, { index: 1, state: 'running', node: 'edge-2' });
    const literal: ClusterLiteral = { nodes: [aNode(), aNode({ id: 'edge-2' })], epochs, jobs: [job] };
    return { job, literal, other };
  }

  function passed(literal: ClusterLiteral): PassAction[] {
    const cluster = clusterOf(literal);
    const after = applyPass(cluster, planKeptAside({ cluster, nowMs: T0 }));
    return [...planBatchPass({ cluster: after, nowMs: T0 + 10_000, unseenEndsForMs: new Map() }).actions];
  }

  it.each([
    { name: 'two must never run', spec: FENCED, made: [] },
    { name: 'two may run', spec: { ...FENCED, stopAfterDisconnectSeconds: undefined }, made: ['2/0'] },
  ])('is not filled a second time when $name: $made', ({ spec, made: expected }) => {
    const { job, literal, other } = restored(spec, { attempt: 0 });
    const actions = passed({ ...literal, tasks: [aTask(job), other] });
    expect(made(actions)).toEqual(expected);
    expect(actions.some(({ type }) => type === 'conclude-job')).toBe(false);
  });

  it('is free once the node has no more of it', () => {
    const { job, literal, other } = restored(FENCED, { attempt: 0 });
    const tasks = [aTask(job, { state: 'lost' }), other];
    expect(made(passed({ ...literal, tasks, epochs: {} }))).toEqual(['2/0']);
  });

  it.each([
    { name: 'a later attempt', kept: { attempt: 1 } },
    { name: 'an attempt of an earlier version', kept: { attempt: 4, version: 1 } },
    { name: 'an attempt of a version that is lost', kept: { attempt: 0, version: 3 } },
  ])('is taken by $name that the state does not know', ({ kept }) => {
    const { job, literal, other } = restored(FENCED, kept);
    expect(made(passed({ ...literal, tasks: [aTask(job, { state: 'lost', node: 'edge-2' }), other] }))).toEqual([]);
  });

  it('loses what the state runs there itself, which comes again once the slot is free', () => {
    const { job, literal, other } = restored(FENCED, { attempt: 1 });
    const first = aTask(job, { state: 'running', node: 'edge-2' });
    const ledgers = [aLedger({ node: 'edge-2', entries: [anEntry(job, first), anEntry(job, other)] })];
    const [stop, ...rest] = passed({ ...literal, ledgers, tasks: [first, other] });
    expect(stop).toMatchObject({ type: 'stop-task', task: first.id, stop: { displaced: true } });
    expect(rest).toEqual([]);
    const killed = {
      ...first,
      state: 'killed',
      exitCode: 143,
      stop: stop?.type === 'stop-task' ? stop.stop : null,
    } as const;
    expect(made(passed({ ...literal, tasks: [killed, other] }))).toEqual([]);
    expect(made(passed({ ...literal, epochs: {}, tasks: [killed, other] }))).toEqual(['2/0']);
  });

  it('keeps what may run twice', () => {
    const { job, literal, other } = restored({ groups: FENCED.groups }, { attempt: 1 });
    expect(passed({ ...literal, tasks: [aTask(job, { state: 'running', node: 'edge-2' }), other] })).toEqual([]);
  });
});

describe('a slot whose task ended without anybody seeing it', () => {
  const group = aGroup({ retries: { max: 3, delaySeconds: 1 } });

  const KILLED = { state: 'killed', reason: 'stop-requested', jobVersion: 1 } as const;

  interface Ended {
    readonly state?: TaskState;
    readonly reason: TaskReason;
    readonly stopAfterSeconds?: number | undefined;
    readonly jobVersion?: number;
    readonly exitCode?: number;
    readonly node?: null;
  }

  function ended({ state = 'lost', reason, stopAfterSeconds = 20, jobVersion = 2, ...rest }: Ended) {
    const { exitCode = null, node = 'edge-1' } = rest;
    const fenced = stopAfterSeconds === 0 ? {} : { stopAfterDisconnectSeconds: stopAfterSeconds };
    const job = aJob({ version: 2, spec: { groups: [group], ...fenced } });
    const history = [{ state, atMs: T0, reason, message: 'it is no longer there' }];
    return { job, task: aTask(job, { jobVersion, state, node, exitCode, history }) };
  }

  function passed({ job, task }: ReturnType<typeof ended>, knownForMs: number | null) {
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job], tasks: [task] });
    const unseenEndsForMs = new Map(knownForMs === null ? [] : [[task.id, knownForMs]]);
    return planBatchPass({ cluster, nowMs: T0 + 1e9, unseenEndsForMs });
  }

  it.each([
    { name: 'this replica has not seen the end', knownForMs: null, wakeAtMs: null, made: [] },
    { name: 'it has known of it for too short', knownForMs: WAIT_MS - 10, wakeAtMs: T0 + 1e9 + 10, made: [] },
    { name: 'wherever it ran it is over', knownForMs: WAIT_MS, wakeAtMs: null, made: ['2/0'] },
  ])('when $name: filled with $made', ({ knownForMs, wakeAtMs, made: expected }) => {
    for (const jobVersion of [1, 2]) {
      const plan = passed(ended({ reason: 'not-found-on-node', jobVersion }), knownForMs);
      expect(made(plan.actions)).toEqual(expected);
      expect(plan.actions.some(({ type }) => type === 'conclude-job')).toBe(false);
      expect(plan.wakeAtMs).toBe(wakeAtMs);
    }
  });

  it.each<{ name: string; end: Ended; isMade: boolean }>([
    { name: 'found gone', end: { reason: 'not-found-on-node' }, isMade: false },
    { name: 'found gone after a reboot', end: { reason: 'node-rebooted' }, isMade: false },
    {
      name: 'found ended after a reboot',
      end: { state: 'failed', reason: 'node-rebooted', exitCode: 255 },
      isMade: false,
    },
    { name: 'seen to end', end: { state: 'failed', reason: 'exited', exitCode: 1 }, isMade: true },
    { name: 'stopped by its node', end: { state: 'failed', reason: 'disconnected', exitCode: 137 }, isMade: true },
    { name: 'asked to end, and found gone', end: { ...KILLED }, isMade: false },
    { name: 'asked to end, and seen to', end: { ...KILLED, exitCode: 137 }, isMade: true },
    { name: 'asked to end without a place', end: { ...KILLED, node: null }, isMade: true },
    {
      name: 'one that never came to run',
      end: { state: 'error', reason: 'image-unavailable', jobVersion: 2 },
      isMade: true,
    },
    { name: 'given up with its node', end: { reason: 'node-lost' }, isMade: true },
    { name: 'one that may run twice', end: { reason: 'not-found-on-node', stopAfterSeconds: 0 }, isMade: true },
  ])('of $name: filled at once: $isMade', ({ end, isMade }) => {
    expect(made(passed(ended(end), 0).actions)).toEqual(isMade ? ['2/0'] : []);
  });
});

function made(actions: readonly PassAction[]): string[] {
  return actions.flatMap((action) =>
    action.type === 'create-tasks' ? action.tasks.map(({ jobVersion, index }) => `${jobVersion}/${index}`) : [],
  );
}
