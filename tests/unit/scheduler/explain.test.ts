import { describe, expect, it } from 'vitest';
import {
  DRY_RUN_AHEAD_MAX,
  DRY_RUN_TASKS_MAX,
  explainTask,
  planDryRun,
} from '../../../control-plane/scheduler/explain.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aSpec,
  aTask,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const sized = (id: string, memMiB: number) => aNode({ id, resources: someResources({ memMiB }) });
const drained = (id: string) => aLedger({ node: id, drain: { startedAtMs: T0, deadlineMs: null, by: 'bob' } });
const job = aJob({ spec: { groups: [aGroup({ resources: { memMiB: 2048 } })] } });
const task = aTask(job);

describe('explainTask', () => {
  describe('of a task that others make room for', () => {
    const displacedBy = { because: 'priority', role: 'default', task: task.id } as const;
    const stop = { atMs: T0, by: 'berth', reason: 'displaced', displaced: true, displacedBy } as const;
    const old = aJob({ spec: { name: 'old', groups: [aGroup({ count: 5, resources: { cpus: 0.1, memMiB: 800 } })] } });
    const holders = (count: number) =>
      Array.from({ length: count }, (_, index) => aTask(old, { index, state: 'running', node: 'edge-1', stop }));
    const withHolders = (count: number, others: readonly Job[] = []) =>
      clusterOf({
        nodes: [sized('edge-1', 4000)],
        ledgers: [
          aLedger({
            total: someResources({ memMiB: 4000 }),
            entries: holders(count).map((holder) => anEntry(old, holder, { stop: { ...stop, graceMs: 1000 } })),
          }),
        ],
        jobs: [old, job, ...others],
        tasks: [...holders(count), task, ...others.map((other) => aTask(other))],
      });

    it('says what it waits for', () => {
      const explanation = explainTask({ cluster: withHolders(3), task, nowMs: T0 });
      expect(explanation).toMatchObject({ placeable: false, waiting: 'displacing' });
      const named = holders(3).map(({ id }) => `${id} on edge-1`);
      expect(explanation.summary).toMatch(
        `It waits for 3 tasks that it displaces to end: ${named.join(', ')}. As things stand: 0 of 1 node`,
      );
      const many = explainTask({ cluster: withHolders(5), task, nowMs: T0 }).summary;
      expect(many).toContain(`5 tasks that it displaces to end: ${named.join(', ')} and 2 more.`);
    });

    it('says so no more when it has room', () => {
      expect(explainTask({ cluster: withHolders(1), task, nowMs: T0 })).toMatchObject({
        placeable: true,
        waiting: null,
      });
    });

    it('counts for others as if it had its place', () => {
      const sized = (memMiB: number) =>
        aJob({ spec: { name: `m${memMiB}`, groups: [aGroup({ resources: { memMiB } })] } });
      // Of 3200 MiB that are free, 1248 are kept: 2048 less the 800 that are to come free.
      const [fits, tooLarge] = [sized(1952), sized(1953)];
      const cluster = withHolders(1, [fits, tooLarge]);
      expect(explainTask({ cluster, task: aTask(fits), nowMs: T0 }).placeable).toBe(true);
      expect(explainTask({ cluster, task: aTask(tooLarge), nowMs: T0 }).placeable).toBe(false);
      const planned = (memMiB: number) => {
        const groups = [aGroup({ resources: { memMiB } })];
        return planDryRun({ cluster: withHolders(1), nowMs: T0, spec: aSpec({ name: 'new', priority: 100, groups }) });
      };
      expect(planned(1952).placements).toHaveLength(1);
      expect(planned(1953).placements).toEqual([]);
    });
  });

  it('counts each node under its first obstacle and names the closest', () => {
    const cluster = clusterOf({
      nodes: [sized('edge-1', 1000), sized('edge-2', 1536), sized('edge-3', 4096)],
      ledgers: [drained('edge-3')],
      jobs: [job],
      tasks: [task],
    });
    expect(explainTask({ cluster, task, nowMs: T0 })).toEqual({
      placeable: false,
      waiting: null,
      notBeforeMs: null,
      nodesTotal: 3,
      refusals: [
        { code: 'node-draining', nodes: 1, message: '1 node is draining' },
        { code: 'memory', nodes: 2, message: '2 nodes have too little memory free' },
      ],
      closest: {
        node: 'edge-2',
        missing: [{ code: 'memory', message: 'lacks 512 of 2048 MiB of memory, with 1536 of 1536 free' }],
        message: 'edge-2 lacks 512 of 2048 MiB of memory, with 1536 of 1536 free',
      },
      summary:
        '0 of 3 nodes can take it: 1 is draining, 2 have too little memory free ' +
        '(closest: edge-2 lacks 512 of 2048 MiB of memory, with 1536 of 1536 free).',
    });
  });

  it('prefers one obstacle over two, however small they are', () => {
    const greedy = aJob({ spec: { groups: [aGroup({ resources: { cpus: 5, memMiB: 2048 } })] } });
    const cluster = clusterOf({
      nodes: [
        aNode({ id: 'both', resources: someResources({ cpus: 4.9, memMiB: 2000 }) }),
        aNode({ id: 'one', resources: someResources({ cpus: 0.1 }) }),
      ],
      jobs: [greedy],
    });
    const { closest } = explainTask({ cluster, task: aTask(greedy), nowMs: T0 });
    expect(closest).toMatchObject({ node: 'one', message: 'one lacks 4.9 of 5 cpus, with 0.1 of 0.1 free' });
  });

  it('takes the first id among nodes that are equally close', () => {
    const cluster = clusterOf({ nodes: [sized('b', 1000), sized('a', 1000)], jobs: [job] });
    expect(explainTask({ cluster, task, nowMs: T0 }).closest?.node).toBe('a');
  });

  it('takes one that is out of service before one of another kind, where both are equally close', () => {
    const inZone = aJob({
      spec: { constraints: [{ attribute: 'zone', operator: '=', value: 'b' }], groups: [aGroup()] },
    });
    const closestAmong = (...zones: string[]) => {
      const cluster = clusterOf({
        nodes: zones.map((zone, at) => aNode({ id: `n${at}`, attributes: { zone } })),
        ledgers: zones.flatMap((zone, at) => (zone === 'b' ? [aLedger({ node: `n${at}`, eligible: false })] : [])),
        jobs: [inZone],
      });
      return explainTask({ cluster, task: aTask(inZone), nowMs: T0 }).closest?.node;
    };
    expect(closestAmong('a', 'b', 'c')).toBe('n1');
    expect(closestAmong('b', 'a', 'b')).toBe('n0');
  });

  it('tells all that the closest node lacks', () => {
    const cluster = clusterOf({ nodes: [sized('edge-1', 1024)], ledgers: [], dead: ['edge-1'], jobs: [job] });
    expect(explainTask({ cluster, task, nowMs: T0 }).closest?.message).toBe(
      'edge-1 is unreachable: its agent sends no heartbeats; it lacks 1024 of 2048 MiB of memory, with 1024 of 1024 free',
    );
  });

  it('says how to get a first node', () => {
    const explanation = explainTask({ cluster: clusterOf({ jobs: [job] }), task, nowMs: T0 });
    expect(explanation).toMatchObject({ placeable: false, nodesTotal: 0, refusals: [], closest: null });
    expect(explanation.summary).toContain('No node has joined');
    expect(explanation.summary).toContain('berth agent');
  });

  it('says that a place is to be had', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2048), sized('b', 1)], jobs: [job], tasks: [task] });
    expect(explainTask({ cluster, task, nowMs: T0 })).toMatchObject({
      placeable: true,
      refusals: [{ code: 'memory', nodes: 1 }],
      closest: null,
      summary: '1 of 2 nodes can take it; it gets a place when its turn comes.',
    });
  });

  it('counts what the next round will sweep as free', () => {
    const ended = aTask(aJob({ spec: { ...job.spec, name: 'old' } }), { state: 'finished', node: 'a' });
    const ledger = aLedger({ node: 'a', total: someResources({ memMiB: 2048 }), entries: [anEntry(job, ended)] });
    const cluster = clusterOf({ nodes: [sized('a', 2048)], ledgers: [ledger], jobs: [job], tasks: [task, ended] });
    expect(explainTask({ cluster, task, nowMs: T0 }).placeable).toBe(true);
  });

  it('tells a backoff, and what would happen after it', () => {
    const waiting = { ...task, notBeforeMs: T0 + 1500 };
    const cluster = clusterOf({ nodes: [sized('a', 2048)], jobs: [job], tasks: [waiting] });
    expect(explainTask({ cluster, task: waiting, nowMs: T0 })).toMatchObject({
      placeable: false,
      waiting: 'backoff',
      notBeforeMs: T0 + 1500,
      summary:
        'It waits until 2026-01-01T00:00:01.500Z before it is tried again. ' +
        'As things stand: 1 of 1 node can take it; it gets a place when its turn comes.',
    });
    expect(explainTask({ cluster, task: waiting, nowMs: T0 + 1500 })).toMatchObject({ placeable: true, waiting: null });
  });

  const stop = { atMs: T0, by: 'alice', reason: 'enough' };
  const holds: readonly { readonly waiting: string; readonly jobs: readonly Job[]; readonly task: Task }[] = [
    { waiting: 'not-pending', jobs: [job], task: aTask(job, { state: 'running', node: 'a' }) },
    { waiting: 'stop-requested', jobs: [job], task: aTask(job, { stop }) },
    { waiting: 'job-gone', jobs: [], task },
    { waiting: 'job-stopped', jobs: [{ ...job, stop }], task },
    { waiting: 'job-stopped', jobs: [{ ...job, deleted: true }], task },
    { waiting: 'job-ended', jobs: [{ ...job, outcome: { state: 'failed', atMs: T0, message: '' } }], task },
    { waiting: 'superseded', jobs: [{ ...job, version: 2 }], task },
    { waiting: 'superseded', jobs: [{ ...job, version: 2, spec: { ...job.spec, kind: 'service' } }], task },
    { waiting: 'job-suspended', jobs: [{ ...job, suspended: stop }], task },
  ];
  it.each(holds)('says that a task is held back: $waiting', ({ waiting, jobs, task: held }) => {
    const cluster = clusterOf({ nodes: [sized('a', 2048)], jobs, tasks: [held] });
    const explanation = explainTask({ cluster, task: held, nowMs: T0 });
    expect(explanation).toMatchObject({ placeable: false, waiting, nodesTotal: 1, refusals: [] });
    expect(explanation.summary).toMatch(/^It.*\.$/);
  });
});

describe('planDryRun', () => {
  const two = aSpec({
    name: 'new',
    groups: [
      aGroup({ name: 'small', count: 2, resources: { memMiB: 1000 } }),
      aGroup({ name: 'large', count: 3, resources: { memMiB: 1500 } }),
    ],
  });

  it('tells where each task would go, and why the rest would not', () => {
    const cluster = clusterOf({ nodes: [sized('a', 4000), sized('b', 1200)] });
    const { placements, unplaced } = planDryRun({ cluster, nowMs: T0, spec: two });
    // Groups take their turns by name. Two large ones leave room for one small one on the larger node, which it fills up.
    expect(placements.map(({ group, index, node }) => `${group}/${index} ${node}`)).toEqual([
      'small/0 a',
      'small/1 b',
      'large/0 a',
      'large/1 a',
    ]);
    expect(unplaced).toMatchObject([{ group: 'large', count: 1 }]);
  });

  it('leaves out what would not be made yet, and gives its room to the others', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2600)] });
    const isTaken = ({ group, index }: { group: string; index: number }) => group === 'large' && index < 2;
    const { placements, unplaced, leftOut } = planDryRun({ cluster, nowMs: T0, spec: two, isTaken });
    expect(placements.map(({ group, index }) => `${group}/${index}`)).toEqual(['small/0', 'large/2']);
    expect(unplaced).toMatchObject([{ group: 'small', count: 1 }]);
    expect(leftOut).toBeNull();
  });

  it('comes after everything that is pending already', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2048)], jobs: [job], tasks: [task] });
    const { placements, unplaced } = planDryRun({ cluster, nowMs: T0 + 1, spec: two });
    expect(placements).toEqual([]);
    expect(unplaced.map(({ group, count }) => `${count} ${group}`)).toEqual(['2 small', '3 large']);
    expect(unplaced[0]?.explanation.refusals).toEqual([
      { code: 'memory', nodes: 1, message: '1 node has too little memory free' },
    ]);
  });

  it('comes first where its priority is higher', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2048)], jobs: [job], tasks: [task] });
    expect(planDryRun({ cluster, nowMs: T0 + 1, spec: { ...two, priority: 51 } }).placements).not.toEqual([]);
  });

  it('takes the place of the pending tasks of the job that it would replace', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2048)], jobs: [job], tasks: [task] });
    const spec = { ...job.spec, groups: [aGroup({ resources: { memMiB: 2000 } })] };
    expect(planDryRun({ cluster, nowMs: T0 + 1, spec })).toMatchObject({ placements: [{ node: 'a' }], unplaced: [] });
  });

  it('plans the first tasks of each group of a large job, and says so', () => {
    const tiny = { cpus: 0.001, memMiB: 1 };
    const groups = [
      aGroup({ name: 'a', count: 5000, resources: tiny }),
      aGroup({ name: 'b', count: 9, resources: tiny }),
    ];
    const large = planDryRun({ cluster: clusterOf({ nodes: [sized('n', 4000)] }), nowMs: T0, spec: aSpec({ groups }) });
    expect(large.placements.map(({ group, index }) => `${group}/${index}`)).toEqual([
      ...Array.from({ length: DRY_RUN_TASKS_MAX / 2 }, (_, index) => `a/${index}`),
      ...Array.from({ length: 9 }, (_, index) => `b/${index}`),
    ]);
    expect(large.unplaced).toEqual([]);
    expect(large.leftOut).toBe('Of its 5009 tasks, the first 500 of each group are planned here.');
  });

  it('counts so many of the pending tasks that come first, and none that come later', () => {
    const waiting = aJob({ spec: { name: 'waiting', groups: [aGroup({ count: DRY_RUN_AHEAD_MAX + 1 })] } });
    const tasks = Array.from({ length: DRY_RUN_AHEAD_MAX + 1 }, (_, index) => aTask(waiting, { index }));
    const cluster = clusterOf({ nodes: [sized('n', 4000)], jobs: [waiting], tasks });
    const spec = aSpec({ name: 'next' });
    const sentence = 'Of the 4001 pending tasks that come before it, the first 4000 are counted.';
    expect(planDryRun({ cluster, nowMs: T0 + 1, spec })).toMatchObject({ placements: [], leftOut: sentence });
    expect(planDryRun({ cluster, nowMs: T0 + 1, spec: { ...spec, priority: 51 } })).toMatchObject({
      placements: [{ node: 'n' }],
      leftOut: null,
    });
  });

  it('does not tell a group to wait for room that its own tasks would take', () => {
    const cluster = clusterOf({ nodes: [sized('a', 2000)] });
    const spec = aSpec({ groups: [aGroup({ count: 3, resources: { memMiB: 1000 } })] });
    const { placements, unplaced } = planDryRun({ cluster, nowMs: T0, spec });
    expect(placements.map(({ index }) => index)).toEqual([0, 1]);
    expect(unplaced).toMatchObject([{ group: 'main', count: 1, explanation: { placeable: false } }]);
    expect(unplaced[0]?.explanation.summary).toBe(
      '0 of 1 node can take it: 1 has too little memory free ' +
        '(closest: a lacks 1000 of 1000 MiB of memory, with 0 of 2000 free).',
    );
  });
});
