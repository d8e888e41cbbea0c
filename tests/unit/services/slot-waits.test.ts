import { describe, expect, it } from 'vitest';
import { slotWaits, slotWaitsWith } from '../../../control-plane/services/slot-waits.ts';
import { jobView } from '../../../control-plane/services/views.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aGroup, aJob, aNode, aTask, type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';

const FENCED = { stopAfterDisconnectSeconds: 20, groups: [aGroup({ retries: { max: 3 } })] };
const OLD = 'demo-main-0-uiddemo-v1a0';
const job = aJob({ version: 2, spec: FENCED });

function old(change: Partial<Task> = {}): Task {
  return aTask(job, { jobVersion: 1, state: 'running', node: 'edge-1', ...change });
}

function cluster(tasks: readonly Task[], more: ClusterLiteral = {}, of: Job = job) {
  return clusterOf({ nodes: [aNode()], jobs: [of], tasks, ...more });
}

const AWAY: ClusterLiteral = { dead: ['edge-1'] };
const ASIDE: ClusterLiteral = {
  epochs: { 'edge-1': { epoch: 2, unreachableSinceMs: null, keptAside: [{ task: OLD, stop: null }] } },
};
const GONE = { state: 'lost', atMs: T0, reason: 'not-found-on-node', message: '' } as const;

describe('what a slot waits for', () => {
  it.each<{ name: string; tasks: readonly Task[]; more?: ClusterLiteral; told: string }>([
    { name: 'an old task that ends', tasks: [old()], told: `waits until ${OLD} on node edge-1 has ended` },
    {
      name: 'an old task on a node that is away',
      tasks: [old()],
      more: AWAY,
      told: `waits until ${OLD} on node edge-1 has surely stopped: edge-1 is unreachable; if that machine is no more, \`berth node gone edge-1\` says so`,
    },
    { name: 'an old task without a place', tasks: [old({ state: 'pending', node: null })], told: `${OLD} has ended` },
    {
      name: 'what a node keeps aside',
      tasks: [aTask(job, { state: 'lost' })],
      more: ASIDE,
      told: '`berth node stop-kept-aside edge-1`',
    },
    { name: 'an end that nobody saw', tasks: [old({ state: 'lost', history: [GONE] })], told: 'nobody saw it end' },
  ])('is told of $name', ({ tasks, more, told }) => {
    const waits = slotWaits(cluster(tasks, more), job);
    expect(waits).toMatchObject([{ group: 'main', index: 0, task: OLD, message: expect.stringContaining(told) }]);
    expect(waits[0]?.message).toMatch(/^main\[0\] waits until /);
    const view = jobView(cluster(tasks, more), job);
    expect(view).toMatchObject({ state: 'pending', message: waits[0]?.message, waiting: waits });
  });

  it.each([
    { name: 'may run twice', of: { ...job, spec: { ...job.spec, stopAfterDisconnectSeconds: undefined } } },
    { name: 'is to stop', of: { ...job, stop: { atMs: T0, by: 'alice', reason: '' } } },
  ])('is nothing where the job $name', ({ of }) => {
    expect(slotWaits(cluster([old()], {}, of), of)).toEqual([]);
  });

  it('is nothing where the slot has its task', () => {
    expect(slotWaits(cluster([old(), aTask(job, { state: 'running', node: 'edge-1' })]), job)).toEqual([]);
  });

  it('is said once for many, beside what goes on', () => {
    const spec = { ...FENCED, groups: [aGroup({ count: 4 })] };
    const wide = aJob({ version: 2, spec });
    const tasks = [0, 1, 2].map((index) => aTask(wide, { jobVersion: 1, state: 'running', node: 'edge-1', index }));
    const first = 'main[0] waits until demo-main-0-uiddemo-v1a0 on node edge-1 has ended';
    expect(jobView(cluster(tasks, {}, wide), wide).message).toBe(
      `1 task waits for a place; ${first}; 2 more wait like that`,
    );
    const runs = aTask(wide, { index: 3, state: 'running', node: 'edge-1' });
    expect(jobView(cluster([...tasks, runs], {}, wide), wide).message).toMatch(/^1 running, .*; main\[0\] waits/);
  });
});

describe('what a slot of a service waits for', () => {
  const groups = [aGroup({ count: 2 })];
  const service = aJob({ spec: { ...FENCED, kind: 'service', groups }, version: 2, templates: { main: 2 } });
  const unseen = aTask(service, { jobVersion: 1, state: 'lost', node: 'edge-1', history: [GONE] });

  it('is told of where nothing lives in it', () => {
    const runs = aTask(service, { index: 1, state: 'running', node: 'edge-1' });
    const [wait, ...others] = slotWaits(cluster([unseen, runs], {}, service), service);
    expect(wait).toMatchObject({ index: 0, message: expect.stringContaining('nobody saw it end') });
    expect(others).toEqual([]);
    expect(jobView(cluster([unseen, runs], {}, service), service).message).toContain('nobody saw it end');
  });

  it('is nothing where an old task lives there, or while it is suspended', () => {
    const lives = aTask(service, { jobVersion: 1, attempt: 1, state: 'running', node: 'edge-1' });
    expect(slotWaits(cluster([unseen, lives], {}, service), service)).toEqual([]);
    const suspended = { ...service, suspended: { atMs: T0, by: 'alice', reason: '' } };
    expect(slotWaits(cluster([unseen], {}, suspended), suspended)).toEqual([]);
  });
});

describe('what would wait after a change', () => {
  const before = aJob({ version: 1, spec: FENCED });
  const running = cluster([old()], AWAY, before);

  it('is every slot of a new version whose old task may still run', () => {
    const changed = { ...before.spec, priority: 60 };
    expect(slotWaitsWith(running, before, changed)).toMatchObject([{ task: OLD, node: 'edge-1' }]);
  });

  it('is nothing where nothing changes', () => {
    expect(slotWaitsWith(running, before, before.spec)).toEqual([]);
  });
});
