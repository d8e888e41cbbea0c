import { describe, expect, it } from 'vitest';
import { explanationOfJob } from '../../../control-plane/services/job-explanation.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import {
  aDeployment,
  aGroup,
  aJob,
  aLedger,
  aNode,
  aReservation,
  aTask,
  aVolume,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const job = aJob({ spec: { kind: 'service', groups: [aGroup({ resources: { cpus: 9 } })] }, deployments: 1 });
const suspended = { atMs: T0, by: 'alice', reason: 'for the night' };
const nodes = [aNode({ id: 'a' }), aNode({ id: 'b' })];

function explained(
  one: Job,
  literal: ClusterLiteral = {},
  {
    task = null,
    nowMs = T0,
    mayReadJob = () => true,
  }: { task?: Task | null; nowMs?: number; mayReadJob?: (key: JobKey) => boolean } = {},
) {
  return explanationOfJob(clusterOf({ nodes, jobs: [one], ...literal }), one, { nowMs, task, mayReadJob });
}

describe('tasks on a node that is unreachable', () => {
  const tasks = [0, 1].map((index) => aTask(job, { index, state: 'running', node: ['a', 'b'][index] ?? null }));
  const away = { dead: ['a', 'b'], epochs: { a: { epoch: 1, unreachableSinceMs: T0 } } };
  const two = { ...job, spec: { ...job.spec, groups: [aGroup({ count: 2 })] } };

  it('are told, since they count as if they ran', () => {
    const message =
      '1 task is on node a, which is unreachable: its agent sends no heartbeats. Unless it comes back, it is given up as lost 60 s after that at the earliest.';
    const { summary, holds } = explained(two, { tasks, ...away });
    expect(holds).toEqual([{ code: 'unreachable', task: null, message }]);
    expect(summary).toBe(message);
    const never = { ...two, spec: { ...two.spec, replaceAfterSeconds: 'never' } as const };
    expect(explained(never, { tasks, ...away }).summary).toMatch(/it is never given up\.$/);
  });

  it('are no matter where they have ended, or the node is heard of', () => {
    const ended = tasks.map((task) => ({ ...task, state: 'lost' as const }));
    expect(explained(two, { tasks: ended, ...away }).holds).toEqual([]);
    expect(explained(two, { tasks }).holds).toEqual([]);
  });
});

describe('why tasks have no place', () => {
  it('is told by the numbers of the nearest node', () => {
    const { summary, groups, holds } = explained(job, { tasks: [aTask(job)] });
    expect(holds).toEqual([]);
    expect(groups).toMatchObject([
      { group: 'main', waiting: 1, nodesTotal: 2, nodesLeft: 0, most: null, impossible: null },
    ]);
    expect(groups[0]?.funnel.filter(({ declined }) => declined > 0)).toEqual([
      { stage: 'cpu', processed: 2, declined: 2, reasons: ['2 have too few cpus free'] },
    ]);
    expect(summary).toBe(
      '1 task of group "main" waits: none of 2 nodes takes one. The nearest, a lacks 5 of 9 cpus, with 4 of 4 free.',
    );
  });

  it('is that their constraints can never be satisfied, where that is so', () => {
    const constraints = [{ attribute: 'node', operator: 'unique' }] as const;
    const unique = aJob({ spec: { kind: 'service', groups: [aGroup({ count: 3, constraints })] } });
    const running = ['a', 'b'].map((node, index) => aTask(unique, { index, state: 'running', node }));
    const { summary } = explained(unique, { tasks: [...running, aTask(unique, { index: 2 })] });
    expect(summary).toMatch(/^1 task of group "main" waits, and in vain: "node unique" lets at most 2 tasks/);
    const waiting = [0, 1, 2].map((index) => aTask(unique, { index }));
    expect(explained(unique, { tasks: waiting }).summary).toMatch(
      /^3 tasks of group "main" wait, 1 of them in vain: "node unique" lets at most 2 tasks/,
    );
    const nowhere = aGroup({ count: 3, constraints: [{ attribute: 'rack', operator: 'unique' }] });
    const rackless = { ...unique, spec: { ...unique.spec, groups: [nowhere] } };
    expect(explained(rackless, { tasks: waiting }).summary).toMatch(/^3 tasks of group "main" wait, and in vain: /);
  });

  it('is a backoff until it ends', () => {
    const tasks = [aTask(job, { notBeforeMs: T0 + 1000 })];
    expect(explained(job, { tasks }).summary).toBe(
      '1 task of group "main" waits until 2026-01-01T00:00:01.000Z, since tasks before have failed.',
    );
    expect(explained(job, { tasks }, { nowMs: T0 + 1000 }).groups[0]?.notBefore).toBeNull();
  });

  it('is where the volumes are that they mount', () => {
    const mounts = [{ type: 'persistent', source: 'data', target: '/data', readOnly: false }] as const;
    const mounting = aJob({ spec: { kind: 'service', groups: [aGroup({ mounts })] } });
    const scalars = { ...NO_SCALARS, diskMiB: 100 };
    const ledgers = [aLedger({ node: 'b', reservations: [aReservation({ scalars })], volumes: { data: aVolume() } })];
    const holds = (literal: ClusterLiteral) => explained(mounting, { tasks: [aTask(mounting)], ...literal }).holds;
    expect(holds({})).toEqual([
      {
        code: 'volume-away',
        task: null,
        message: 'No node has volume "data" for role "default"; "berth volume create" makes one.',
      },
    ]);
    expect(holds({ ledgers, dead: ['b'] })).toEqual([
      {
        code: 'volume-away',
        task: null,
        message: 'Volume "data" is on node b, which is unreachable: its agent sends no heartbeats.',
      },
    ]);
    expect(holds({ ledgers })).toEqual([]);
    const { summary, groups } = explained(mounting, { tasks: [aTask(mounting)], ledgers, dead: ['b'] });
    expect(summary).toMatch(/^1 task of group "main" waits for volumes: Volume "data" is on node b, which/);
    expect(groups[0]?.funnel.find(({ stage }) => stage === 'reservation')?.declined).toBe(1);
  });

  it('is told of one task alone', () => {
    const tasks = [aTask(job), aTask(job, { index: 1, target: { node: 'gone', required: true } })];
    const { groups } = explained(job, { tasks }, { task: tasks[1] ?? null });
    expect(groups.map((group) => group.tasks)).toEqual([[tasks[1]?.id]]);
  });
});

const waiting: Partial<Deployment> = { startedAtMs: null, message: 'it waits for job "db"' };
const canary = {
  ...job,
  spec: { ...job.spec, update: { ...DEFAULT_UPDATE, strategy: 'canary' as const } },
  version: 2,
  templates: { main: 2 },
};
const tried = aTask(canary, { jobVersion: 2, state: 'running', node: 'a' });
const beside: Partial<Deployment> = { fromTemplates: { main: 1 } };
const depending = { ...job, spec: { ...job.spec, dependsOn: ['db', 'eng:cache', 'up'] } };
const others = [
  aJob({ spec: { name: 'cache', role: 'eng', kind: 'service' }, suspended }),
  aJob({ spec: { name: 'up', kind: 'service', groups: [aGroup({ count: 0 })] }, goodVersion: 1 }),
];

describe('what else holds a job up', () => {
  it.each<{ code: string; one: Job; change?: Partial<Deployment>; tasks?: readonly Task[]; says: RegExp }>([
    { code: 'job-stopped', one: { ...job, stop: suspended }, says: /is to stop, as alice asked \(for the night\)/ },
    {
      code: 'job-suspended',
      one: { ...job, suspended },
      says: /suspended by alice since 2026-01-01T00:00:00.000Z \(for the night\)/,
    },
    { code: 'deployment-waiting', one: job, change: waiting, says: /-d1 has not begun: it waits for job "db"$/ },
    { code: 'deployment-paused', one: job, change: { paused: { atMs: T0, by: 'bob' } }, says: /paused by bob/ },
    {
      code: 'deployment-failed',
      one: job,
      change: { state: 'failed', message: 'no progress' },
      says: /has failed: no progress$/,
    },
    {
      code: 'deployment-cancelled',
      one: job,
      change: { state: 'cancelled', message: 'aborted by bob' },
      says: /was cancelled \(aborted by bob\), and what runs is kept as it is/,
    },
    {
      code: 'awaiting-promotion',
      one: canary,
      change: beside,
      tasks: [tried],
      says: /\(canary\) goes on once it is promoted/,
    },
    {
      code: 'awaiting-health',
      one: canary,
      change: beside,
      says: /can be promoted once all that it tries out is healthy, which is so of 0 of 1 in group main\.$/,
    },
    {
      code: 'awaiting-health',
      one: aJob({ ...canary, spec: { ...canary.spec, update: { ...canary.spec.update, autoPromote: true } } }),
      change: beside,
      says: /goes on by itself once all that it tries out is healthy/,
    },
  ])('$code', ({ code, one, change, tasks = [], says }) => {
    const { holds, summary } = explained(one, {
      tasks,
      deployments: change === undefined && one !== canary ? [] : [aDeployment(one, change)],
    });
    expect(holds.map((hold) => hold.code)).toEqual([code]);
    expect(holds[0]?.message).toMatch(says);
    expect(summary).toBe(holds[0]?.message);
  });

  it('is no deployment that succeeded, that was promoted, or that another one came after', () => {
    const promoted = aDeployment(canary, { ...beside, promotedAtMs: T0 });
    const failed = aDeployment(job, { state: 'failed' });
    const cancelled = aDeployment(job, { state: 'cancelled' });
    expect(explained({ ...job, version: job.version + 1 }, { deployments: [cancelled] }).holds).toEqual([]);
    const waits = explained({ ...job, suspended }, { deployments: [cancelled] });
    expect(waits.holds.map(({ code }) => code)).toEqual(['job-suspended']);
    const later = aDeployment(job, { id: `${job.uid}-d9`, state: 'succeeded', createdAtMs: T0 + 1 });
    expect(explained(canary, { deployments: [promoted] }).holds).toEqual([]);
    expect(explained(job, { deployments: [later, failed] }).holds).toEqual([]);
  });

  it('is each job that it depends on and that is not up, while it waits for them', () => {
    const all = { jobs: [depending, ...others] };
    const holds = (change: Partial<Deployment>) =>
      explained(depending, { ...all, deployments: [aDeployment(depending, change)] }).holds.filter(
        ({ code }) => code === 'dependency',
      );
    expect(holds(waiting).map(({ message }) => message)).toEqual([
      'It depends on job "db" in role "default", which does not exist.',
      'It depends on job "cache" in role "eng", which is suspended.',
    ]);
    expect(holds({})).toEqual([]);
  });

  it.each([[others], [[]]])('is not how a job stands in a role that the caller may not read', (known) => {
    const deployments = [aDeployment(depending, waiting)];
    const mayReadJob = ({ role }: JobKey) => role === 'default';
    const { holds } = explained(depending, { jobs: [depending, ...known], deployments }, { mayReadJob });
    expect(holds.map(({ message }) => message)).toContain(
      'It depends on job "cache" in role "eng", which you may not read.',
    );
  });

  it('is a task that runs and is not healthy, with what its check says', () => {
    const check: CheckSpec = {
      name: 'http',
      type: 'tcp',
      purpose: 'health',
      port: 'http',
      intervalSeconds: 1,
      timeoutSeconds: 1,
      graceSeconds: 0,
      failuresMax: 1,
      successesMin: 1,
      onFailure: 'none',
    };
    const checked = aJob({ spec: { kind: 'service', groups: [aGroup({ checks: [check] })] } });
    const results = [{ name: 'http', passing: false, message: 'connection refused', atMs: T0 }];
    const health = { run: 0, healthy: false, ready: true, sinceMs: T0, checks: results };
    const task = aTask(checked, { state: 'running', node: 'a', health });
    const { holds } = explained(checked, { tasks: [task] });
    expect(holds).toEqual([
      {
        code: 'unhealthy',
        task: task.id,
        message: `${task.id} on a runs, and is not healthy: check "http" fails: connection refused`,
      },
    ]);
    const ending = { ...task, stop: { atMs: T0, by: 'berth', reason: 'another one has taken its place' } };
    expect(explained(checked, { tasks: [ending] }).holds).toEqual([]);
    const silent = explained(checked, { tasks: [{ ...task, health: null }] });
    expect(silent.holds).toMatchObject([
      { code: 'not-ready', message: expect.stringContaining('its checks have said nothing yet') },
    ]);
    const fine = { ...task, health: { ...health, healthy: true } };
    expect(explained(checked, { tasks: [fine] })).toMatchObject({
      holds: [],
      summary: 'Nothing waits: 1 task runs, and all of them are ready.',
    });
  });

  it('is how the last task ended, where another one waits', () => {
    const message = 'image "nope:1" was not found: check its name';
    const history: Task['history'] = [{ state: 'error', atMs: T0 + 1, reason: 'image-unavailable', message }];
    const gone = aTask(job, { state: 'error', node: 'a', history });
    const earlier = aTask(job, { index: 1, state: 'failed', atMs: T0 });
    const next = aTask(job, { attempt: 1 });
    expect(explained(job, { tasks: [earlier, gone, next] }).holds).toEqual([
      { code: 'image-unavailable', task: gone.id, message: `${gone.id} has ended on a: ${message}` },
    ]);
    expect(explained(job, { tasks: [gone, { ...next, state: 'running', node: 'a' }] }).holds).toEqual([]);
  });

  it('is nothing, where nothing is wanted', () => {
    const none = { ...job, spec: { ...job.spec, groups: [aGroup({ count: 0 })] } };
    expect(explained(none).summary).toBe('Nothing of it runs, and nothing waits for a place.');
  });

  it('is that tasks are still to be made', () => {
    expect(explained(job).summary).toMatch(/^1 of 1 tasks are not made yet/);
    const batch = aJob();
    expect(explained(batch).summary).toMatch(/^1 of 1 tasks are not made yet/);
    expect(explained(batch, { tasks: [aTask(batch, { state: 'finished' })] }).summary).toBe(
      'Nothing of it runs, and nothing waits for a place.',
    );
  });
});
