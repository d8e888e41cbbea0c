import { describe, expect, it } from 'vitest';
import { endpointsOf } from '../../../control-plane/services/endpoints.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import { type Job, templateVersion } from '../../../shared/domain/job.ts';
import { DEFAULT_UPDATE, type UpdateStrategy } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aDeployment, aGroup, aJob, aNode, type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { aServer, aService, versionOf, WELL } from '../../support/served.ts';

const STOP = { atMs: T0 + 900, by: 'alice', reason: 'enough' };
const CHECK = { message: '', atMs: T0 };

function states(task: Task, literal: ClusterLiteral = {}, job: Job = aService()): string[] {
  const cluster = clusterOf({ nodes: [aNode()], jobs: [job], tasks: [task], ...literal });
  return endpointsOf(cluster, task).map(({ state }) => state);
}

const AGAIN = { run: 1, atMs: T0, reason: 'restarted-in-place', message: 'again' } as const;

describe('the state of an endpoint', () => {
  it.each<[string, Partial<Task>, string]>([
    ['runs and passes both', {}, 'ready'],
    ['is not running yet', { state: 'staging', health: null }, 'starting'],
    ['has said nothing of its health', { health: null }, 'starting'],
    ['has been well in an earlier run', { run: 1, restarts: [AGAIN] }, 'starting'],
    ['has ended and waits for its next run', { run: 1 }, 'unhealthy'],
    ['has not been seen to be well', { health: { ...WELL, healthy: null } }, 'starting'],
    ['fails its check for health', { health: { ...WELL, healthy: false } }, 'unhealthy'],
    [
      'is well and has not been seen to be ready',
      { health: { ...WELL, ready: false, checks: [{ ...CHECK, name: 'warm', passing: null }] } },
      'starting',
    ],
    [
      'is well and fails its check for readiness',
      { health: { ...WELL, ready: false, checks: [{ ...CHECK, name: 'warm', passing: false }] } },
      'unready',
    ],
    ['was asked to end', { stop: STOP }, 'draining'],
    ['was asked to end while it is ill', { stop: STOP, health: { ...WELL, healthy: false } }, 'draining'],
  ])('of a task that %s', (_what, change, state) => {
    expect(states(aServer(aService(), change))).toEqual([state, state]);
  });

  it('says that its node is silent only where it would be ready', () => {
    const silent = { dead: ['edge-1'] };
    const job = aService();
    expect(states(aServer(job), silent)).toEqual(['unreachable', 'unreachable']);
    expect(states(aServer(job, { health: null }), silent)).toEqual(['starting', 'starting']);
    expect(states(aServer(job, { stop: STOP }), silent)).toEqual(['draining', 'draining']);
  });

  it('is ready as soon as it runs where nothing is checked', () => {
    const plain = aService();
    const spec = { ...plain.spec, groups: plain.spec.groups.map((group) => ({ ...group, checks: [] })) };
    const job = { ...plain, spec };
    expect(states(aServer(job, { health: null }), {}, job)).toEqual(['ready', 'ready']);
    expect(states(aServer(job, { health: null, state: 'starting' }), {}, job)).toEqual(['starting', 'starting']);
  });
});

describe('a set that waits to be promoted', () => {
  /** Version 2 of a job is being rolled out; how the old and the new task look then. */
  function rollout(
    strategy: UpdateStrategy,
    change: Partial<Deployment> = {},
    jobChange: Partial<Job> = {},
    later: readonly Deployment[] = [],
  ): { old: string[]; fresh: string[] } {
    const first = aService();
    const groups = first.spec.groups.map((group) => ({ ...group, image: 'another:1' }));
    const spec = { ...first.spec, update: { ...DEFAULT_UPDATE, strategy }, groups };
    const second = aService({ version: 2, templates: { main: 2 } });
    const job: Job = { ...second, spec, ...jobChange };
    const deployment = aDeployment({ ...job, version: 2, deployments: 2 }, { fromTemplates: { main: 1 }, ...change });
    const versions = [versionOf(first), versionOf({ ...second, spec })];
    const literal = { jobs: [job], versions, deployments: [deployment, ...later] };
    return {
      old: states(aServer(first), literal, job),
      fresh: states(aServer(second), literal, job),
    };
  }
  const READY = ['ready', 'ready'];
  const HELD = ['held', 'held'];

  it.each<[string, UpdateStrategy, Partial<Deployment>, string[]]>([
    ['blue-green holds its new set', 'blue-green', {}, HELD],
    ['blue-green lets go of it once it is promoted', 'blue-green', { promotedAtMs: T0 }, READY],
    ['blue-green goes on holding it when it has failed', 'blue-green', { state: 'failed' }, HELD],
    ['nothing is held where there was nothing before', 'blue-green', { fromVersion: null }, READY],
    ['nothing is held of a group that is new', 'blue-green', { fromTemplates: {} }, READY],
    ['one that has succeeded holds nothing', 'blue-green', { state: 'succeeded' }, READY],
    ['a canary gets its share', 'canary', {}, READY],
    ['rolling holds nothing', 'rolling', {}, READY],
  ])('%s', (_what, strategy, change, fresh) => {
    expect(rollout(strategy, change)).toEqual({ old: READY, fresh });
  });

  it('that was taken back gets nothing while it is stopped, and the old set keeps all', () => {
    const reverted = { version: 3, templates: { main: 1 }, deployments: 3 };
    expect(rollout('blue-green', { state: 'failed' }, reverted)).toEqual({ old: READY, fresh: HELD });
  });

  it('that a later change keeps is held no more', () => {
    const scaled = { version: 3, templates: { main: 2 }, deployments: 3 };
    expect(templateVersion({ ...scaled }, 'main')).toBe(2);
    expect(rollout('blue-green', { state: 'cancelled' }, scaled).fresh).toEqual(READY);
  });

  it.each([
    ['goes on trying out', null, HELD],
    ['went on trying out, and that was promoted', T0, READY],
  ])('that a later change %s', (_what, promotedAtMs, fresh) => {
    const scaled = { version: 3, templates: { main: 2 }, deployments: 3 };
    const next = aDeployment(aService(scaled), {
      cause: 'scaled',
      fromVersion: 1,
      fromTemplates: { main: 1 },
      promotedAtMs,
    });
    expect(rollout('blue-green', { state: 'cancelled' }, scaled, [next])).toEqual({ old: READY, fresh });
  });

  it('says so rather than that its node is silent', () => {
    const first = aService();
    const second = aService({ version: 2, templates: { main: 2 } });
    const spec = { ...first.spec, update: { ...DEFAULT_UPDATE, strategy: 'blue-green' as const } };
    const job = { ...second, spec };
    const deployments = [aDeployment(job, { fromTemplates: { main: 1 } })];
    const literal = { jobs: [job], versions: [versionOf({ ...second, spec })], deployments, dead: ['edge-1'] };
    expect(states(aServer(second), literal, job)).toEqual(HELD);
  });
});

describe('what an endpoint says', () => {
  it('is where its port is reached, by whom it is offered, and since when it stands so', () => {
    const job = aService();
    const task = aServer(job, { index: 1, history: [{ state: 'running', atMs: T0, reason: 'started', message: '' }] });
    const cluster = clusterOf({ nodes: [aNode({ address: '10.0.0.7' })], jobs: [job], tasks: [task] });
    expect(endpointsOf(cluster, task)).toEqual([
      {
        id: `${task.id}/http`,
        ...{ role: 'default', job: 'web', jobUid: job.uid, version: 1, group: 'main', index: 1, task: task.id },
        ...{ node: 'edge-1', host: 'edge-1.example', address: '10.0.0.7' },
        ...{ portName: 'http', port: 20_002, containerPort: 8080, protocol: 'tcp' },
        ...{ state: 'ready', since: new Date(T0 + 500).toISOString() },
        publish: { mode: 'http', hosts: ['web.example'] },
        labels: { tier: 'front' },
      },
      expect.objectContaining({
        ...{ id: `${task.id}/stats`, portName: 'stats', port: 20_003 },
        ...{ containerPort: null, protocol: 'udp', publish: null },
      }),
    ]);
  });

  it('is its host name where its node tells no address', () => {
    const job = aService();
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job] });
    expect(endpointsOf(cluster, aServer(job))[0]?.address).toBe('edge-1.example');
  });

  it.each<[string, Partial<Task>, number]>([
    ['the request to end', { stop: STOP }, T0 + 900],
    ['its last run', { run: 1, restarts: [{ run: 1, atMs: T0 + 700, reason: 'exited', message: '' }] }, T0 + 700],
    ['its last step where its health is of an earlier run', { run: 1 }, T0],
  ])('counts from %s', (_what, change, atMs) => {
    const job = aService();
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job] });
    expect(endpointsOf(cluster, aServer(job, change))[0]?.since).toBe(new Date(atMs).toISOString());
  });

  it('counts from the silence of its node', () => {
    const job = aService();
    const epochs = { 'edge-1': { epoch: 1, unreachableSinceMs: T0 + 5000 } };
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job], dead: ['edge-1'], epochs });
    expect(endpointsOf(cluster, aServer(job))[0]?.since).toBe(new Date(T0 + 5000).toISOString());
  });
});

describe('no endpoint', () => {
  it.each<[string, Partial<Task>]>([
    ['has no place yet', { state: 'pending', node: null }],
    ['has ended', { state: 'failed' }],
    ['has no port', { ports: {} }],
  ])('is of a task that %s', (_what, change) => {
    expect(states(aServer(aService(), change))).toEqual([]);
  });

  it('is of a batch job', () => {
    const job = aJob({ spec: { groups: [aGroup({ ports: [{ name: 'http', protocol: 'tcp' }] })] } });
    expect(states(aServer(job), {}, job)).toEqual([]);
  });

  it('is of a node that is on record no more', () => {
    expect(states(aServer(aService()), { nodes: [] })).toEqual([]);
  });
});
