import { describe, expect, it } from 'vitest';
import { planRound, ROUND_PLACEMENTS_MAX } from '../../../control-plane/scheduler/round.ts';
import type { Job, JobSpec } from '../../../shared/domain/job.ts';
import { entryBytesMax, LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX } from '../../../shared/domain/ledger.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { applyRound } from '../../support/apply-plan.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const plan = (literal: ClusterLiteral, nowMs = T0) => planRound({ cluster: clusterOf(literal), nowMs });

/** A job of one group with that many pending tasks. */
function pendingJob(name: string, count: number, change: Partial<JobSpec> = {}): { job: Job; tasks: Task[] } {
  const [group = aGroup()] = change.groups ?? [];
  const job = aJob({ spec: { name, ...change, groups: [{ ...group, count }] } });
  return { job, tasks: Array.from({ length: count }, (_, index) => aTask(job, { index })) };
}

const sized = (id: string, cpus: number) => aNode({ id, resources: someResources({ cpus }) });

describe('sweeps', () => {
  const job = aJob({ spec: { groups: [aGroup({ count: 4 })] } });
  const on = (index: number, state: Task['state']) => aTask(job, { index, state, node: 'edge-1' });
  const running = on(0, 'running');
  const finished = on(1, 'finished');
  const disowned = on(2, 'lost');
  const unrecorded = on(3, 'running');

  it('free what has ended or is not on record, but nothing that runs or was given up', () => {
    const entries = [
      anEntry(job, running),
      anEntry(job, finished),
      anEntry(job, disowned, { disowned: true }),
      anEntry(job, unrecorded),
    ];
    const { sweeps } = plan({
      nodes: [aNode()],
      ledgers: [aLedger({ entries })],
      jobs: [job],
      tasks: [running, finished, disowned],
    });
    expect(sweeps).toEqual([{ node: 'edge-1', tasks: [finished.id, unrecorded.id], offers: [] }]);
  });

  it('make room for placements of the same round', () => {
    const { job: next, tasks } = pendingJob('next', 1, { groups: [aGroup({ resources: { cpus: 4 } })] });
    const literal = (entry: Task, change = {}) => ({
      nodes: [aNode()],
      ledgers: [aLedger({ entries: [anEntry(job, entry, change)] })],
      jobs: [job, next],
      tasks: [entry, ...tasks],
    });
    expect(plan(literal(finished)).placements).toHaveLength(1);
    expect(plan(literal(running)).placements).toEqual([]);
    expect(plan(literal(disowned, { disowned: true })).placements).toEqual([]);
  });
});

describe('placements', () => {
  it('carry the whole ledger entry', () => {
    const group = aGroup({
      resources: { cpus: 0.5, memMiB: 64, custom: { slots: 2 }, pids: 77 },
      ports: [{ name: 'web', hostPort: 31_080, containerPort: 80, protocol: 'tcp' }],
    });
    const { job, tasks } = pendingJob('web', 1, { role: 'eng/ml', groups: [group] });
    const node = aNode({ resources: someResources({ custom: { slots: 2 } }) });
    const { placements } = plan({ nodes: [node], jobs: [job], tasks });
    expect(placements).toEqual([
      {
        task: tasks[0]?.id,
        node: 'edge-1',
        why: 'edge-1 is the only node, and has room (slots 100 % used after placement)',
        entry: {
          kind: 'task',
          task: tasks[0]?.id,
          role: 'eng/ml',
          jobUid: job.uid,
          jobVersion: 1,
          group: 'main',
          resources: {
            cpus: 0.5,
            memMiB: 64,
            diskMiB: 0,
            gpus: 0,
            custom: { slots: 2 },
            ports: [{ first: 31_080, last: 31_080 }],
          },
          ports: { web: 31_080 },
          reserved: {},
          devices: [],
          framework: null,
          templateBytes: JSON.stringify(job.spec.groups[0]).length,
          stop: null,
          disowned: false,
        },
      },
    ]);
  });

  it('hold nothing of what a task asks for none of', () => {
    const { job, tasks } = pendingJob('none', 1, {
      groups: [aGroup({ resources: { custom: { slots: 0, seats: 1 } } })],
    });
    const node = aNode({ resources: someResources({ custom: { seats: 1 } }) });
    expect(plan({ nodes: [node], jobs: [job], tasks }).placements[0]?.entry.resources.custom).toEqual({ seats: 1 });
  });

  it('fill a node exactly, and leave pending what is too much', () => {
    const { job, tasks } = pendingJob('ten', 11, { groups: [aGroup({ resources: { cpus: 0.1 } })] });
    const { placements } = plan({ nodes: [sized('edge-1', 1)], jobs: [job], tasks });
    expect(placements.map(({ task }) => task)).toEqual(tasks.slice(0, 10).map(({ id }) => id));
  });

  it('skip what does not fit and go on with what does', () => {
    const big = pendingJob('big', 2, { priority: 90, groups: [aGroup({ resources: { cpus: 3 } })] });
    const small = pendingJob('small', 1);
    const { placements } = plan({
      nodes: [sized('edge-1', 4)],
      jobs: [small.job, big.job],
      tasks: [...small.tasks, ...big.tasks],
    });
    expect(placements.map(({ task }) => task)).toEqual([big.tasks[0]?.id, small.tasks[0]?.id]);
  });

  const held: readonly { readonly why: string; readonly job?: Partial<Job>; readonly task?: Partial<Task> }[] = [
    { why: 'its job is stopped', job: { stop: { atMs: T0, by: 'alice', reason: 'enough' } } },
    { why: 'its job is deleted', job: { deleted: true } },
    { why: 'its job has ended', job: { outcome: { state: 'failed', atMs: T0, message: '' } } },
    { why: 'its version is an older one', job: { version: 2 }, task: { jobVersion: 1 } },
    { why: 'its group is no longer in the spec', task: { group: 'gone' } },
    { why: 'it is to be stopped itself', task: { stop: { atMs: T0, by: 'alice', reason: 'enough' } } },
    { why: 'it waits out a backoff', task: { notBeforeMs: T0 + 1 } },
    { why: 'it has a place already', task: { state: 'staging', node: 'edge-1' } },
  ];
  it.each(held)('pass over a task when $why', ({ job: jobChange = {}, task: taskChange = {} }) => {
    const job = aJob(jobChange);
    expect(plan({ nodes: [aNode()], jobs: [job], tasks: [aTask(job, taskChange)] }).placements).toEqual([]);
  });

  it('pass over a task whose job is gone', () => {
    expect(plan({ nodes: [aNode()], tasks: [aTask(aJob())] }).placements).toEqual([]);
  });

  it.each([
    ['runs', (task: string) => ({ keptAside: [{ task, stop: null }] })],
    ['has ended', (task: string) => ({ endedBefore: [task] })],
  ])('pass over a task that a node says %s there, from before the state was restored', (_, said) => {
    const job = aJob({ spec: { groups: [aGroup({ count: 2 })] } });
    const [begun, other] = [aTask(job), aTask(job, { index: 1 })];
    const epochs = { 'edge-2': { epoch: 1, unreachableSinceMs: null, ...said(begun.id) } };
    const { placements } = plan({
      nodes: [aNode(), aNode({ id: 'edge-2' })],
      epochs,
      jobs: [job],
      tasks: [begun, other],
    });
    expect(placements.map(({ task }) => task)).toEqual([other.id]);
  });

  it('take a task up at the very moment its backoff ends, and say when that is', () => {
    const { job, tasks } = pendingJob('retry', 3);
    const waits = [2000, 1000, 3000];
    const waiting = tasks.map((task, place) => ({ ...task, notBeforeMs: T0 + (waits[place] ?? 0) }));
    const literal = { nodes: [aNode()], jobs: [job], tasks: waiting };
    expect(plan(literal, T0)).toMatchObject({ placements: [], wakeAtMs: T0 + 1000 });
    const later = plan(literal, T0 + 2000);
    expect(later.placements.map(({ task }) => task)).toEqual([tasks[0]?.id, tasks[1]?.id]);
    expect(later.wakeAtMs).toBe(T0 + 3000);
    expect(plan(literal, T0 + 3000)).toMatchObject({ wakeAtMs: null });
  });

  it('are not woken for a task that will get no place then either', () => {
    const job = aJob({ stop: { atMs: T0, by: 'alice', reason: 'enough' } });
    expect(plan({ jobs: [job], tasks: [aTask(job, { notBeforeMs: T0 + 1 })] }).wakeAtMs).toBeNull();
  });
});

describe('turns', () => {
  it('go by priority, then age, then job, group, index', () => {
    const of = (name: string, change: Partial<JobSpec> = {}) => aJob({ spec: { name, ...change } });
    const groups = [aGroup({ name: 'b', count: 11 }), aGroup({ name: 'a' })];
    const many = of('many', { groups });
    const jobs = [of('late'), of('first'), of('urgent', { priority: 51 }), many];
    const [late = many, first = many, urgent = many] = jobs;
    const expected = [
      aTask(urgent, { atMs: T0 + 9000 }),
      aTask(first, { atMs: T0 - 1 }),
      aTask(many, { group: 'a' }),
      aTask(many, { group: 'b', index: 2 }),
      aTask(many, { group: 'b', index: 10 }),
      aTask(late, { atMs: T0 + 1 }),
    ];
    const { placements } = plan({ nodes: [sized('edge-1', 99)], jobs, tasks: expected.toReversed() });
    expect(placements.map(({ task }) => task)).toEqual(expected.map(({ id }) => id));
  });
});

describe('pack', () => {
  it('takes the node that is fullest afterwards, and says so', () => {
    const { job, tasks } = pendingJob('one', 1);
    const { placements } = plan({ nodes: [sized('a', 8), sized('b', 2), sized('c', 0.5)], jobs: [job], tasks });
    expect(placements[0]).toMatchObject({
      node: 'b',
      why: '2 of 3 nodes had room; b is the fullest that fits (cpus 50 % used after placement)',
    });
  });

  it('judges by the scalar that is used most, of those that the task needs', () => {
    const { job, tasks } = pendingJob('one', 1, { groups: [aGroup({ resources: { cpus: 1, memMiB: 900 } })] });
    const a = aNode({ id: 'a', resources: someResources({ cpus: 2, memMiB: 9000 }) });
    const b = aNode({ id: 'b', resources: someResources({ cpus: 9, memMiB: 1000 }) });
    expect(plan({ nodes: [a, b], jobs: [job], tasks }).placements[0]).toMatchObject({
      node: 'b',
      why: '2 of 2 nodes had room; b is the fullest that fits (memMiB 90 % used after placement)',
    });
  });

  it('takes the first id among equals, and names an only choice as one', () => {
    const { job, tasks } = pendingJob('one', 5);
    const { placements } = plan({ nodes: [sized('b', 3), sized('a', 3)], jobs: [job], tasks });
    expect(placements.map(({ node }) => node)).toEqual(['a', 'a', 'a', 'b', 'b']);
    expect(placements[3]?.why).toBe('b is the only one of 2 nodes that had room (cpus 33 % used after placement)');
  });
});

describe('spread', () => {
  it('shares a group out, counting what already runs, then takes the least loaded', () => {
    const { job, tasks } = pendingJob('web', 5, { placement: 'spread' });
    const [running, ...pending] = tasks;
    const onA = { ...aTask(job, { state: 'running', node: 'a' }), id: running?.id ?? '' };
    const { placements } = plan({
      nodes: [sized('a', 8), sized('b', 8), sized('c', 16)],
      ledgers: [aLedger({ node: 'a', total: someResources({ cpus: 8 }), entries: [anEntry(job, onA)] })],
      jobs: [job],
      tasks: [onA, ...pending],
    });
    expect(placements.map(({ node }) => node)).toEqual(['c', 'b', 'c', 'a']);
    expect(placements[0]?.why).toBe(
      '3 of 3 nodes had room; c holds the fewest tasks of the group (0) and is the least loaded of those ' +
        '(cpus 6 % used after placement)',
    );
  });

  it('weighs one task of the group more than any load', () => {
    const { job, tasks } = pendingJob('web', 1, {
      placement: 'spread',
      groups: [aGroup({ resources: { cpus: 0.1 } })],
    });
    const onA = aTask(job, { index: 7, state: 'running', node: 'a' });
    const other = aJob({ spec: { name: 'other', groups: [aGroup({ resources: { cpus: 3.5 } })] } });
    const onB = aTask(other, { state: 'running', node: 'b' });
    const { placements } = plan({
      nodes: [sized('a', 4), sized('b', 4)],
      ledgers: [
        aLedger({ node: 'a', entries: [anEntry(job, onA)] }),
        aLedger({ node: 'b', entries: [anEntry(other, onB)] }),
      ],
      jobs: [job, other],
      tasks: [onA, onB, ...tasks],
    });
    expect(placements[0]?.node).toBe('b');
  });

  it('counts only its own group', () => {
    const other = aJob({ spec: { name: 'other', groups: [aGroup({ resources: { cpus: 0.1, memMiB: 1 } })] } });
    const others = [0, 1, 2].map((index) => aTask(other, { index, state: 'running', node: 'a' }));
    const { job, tasks } = pendingJob('web', 1, { placement: 'spread' });
    const { placements } = plan({
      nodes: [sized('a', 8), sized('b', 4)],
      ledgers: [
        aLedger({ node: 'a', total: someResources({ cpus: 8 }), entries: others.map((task) => anEntry(other, task)) }),
      ],
      jobs: [job, other],
      tasks: [...others, ...tasks],
    });
    expect(placements[0]?.node).toBe('a');
  });
});

describe('host ports', () => {
  const range = (first: number, last: number) => someResources({ cpus: 99, memMiB: 99_999, ports: [{ first, last }] });
  const port = (name: string, hostPort?: number) => ({ name, protocol: 'tcp' as const, hostPort });

  it('are all handed out, each once, beside those asked for by number', () => {
    const { job, tasks } = pendingJob('web', 5, { groups: [aGroup({ ports: [port('a'), port('b')] })] });
    const fixed = pendingJob('fixed', 1, { priority: 90, groups: [aGroup({ ports: [port('x', 31_004), port('y')] })] });
    const { placements } = plan({
      nodes: [aNode({ resources: range(31_000, 31_009) })],
      jobs: [job, fixed.job],
      tasks: [...tasks, ...fixed.tasks],
    });
    expect(placements).toHaveLength(5);
    expect(placements[0]?.entry.ports['x']).toBe(31_004);
    const all = placements.flatMap(({ entry }) => Object.values(entry.ports)).sort();
    expect(all).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((offset) => 31_000 + offset));
  });

  it('never take for one name what another name asks for by number', () => {
    const ports = [port('any'), port('certain', 31_000)];
    const { job, tasks } = pendingJob('web', 8, { groups: [aGroup({ ports })] });
    for (const task of tasks) {
      const node = aNode({ resources: range(31_000, 31_001) });
      const { placements } = plan({ nodes: [node], jobs: [job], tasks: [task] });
      expect(placements[0]?.entry.ports).toEqual({ any: 31_001, certain: 31_000 });
      expect(placements[0]?.entry.resources.ports).toEqual([{ first: 31_000, last: 31_001 }]);
    }
  });

  it('move on from task to task, so that one that has just come free rests', () => {
    const { job, tasks } = pendingJob('web', 8, { groups: [aGroup({ ports: [port('a')] })] });
    const ports = tasks.map((task) => {
      const { placements } = plan({ nodes: [aNode()], jobs: [job], tasks: [task] });
      return placements[0]?.entry.ports['a'];
    });
    expect(new Set(ports).size).toBe(ports.length);
  });
});

describe('a round', () => {
  it('fills a ledger up to its bound, and no further', () => {
    const tiny = aGroup({ resources: { cpus: 0.001, memMiB: 1 } });
    const { job, tasks } = pendingJob('many', LEDGER_ENTRIES_MAX + 1, { groups: [tiny] });
    expect(plan({ nodes: [sized('edge-1', 99)], jobs: [job], tasks }).placements).toHaveLength(LEDGER_ENTRIES_MAX);
  });

  it('fills a ledger up to its bytes, and no further', () => {
    const ports = Array.from({ length: 100 }, (_, at) => ({
      name: `${'p'.repeat(60)}${at}`,
      protocol: 'tcp' as const,
    }));
    const large = aGroup({ resources: { cpus: 0.001, memMiB: 1 }, ports });
    const { job, tasks } = pendingJob('many', 300, { groups: [large] });
    const node = aNode({ resources: someResources({ ports: [{ first: 10_000, last: 60_000 }] }) });
    const { placements } = plan({ nodes: [node], jobs: [job], tasks });
    const bytes = placements.reduce((sum, { entry }) => sum + entryBytesMax(entry), 0);
    expect(bytes).toBeLessThanOrEqual(LEDGER_BYTES_MAX);
    expect(bytes).toBeGreaterThan(LEDGER_BYTES_MAX - 20_000);
  });

  it('leaves to the next one what would hold everything else up for long', () => {
    const { job, tasks } = pendingJob('many', ROUND_PLACEMENTS_MAX + 1, {
      groups: [aGroup({ resources: { cpus: 0.001, memMiB: 1 } })],
    });
    const nodes = ['a', 'b', 'c'].map((id) => sized(id, 99));
    const before = clusterOf({ nodes, jobs: [job], tasks });
    const first = planRound({ cluster: before, nowMs: T0 });
    expect(first.isCutOff).toBe(true);
    expect(first.placements.map(({ task }) => task)).toEqual(tasks.slice(0, ROUND_PLACEMENTS_MAX).map(({ id }) => id));
    const second = planRound({ cluster: applyRound(before, first, T0), nowMs: T0 });
    expect(second).toMatchObject({ isCutOff: false, placements: [{ task: tasks.at(-1)?.id }] });
  });

  it('has nothing left to do once it has been applied', () => {
    const { job, tasks } = pendingJob('web', 9);
    const before = clusterOf({ nodes: [sized('a', 2), sized('b', 3)], jobs: [job], tasks });
    const first = planRound({ cluster: before, nowMs: T0 });
    expect(first.placements).toHaveLength(5);
    const after = applyRound(before, first, T0);
    expect(planRound({ cluster: after, nowMs: T0 })).toMatchObject({ sweeps: [], placements: [], wakeAtMs: null });
  });

  it('ignores nodes that have joined without a ledger, and ledgers whose node is gone', () => {
    const { job, tasks } = pendingJob('web', 1);
    expect(plan({ ledgers: [aLedger()], jobs: [job], tasks }).placements).toEqual([]);
  });
});
