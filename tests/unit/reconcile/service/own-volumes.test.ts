/** Services whose tasks write to persistent volumes: no two tasks of a slot at a time, and each comes back to what it has written. */
import { describe, expect, test } from 'vitest';
import { planBatchPass } from '../../../../control-plane/reconcile/batch-pass.ts';
import { RestingJobs } from '../../../../control-plane/reconcile/service/resting-jobs.ts';
import { planServicePass } from '../../../../control-plane/reconcile/service/service-pass.ts';
import { SnapshotTouches } from '../../../../control-plane/store/touch-log.ts';
import { INDEX_PLACEHOLDER, type Job, type JobVersion } from '../../../../shared/domain/job.ts';
import type { TaskEntry } from '../../../../shared/domain/ledger.ts';
import { NO_SCALARS } from '../../../../shared/domain/resources.ts';
import { DEFAULT_UPDATE } from '../../../../shared/domain/service.ts';
import type { Task } from '../../../../shared/domain/task.ts';
import {
  aDeployment,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aReservation,
  aTask,
  aVolume,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../../support/builders.ts';
import { SmallCluster } from './small-cluster.ts';

const OWN = `data-${INDEX_PLACEHOLDER}`;
const NOW = T0 + 1000;
const scalars = { ...NO_SCALARS, diskMiB: 1000 };

interface Shape {
  readonly source?: string;
  readonly count?: number;
  readonly version?: number;
  readonly kind?: 'service' | 'batch';
}

function aService({ source = OWN, count = 2, version = 1, kind = 'service' }: Shape = {}): Job {
  const mounts = [{ type: 'persistent', source, target: '/data', readOnly: false }] as const;
  const update = { ...DEFAULT_UPDATE, maxOver: 0 };
  const groups = [aGroup({ count, mounts })];
  return aJob({ version, templates: { main: version }, deployments: version, spec: { kind, update, groups } });
}

function earlier(job: Job): JobVersion {
  return {
    jobUid: job.uid,
    version: 1,
    spec: job.spec,
    createdAtMs: T0,
    createdBy: 'alice',
    change: 'created',
    templates: { main: 1 },
  };
}

function holding(node: string, ids: readonly string[], entries: Parameters<typeof aLedger>[0] = {}) {
  const volumes = Object.fromEntries(ids.map((id) => [id, aVolume({ id })]));
  return aLedger({ node, reservations: [aReservation({ scalars })], volumes, ...entries });
}

const NODES = {
  nodes: [0, 1, 2].map((at) => aNode({ id: `n${at}` })),
  ledgers: [holding('n0', ['data-0', 'data']), holding('n1', ['data-1']), holding('n2', ['data-2'])],
};

function plan(literal: ClusterLiteral) {
  const { actions } = planServicePass({
    cluster: clusterOf({ ...NODES, ...literal }),
    nowMs: NOW,
    unseenEndsForMs: new Map(),
  });
  const made = actions.flatMap((action) => (action.type === 'create-tasks' ? action.tasks : []));
  return {
    made: made.map(({ index, jobVersion, target }) => [index, jobVersion, target?.node ?? null]),
    stopped: actions.flatMap((action) => (action.type === 'stop-task' ? action.task : [])),
  };
}

const running = (job: Job, index: number, change: Partial<Task> = {}) =>
  aTask(job, { index, state: 'running', node: `n${index}`, ...change });
const stop = { atMs: T0, by: 'berth', reason: 'version 2' };

describe('a rollout', () => {
  const job = aService({ version: 2 });
  const rolling = {
    jobs: [job],
    versions: [earlier(job)],
    deployments: [aDeployment(job, { fromVersion: 1, fromTemplates: { main: 1 } })],
  };
  const old = (index: number, change: Partial<Task> = {}) => running(job, index, { jobVersion: 1, ...change });

  test.each<[string, Task[], (string | undefined)[], unknown[]]>([
    ['one goes before anything comes', [old(0), old(1)], [old(0).id], []],
    ['nothing comes, and nothing else goes, while it is ending', [old(0), old(1, { stop })], [], []],
    [
      'its slot is filled, where it was, once it has ended',
      [old(0), old(1, { stop, state: 'killed' })],
      [],
      [[1, 2, 'n1']],
    ],
    [
      'the next one goes when that works',
      [old(0), old(1, { stop, state: 'killed' }), running(job, 1)],
      [old(0).id],
      [],
    ],
  ])('of two: %s', (_what, tasks, stopped, made) => {
    expect(plan({ ...rolling, tasks })).toEqual({ stopped, made });
  });

  test.each([OWN, 'data'])('of one, with "%s", stops it first, though it is to be healthy', (source) => {
    const one = aService({ source, count: 1, version: 2 });
    const literal = { ...rolling, jobs: [one], versions: [earlier(one)] };
    const only = running(one, 0, { jobVersion: 1 });
    expect(plan({ ...literal, tasks: [only] })).toEqual({ stopped: [only.id], made: [] });
    expect(plan({ ...literal, tasks: [{ ...only, stop }] })).toEqual({ stopped: [], made: [] });
    const ended = { ...only, stop, state: 'killed' } as const;
    expect(plan({ ...literal, tasks: [ended] })).toEqual({ stopped: [], made: [[0, 2, 'n0']] });
  });
});

describe('a slot', () => {
  test('that was scaled away and is wanted again waits for the end of its task, while others are filled', () => {
    const job = aService({ count: 3 });
    const [kept, going] = [running(job, 0), running(job, 1, { stop })];
    expect(plan({ jobs: [job], tasks: [kept, going] }).made).toEqual([[2, 1, null]]);
    expect(plan({ jobs: [job], tasks: [kept, { ...going, state: 'killed' }] }).made).toEqual([
      [1, 1, 'n1'],
      [2, 1, null],
    ]);
  });

  test.each([OWN, 'data'])('goes when fewer are wanted, with "%s": the last where each has its own', (source) => {
    const job = aService({ source, count: 1 });
    // The first is the younger one, which goes elsewhere.
    const tasks = [
      running(job, 0, { history: aTask(job, { state: 'running', atMs: T0 + 500 }).history }),
      running(job, 1),
    ];
    expect(plan({ jobs: [job], tasks }).stopped).toEqual([tasks[source === OWN ? 1 : 0]?.id]);
  });

  test.each<[string, Parameters<typeof holding>[2], readonly string[], unknown[]]>([
    ['the place of what was lost stands', { entries: [] }, ['other'], []],
    ['that place is given back', undefined, ['other'], [[0, 1, 'n0']]],
    ['another node has such a volume', { entries: [] }, ['data-0'], [[0, 1, 'n0']]],
  ])('is filled again or not: %s', (_what, held, elsewhere, made) => {
    const job = aService({ count: 1 });
    const lost = running(job, 0, { state: 'lost' });
    const entries = held === undefined ? [] : [anEntry(job, lost, { disowned: true })];
    const ledgers = [holding('n0', ['data-0'], { entries }), holding('n1', elsewhere)];
    expect(plan({ jobs: [job], ledgers, tasks: [lost] }).made).toEqual(made);
  });

  test('of a batch job waits as well, for the task of the version before', () => {
    const job = aService({ kind: 'batch', version: 2 });
    const old = running(job, 1, { jobVersion: 1, stop });
    const input = (tasks: readonly Task[]) => ({
      cluster: clusterOf({ ...NODES, jobs: [job], versions: [earlier(job)], tasks }),
      nowMs: NOW,
      unseenEndsForMs: new Map(),
    });
    const made = (tasks: readonly Task[]) =>
      planBatchPass(input(tasks)).actions.flatMap((action) =>
        action.type === 'create-tasks' ? action.tasks.map(({ index }) => index) : [],
      );
    expect(made([old])).toEqual([0]);
    expect(made([{ ...old, state: 'killed' }])).toEqual([0, 1]);
  });
});

test('a job that waits for a place to be given back is looked at each time', () => {
  const job = aService({ count: 1 });
  const lost = running(job, 0, { state: 'lost' });
  const [resting, touched] = [new RestingJobs(), new SnapshotTouches()];
  const at = (entries: readonly TaskEntry[]) => {
    const ledgers = [holding('n0', ['data-0'], { entries })];
    const cluster = { ...clusterOf({ ...NODES, jobs: [job], tasks: [lost], ledgers }), touched };
    return planServicePass({ cluster, nowMs: NOW, unseenEndsForMs: new Map(), resting }).actions.length;
  };
  expect(at([anEntry(job, lost, { disowned: true })])).toBe(0);
  touched.node('n0');
  expect(at([])).toBe(1);
});

test.each([
  [3, 1, 2],
  [3, 0.5, 2],
  [1, 1, 0],
])('of %d with %d to be healthy there are never fewer than %d, and never two of a slot', (count, minHealthy, least) => {
  const update = { ...DEFAULT_UPDATE, maxOver: 0, minHealthy };
  const spec = (image: string) => {
    const { spec: whole } = aService({ count });
    return { ...whole, update, groups: whole.groups.map((group) => ({ ...group, image })) };
  };
  const small = new SmallCluster(['n1', 'n2', 'n3']);
  const { uid } = aJob();
  small.submit(aJob({ spec: { kind: 'service' } }), spec('one:1'), 'created');
  small.steps(12);
  expect(small.ready(uid)).toHaveLength(count);
  let fewest = count;
  small.onPass = (_before, _plan, after) => {
    fewest = Math.min(fewest, small.ready(uid, after).length);
    const live = small.live(uid).map(({ index }) => index);
    expect(new Set(live).size).toBe(live.length);
  };
  small.submit(small.job(uid), spec('two:1'), 'updated');
  small.steps(60);
  expect(small.deployment(uid)).toMatchObject({ state: 'succeeded', toVersion: 2 });
  expect(small.live(uid).map(({ jobVersion }) => jobVersion)).toEqual(Array(count).fill(2));
  expect(fewest).toBe(least);
});
