import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { GroupSpec, JobSpec } from '../../../shared/domain/job.ts';
import type { Node } from '../../../shared/domain/node.ts';
import type { Task } from '../../../shared/domain/task.ts';
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

/** Named after their zones: `a1` is in zone a. */
function nodesIn(...ids: string[]): Node[] {
  return ids.map((id) => aNode({ id, attributes: { zone: id[0] ?? '' } }));
}

function service(change: Partial<GroupSpec>, spec: Partial<JobSpec> = {}) {
  return aJob({
    spec: { kind: 'service', ...spec, groups: [aGroup({ count: 4, resources: { cpus: 0.1 }, ...change })] },
  });
}

const byZone = (constraint: Omit<Constraint, 'attribute'>) => ({ constraints: [{ attribute: 'zone', ...constraint }] });

function pending(job: ReturnType<typeof aJob>, count: number, from = 0): Task[] {
  return Array.from({ length: count }, (_, at) => aTask(job, { index: from + at }));
}

function places(literal: ClusterLiteral): string[] {
  return planRound({ cluster: clusterOf(literal), nowMs: T0 }).placements.map(({ node }) => node);
}

describe('within one round', () => {
  it('each task counts for the next', () => {
    const job = service(byZone({ operator: 'unique' }));
    expect(places({ nodes: nodesIn('a1', 'a2', 'b1'), jobs: [job], tasks: pending(job, 3) })).toEqual(['a1', 'b1']);
  });

  it('a node that was barred gets its turn again', () => {
    const job = service(byZone({ operator: 'groupBy' }));
    const found = places({ nodes: nodesIn('a1', 'b1'), jobs: [job], tasks: pending(job, 4) });
    expect(found.sort()).toEqual(['a1', 'a1', 'b1', 'b1']);
  });

  it('the values that are expected are used before any gets a second task', () => {
    const job = service(byZone({ operator: 'groupBy', value: '2' }));
    const found = places({ nodes: nodesIn('a1', 'b1', 'c1'), jobs: [job], tasks: pending(job, 4) });
    expect(found.sort()).toEqual(['a1', 'a1', 'b1', 'c1']);
    expect(places({ nodes: nodesIn('a1', 'a2'), jobs: [job], tasks: pending(job, 4) })).toEqual(['a1']);
  });

  it('all follow the first to its value', () => {
    const job = service(byZone({ operator: 'cluster' }));
    const small = someResources({ cpus: 0.2 });
    const nodes = nodesIn('a1', 'a2', 'b1', 'b2').map((node) => ({ ...node, resources: small }));
    expect(new Set(places({ nodes, jobs: [job], tasks: pending(job, 4) }).map((id) => id[0])).size).toBe(1);
  });

  it('constraints of the job hold for each group by itself', () => {
    const groups = ['one', 'two'].map((name) => aGroup({ name, resources: { cpus: 0.1 } }));
    const job = aJob({ spec: { kind: 'service', ...byZone({ operator: 'unique' }), groups } });
    const tasks = [0, 1].flatMap((index) => groups.map(({ name }) => aTask(job, { group: name, index })));
    const placed = planRound({ cluster: clusterOf({ nodes: nodesIn('a1', 'b1'), jobs: [job], tasks }), nowMs: T0 });
    expect(placed.placements.map(({ node, entry }) => `${entry.group} ${node}`).sort()).toEqual([
      'one a1',
      'one b1',
      'two a1',
      'two b1',
    ]);
  });

  it('hold for the tasks of a system job, which name their nodes', () => {
    const job = service({ count: 1, ...byZone({ operator: 'maxPer', value: '1' }) }, { kind: 'system' });
    const tasks = ['a1', 'a2', 'b1'].map((node, index) => aTask(job, { index, target: { node, required: true } }));
    expect(places({ nodes: nodesIn('a1', 'a2', 'b1'), jobs: [job], tasks })).toEqual(['a1', 'b1']);
  });
});

describe('who counts', () => {
  const job = { ...service(byZone({ operator: 'unique' })), version: 2, templates: { main: 2 } };
  const older = {
    jobUid: job.uid,
    version: 1,
    spec: job.spec,
    createdAtMs: T0,
    createdBy: 'alice',
    change: 'created',
    templates: {},
  } as const;
  const stop = { atMs: T0, by: 'alice', reason: 'scaled down' };
  const drain = { startedAtMs: T0, deadlineMs: null, by: 'bob' };
  const running = aTask(job, { index: 1, state: 'running', node: 'a1' });

  it.each<{ name: string; there: Task; change?: ClusterLiteral; counts: boolean }>([
    { name: 'a task that runs', there: running, counts: true },
    { name: 'one that is about to start', there: { ...running, state: 'staging' }, counts: true },
    { name: 'one that has been asked to stop and has not ended', there: { ...running, stop }, counts: true },
    { name: 'one that has ended', there: { ...running, state: 'failed' }, counts: false },
    { name: 'one on a node that is unreachable', there: running, change: { dead: ['a1'] }, counts: true },
    { name: 'one that was given up', there: { ...running, state: 'lost' }, change: { dead: ['a1'] }, counts: false },
    { name: 'one of an older template', there: aTask(job, { ...running, jobVersion: 1 }), counts: false },
    {
      name: 'one on a node that is being drained',
      there: running,
      change: { ledgers: [aLedger({ node: 'a1', drain, entries: [anEntry(job, running)] })] },
      counts: false,
    },
  ])('$name: $counts', ({ there, change, counts }) => {
    const literal = {
      nodes: nodesIn('a1', 'a2'),
      jobs: [job],
      versions: [older],
      tasks: [aTask(job), there],
      ...change,
    };
    expect(places(literal)).toEqual(counts ? [] : [change?.ledgers || change?.dead ? 'a2' : 'a1']);
  });
});

describe('tasks that make room for others', () => {
  const whole = { cpus: 4, memMiB: 1 };
  const low = aJob({ spec: { name: 'low', priority: 10, groups: [aGroup({ resources: { cpus: 3, memMiB: 1 } })] } });
  const lows = ['a2', 'b1'].map((node, index) => aTask(low, { index, state: 'running', node }));
  const nodes = nodesIn('a1', 'a2', 'b1');
  const stopped = (operator: 'unique' | 'exists') => {
    const job = service({ ...byZone({ operator }), resources: aGroup({ resources: whole }).resources });
    const there = aTask(job, { index: 1, state: 'running', node: 'a1' });
    const ledgers = [
      aLedger({ node: 'a1', entries: [anEntry(job, there)] }),
      ...lows.map((task) => aLedger({ node: task.node ?? '', entries: [anEntry(low, task)] })),
    ];
    const cluster = clusterOf({ nodes, ledgers, jobs: [job, low], tasks: [aTask(job), there, ...lows] });
    return planRound({ cluster, nowMs: T0 }).stops.map(({ node }) => node);
  };

  it('go only where the others of the group let it be', () => {
    expect(stopped('exists')).toEqual(['a2']);
    expect(stopped('unique')).toEqual(['b1']);
  });
});

describe('a count that has changed', () => {
  it('is what the targets of a spread go by, though no template has changed', () => {
    const halves = ['a', 'b'].map((value) => ({ value, percent: 50 }));
    const group = {
      prefer: [{ attribute: 'zone', operator: '=', value: 'a', weight: 30 }],
      spread: [{ attribute: 'zone', weight: 60, targets: halves }],
    } as const;
    const job = service({ ...group, count: 2 });
    const scaled = {
      ...job,
      version: 2,
      templates: { main: 1 },
      spec: { ...job.spec, groups: [aGroup({ ...group, count: 10 })] },
    };
    const version = {
      jobUid: job.uid,
      version: 1,
      spec: job.spec,
      createdAtMs: T0,
      createdBy: 'alice',
      change: 'created',
      templates: {},
    } as const;
    const tasks = [aTask(job, { state: 'running', node: 'a1' }), ...pending(job, 1, 1)];
    const nodes = nodesIn('a1', 'b1');
    expect(places({ nodes, jobs: [job], tasks })).toEqual(['b1']);
    expect(places({ nodes, jobs: [scaled], versions: [version], tasks })).toEqual(['a1']);
  });
});

describe('what is preferred', () => {
  const nodes = nodesIn('a1', 'b1', 'c1');
  const full = aJob({ spec: { name: 'full', groups: [aGroup({ resources: { cpus: 3 } })] } });
  const fills = aTask(full, { state: 'running', node: 'a1' });
  const ledgers = [aLedger({ node: 'a1', entries: [anEntry(full, fills)] })];
  const first = (group: Partial<GroupSpec>, change: Partial<Task> = {}) => {
    const job = service(group);
    return places({ nodes, ledgers, jobs: [job, full], tasks: [aTask(job, change), fills] })[0];
  };
  const zone = (value: string, weight: number) => ({ attribute: 'zone', operator: '=', value, weight }) as const;

  it('decides before how full nodes are', () => {
    expect(first({})).toBe('a1');
    expect(first({ prefer: [zone('b', 1)] })).toBe('b1');
  });

  it('is added up, and what is rather not takes away', () => {
    expect(first({ prefer: [zone('b', 60), zone('c', 50), { ...zone('b', 20), operator: '!=' }] })).toBe('c1');
    expect(first({ prefer: [zone('a', -1), zone('b', -2)] })).toBe('c1');
  });

  it('leaves equals to how full they are', () => {
    expect(first({ prefer: [{ ...zone('c', 10), operator: '!=' }] })).toBe('a1');
  });

  it('is outweighed by what is required', () => {
    expect(first({ prefer: [zone('b', 100)], ...byZone({ operator: '!=', value: 'b' }) })).toBe('a1');
  });

  it('counts the node that was chosen beforehand as much as the strongest of them', () => {
    const target = { node: 'c1', required: false };
    expect(first({}, { target })).toBe('c1');
    expect(first({ prefer: [zone('b', 99)] }, { target })).toBe('c1');
    expect(first({ prefer: [zone('b', 60), zone('b', 60)] }, { target })).toBe('b1');
    expect(first({}, { target: { node: 'gone', required: false } })).toBe('a1');
  });

  it('never comes before keeping nodes with GPUs for the last', () => {
    const job = service({ prefer: [zone('b', 100)] }, { gpuNodes: 'preferred' });
    const withGpus = nodes.map((node) =>
      node.id === 'b1' ? { ...node, resources: someResources({ gpus: 1 }) } : node,
    );
    expect(places({ nodes: withGpus, jobs: [job], tasks: [aTask(job)] })).toEqual(['a1']);
  });

  it('spreads tasks evenly, and by targets', () => {
    const evenly = service({ count: 6, spread: [{ attribute: 'zone', weight: 50 }] });
    expect(places({ nodes, jobs: [evenly], tasks: pending(evenly, 6) }).sort()).toEqual([
      'a1',
      'a1',
      'b1',
      'b1',
      'c1',
      'c1',
    ]);
    const targets = [{ value: 'a', percent: 50 }];
    const shared = service({ count: 8, spread: [{ attribute: 'zone', weight: 50, targets }] });
    const found = places({ nodes, jobs: [shared], tasks: pending(shared, 8) });
    expect(['a1', 'b1', 'c1'].map((id) => found.filter((node) => node === id).length)).toEqual([4, 2, 2]);
  });
});

describe('an explanation', () => {
  it('names the rule, what is there, and what would be allowed', () => {
    const job = service(byZone({ operator: 'maxPer', value: '1' }));
    const task = aTask(job);
    const there = aTask(job, { index: 1, state: 'running', node: 'a1' });
    const cluster = clusterOf({ nodes: nodesIn('a1'), jobs: [job], tasks: [task, there] });
    expect(explainTask({ cluster, task, nowMs: T0 })).toMatchObject({
      placeable: false,
      refusals: [{ code: 'peers', nodes: 1 }],
      closest: { message: 'a1 is full: zone a has 1 task of the group, and "zone maxPer 1" allows 1' },
    });
  });
});
