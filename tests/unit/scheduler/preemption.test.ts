import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { GroupSpec, Job, JobSpec } from '../../../shared/domain/job.ts';
import type { Ledger, TaskEntry } from '../../../shared/domain/ledger.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { Role } from '../../../shared/domain/role.ts';
import { advance, type Task } from '../../../shared/domain/task.ts';
import { applyRound, literalOf } from '../../support/apply-plan.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aReservation,
  aRole,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const NOW = T0 + 600_000;

/** A task that holds a place, by default one core, or one that waits for a place (`node: null`). */
interface Given {
  readonly name: string;
  readonly role: string;
  readonly node: string | null;
  readonly cpus?: number;
  readonly memMiB?: number;
  readonly priority?: number;
  readonly placedAtMs?: number;
  readonly group?: Partial<GroupSpec>;
  readonly spec?: Partial<JobSpec>;
  readonly task?: Partial<Task>;
  readonly entry?: Partial<TaskEntry>;
}

interface Shape {
  /** Cores by node. */
  readonly nodes: Readonly<Record<string, number>>;
  readonly memMiB?: number;
  readonly given: readonly Given[];
  readonly roles?: readonly Role[];
  readonly change?: Partial<ClusterLiteral>;
}

function idOf(name: string): string {
  return `${name}-main-0-uid${name}-v1a0`;
}

function literal({ nodes, memMiB = 4096, given, roles = [], change }: Shape): ClusterLiteral {
  const made = given.map((one) => {
    const { name, role, node, cpus = 1, memMiB: memory = 10, priority = 50, placedAtMs = T0 } = one;
    const group = aGroup({ resources: { cpus, memMiB: memory }, ...one.group });
    const job = aJob({ spec: { name, role, priority, groups: [group], ...one.spec } });
    const state = node === null ? 'pending' : 'running';
    const born = aTask(job, { state: 'pending', ...one.task });
    const task =
      node === null
        ? born
        : advance(advance(born, { state: 'staging', atMs: placedAtMs, reason: 'placed', message: '' }, { node }), {
            state,
            atMs: placedAtMs,
            reason: 'started',
            message: '',
          });
    return { job, task, node, entry: anEntry(job, task, one.entry) };
  });
  const sized = (cpus: number) => someResources({ cpus, memMiB });
  return {
    nodes: Object.entries(nodes).map(([id, cpus]) => aNode({ id, resources: sized(cpus) })),
    ledgers: Object.entries(nodes).map(([id, cpus]) =>
      aLedger({
        node: id,
        total: sized(cpus),
        entries: made.filter(({ node }) => node === id).map(({ entry }) => entry),
      }),
    ),
    jobs: made.map(({ job }): Job => job),
    tasks: made.map(({ task }) => task),
    roles,
    ...change,
  };
}

const planFor = (shape: Shape) => planRound({ cluster: clusterOf(literal(shape)), nowMs: NOW });

/** Names of those that have to go, in order. */
function displacedBy(shape: Shape): string[] {
  return planFor(shape).stops.map(({ task }) => task.split('-')[0] ?? '');
}

const guaranteed = (path: string, cpus: number) => aRole(path, { guarantee: { cpus } });
const runs = (name: string, role: string, change: Partial<Given> = {}): Given => ({ name, role, node: 'a', ...change });
const waits = (name: string, role: string, change: Partial<Given> = {}): Given => ({
  name,
  role,
  node: null,
  ...change,
});

const full = [runs('b1', 'b'), runs('b2', 'b')];

const NO_CLAIM: [string, Shape][] = [
  ['nobody has one', { nodes: { a: 2 }, given: [...full, waits('mine', 'a')] }],
  [
    'it is for something that the task does not need',
    { nodes: { a: 2 }, given: [...full, waits('mine', 'a')], roles: [aRole('a', { guarantee: { gpus: 2 } })] },
  ],
  [
    'the role holds it already',
    { nodes: { a: 3 }, given: [...full, runs('a1', 'a'), waits('mine', 'a')], roles: [guaranteed('a', 1)] },
  ],
  [
    'the task asks for more than it',
    { nodes: { a: 2 }, given: [...full, waits('mine', 'a', { cpus: 1.5 })], roles: [guaranteed('a', 1)] },
  ],
  [
    'the others have no more than theirs',
    { nodes: { a: 2 }, given: [...full, waits('mine', 'a')], roles: [guaranteed('a', 1), guaranteed('b', 2)] },
  ],
  [
    'the others would fall below theirs',
    {
      nodes: { a: 2 },
      given: [runs('b1', 'b', { cpus: 2 }), waits('mine', 'a')],
      roles: [guaranteed('a', 1), guaranteed('b', 1)],
    },
  ],
  [
    'a role above them would fall below its own',
    {
      nodes: { a: 2 },
      given: [runs('b1', 'b/x'), runs('b2', 'b/y'), waits('mine', 'a')],
      roles: [guaranteed('a', 1), guaranteed('b', 2)],
    },
  ],
  [
    'only tasks of the same role hold places',
    { nodes: { a: 2 }, given: [runs('a1', 'a', { cpus: 2 }), waits('mine', 'a')], roles: [guaranteed('a', 8)] },
  ],
  [
    'a node has room after all',
    { nodes: { a: 2, z: 1 }, given: [...full, waits('mine', 'a')], roles: [guaranteed('a', 1)] },
  ],
  [
    'the node that would make room takes no new tasks',
    {
      nodes: { a: 2 },
      given: [...full, waits('mine', 'a')],
      roles: [guaranteed('a', 1)],
      change: { dead: ['a'] },
    },
  ],
  [
    'a constraint refuses the node anyway',
    {
      nodes: { a: 2 },
      given: [
        ...full,
        waits('mine', 'a', { group: { constraints: [{ attribute: 'zone', operator: '=', value: 'x' }] } }),
      ],
      roles: [guaranteed('a', 1)],
    },
  ],
  [
    'the memory that the task needs is not part of it',
    {
      nodes: { a: 4 },
      memMiB: 100,
      given: [runs('b1', 'b', { memMiB: 100 }), waits('mine', 'a', { memMiB: 100 })],
      roles: [guaranteed('a', 1)],
    },
  ],
  [
    'the limit of the role forbids the task',
    {
      nodes: { a: 2 },
      given: [...full, waits('mine', 'a')],
      roles: [aRole('a', { guarantee: { cpus: 1 }, limit: { memMiB: 5 } })],
    },
  ],
  [
    'what would have to go was given up on a node that was away',
    {
      nodes: { a: 2 },
      given: [
        runs('b1', 'b', { entry: { disowned: true } }),
        runs('b2', 'b', { entry: { disowned: true } }),
        waits('mine', 'a'),
      ],
      roles: [guaranteed('a', 1)],
    },
  ],
];

describe('a guarantee', () => {
  it('takes back what others hold beyond theirs, and says for whom and why', () => {
    const { stops, placements } = planFor({
      nodes: { a: 2 },
      given: [...full, waits('mine', 'eng/ml')],
      roles: [guaranteed('eng/ml', 1)],
    });
    expect(placements).toEqual([]);
    const reason = 'displaced for a task of another role, which comes first by a guarantee';
    expect(stops).toEqual([
      {
        task: idOf('b1'),
        node: 'a',
        stop: {
          atMs: NOW,
          by: 'berth',
          reason,
          displaced: true,
          displacedBy: { because: 'guarantee', role: 'eng/ml', task: idOf('mine') },
        },
      },
    ]);
  });

  it('of a role above counts as well, and the sentence names neither', () => {
    const { stops } = planFor({
      nodes: { a: 2 },
      given: [...full, waits('mine', 'eng/ml')],
      roles: [guaranteed('eng', 1)],
    });
    expect(stops[0]?.stop).toMatchObject({
      reason: 'displaced for a task of another role, which comes first by a guarantee',
      displacedBy: { role: 'eng' },
    });
  });

  it.each(NO_CLAIM)('displaces nothing where %s', (_, shape) => {
    expect(displacedBy(shape)).toEqual([]);
  });

  it('takes from a role no more than what it holds beyond its own', () => {
    const given = [runs('b1', 'b'), runs('b2', 'b'), runs('b3', 'b'), waits('m1', 'a'), waits('m2', 'a')];
    expect(displacedBy({ nodes: { a: 3 }, given, roles: [guaranteed('a', 2), guaranteed('b', 2)] })).toEqual(['b1']);
    expect(displacedBy({ nodes: { a: 3 }, given, roles: [guaranteed('a', 2), guaranteed('b', 1)] })).toEqual([
      'b1',
      'b2',
    ]);
  });

  it('takes from a sibling within the same role above, which loses nothing by it', () => {
    const given = [runs('w1', 'eng/web'), runs('w2', 'eng/web'), waits('mine', 'eng/ml')];
    const roles = [guaranteed('eng', 2), guaranteed('eng/ml', 1)];
    expect(displacedBy({ nodes: { a: 2 }, given, roles })).toEqual(['w1']);
    const larger = [runs('w1', 'eng/web', { cpus: 2 }), waits('mine', 'eng/ml')];
    expect(displacedBy({ nodes: { a: 2 }, given: larger, roles })).toEqual([]);
  });

  it('is for the cores that it names, with the memory that comes free with them', () => {
    const given = [runs('b1', 'b', { memMiB: 100 }), waits('mine', 'a', { memMiB: 100 })];
    expect(displacedBy({ nodes: { a: 1 }, memMiB: 100, given, roles: [guaranteed('a', 1)] })).toEqual(['b1']);
  });

  it('makes host ports free as well', () => {
    const port = { group: { ports: [{ name: 'web', hostPort: 31_080, protocol: 'tcp' as const }] } };
    const given = [
      runs('b1', 'b'),
      runs('b2', 'b', { ...port, task: { ports: { web: 31_080 } } }),
      waits('mine', 'a', port),
    ];
    expect(displacedBy({ nodes: { a: 4 }, given, roles: [guaranteed('a', 1)] })).toEqual(['b2']);
    const two = [...given, waits('more', 'a', port)];
    expect(displacedBy({ nodes: { a: 4 }, given: two, roles: [guaranteed('a', 2)] })).toEqual(['b2']);
  });
});

describe('those who have to go', () => {
  const roles = [guaranteed('mine', 2)];

  it.each<[string, Given[], string[]]>([
    [
      'have the lowest priority',
      [runs('b1', 'b', { priority: 20 }), runs('b2', 'b', { priority: 10 }), waits('m', 'mine')],
      ['b2'],
    ],
    [
      'are of the role that holds most beyond its guarantee',
      [runs('b1', 'b'), runs('c1', 'c'), runs('c2', 'c'), waits('m', 'mine')],
      ['c1'],
    ],
    [
      'were placed last',
      [runs('b1', 'b', { placedAtMs: T0 + 1 }), runs('b2', 'b', { placedAtMs: T0 + 2 }), waits('m', 'mine')],
      ['b2'],
    ],
    [
      'are no more than it takes',
      [
        runs('b1', 'b', { priority: 1, cpus: 0.5 }),
        runs('b2', 'b', { priority: 2, cpus: 1 }),
        runs('b3', 'b', { priority: 3, cpus: 1.5 }),
        waits('m', 'mine', { cpus: 1.5 }),
      ],
      ['b1', 'b2'],
    ],
    [
      'do not include one who turns out to be superfluous',
      [
        runs('b1', 'b', { priority: 1, cpus: 0.5 }),
        runs('b2', 'b', { priority: 2, cpus: 1.5 }),
        waits('m', 'mine', { cpus: 1.5 }),
      ],
      ['b2'],
    ],
    [
      'are fewer, where one of the same priority holds as much as several',
      [
        runs('b1', 'b', { placedAtMs: T0 + 2 }),
        runs('b2', 'b', { placedAtMs: T0 + 1 }),
        runs('b3', 'b', { cpus: 2 }),
        waits('m', 'mine', { cpus: 2 }),
      ],
      ['b3'],
    ],
  ])('%s', (_, given, expected) => {
    const cpus = given.reduce((sum, one) => sum + (one.node === null ? 0 : (one.cpus ?? 1)), 0);
    expect(displacedBy({ nodes: { a: cpus }, given, roles })).toEqual(expected);
  });

  it.each<[string, Given[], string[]]>([
    [
      'has the lowest priorities',
      [
        runs('b1', 'b', { cpus: 2 }),
        runs('b2', 'b', { node: 'z', priority: 1 }),
        runs('b3', 'b', { node: 'z', priority: 2 }),
      ],
      ['b2', 'b3'],
    ],
    ['loses the fewest tasks', [runs('b1', 'b'), runs('b2', 'b'), runs('b3', 'b', { node: 'z', cpus: 2 })], ['b3']],
    [
      'loses the least work',
      [runs('b1', 'b', { cpus: 2, placedAtMs: T0 + 1 }), runs('b2', 'b', { node: 'z', cpus: 2, placedAtMs: T0 + 2 })],
      ['b2'],
    ],
    ['has the first id', [runs('b1', 'b', { node: 'z', cpus: 2 }), runs('b2', 'b', { cpus: 2 })], ['b2']],
  ])('are on the node that %s', (_, given, expected) => {
    const shape = { nodes: { a: 2, z: 2 }, given: [...given, waits('m', 'mine', { cpus: 2 })], roles };
    expect(displacedBy(shape).sort()).toEqual(expected);
  });

  it('are tasks of frameworks like others', () => {
    const template = { group: aGroup(), priority: 50, replaceAfterSeconds: 60 };
    const framework = {
      id: 'f000000000001',
      name: 't-1',
      acknowledged: 1,
      labels: {},
      annotations: {},
      together: null,
    };
    const given = [
      runs('b1', 'b', { priority: 60 }),
      runs('f1', 'b', { task: { framework, template } }),
      waits('m', 'mine'),
    ];
    expect(displacedBy({ nodes: { a: 2 }, given, roles })).toEqual(['f1']);
  });
});

/** The task's end, as its node reports it. */
function ended(cluster: ReturnType<typeof clusterOf>, name: string) {
  const whole = literalOf(cluster);
  const killed = { state: 'killed', atMs: NOW, reason: 'stop-requested', message: '' } as const;
  return clusterOf({
    ...whole,
    tasks: whole.tasks.map((task) => (task.id === idOf(name) ? advance(task, killed) : task)),
  });
}

describe('a priority', () => {
  it('displaces what has a lower one in the very same role, and says so', () => {
    const { stops } = planFor({
      nodes: { a: 1 },
      given: [runs('low', 'eng', { priority: 49 }), waits('high', 'eng', { priority: 50 })],
    });
    expect(stops).toMatchObject([
      {
        task: idOf('low'),
        stop: {
          reason: `displaced by task ${idOf('high')} of the same role, which has priority 50 where this one has 49`,
          displaced: true,
          displacedBy: { because: 'priority', role: 'eng', task: idOf('high') },
        },
      },
    ]);
  });

  it.each<[string, Shape]>([
    ['that is the same', { nodes: { a: 1 }, given: [runs('b1', 'b'), waits('b2', 'b')] }],
    [
      'in another role',
      {
        nodes: { a: 1 },
        given: [runs('b1', 'b', { priority: 1 }), waits('c1', 'c'), runs('c2', 'c', { cpus: 0, priority: 1 })],
      },
    ],
    ['in a role above', { nodes: { a: 1 }, given: [runs('b1', 'b', { priority: 1 }), waits('b2', 'b/x')] }],
    ['in a role below', { nodes: { a: 1 }, given: [runs('b1', 'b/x', { priority: 1 }), waits('b2', 'b')] }],
    [
      'of something that has to end already',
      {
        nodes: { a: 1 },
        given: [
          runs('b1', 'b', {
            priority: 1,
            task: { stop: { atMs: T0, by: 'alice', reason: 'enough' } },
            entry: { stop: { atMs: T0, graceMs: 1000, reason: 'enough' } },
          }),
          waits('b2', 'b'),
        ],
      },
    ],
    [
      'of too little to be of use',
      { nodes: { a: 2 }, given: [runs('b1', 'b', { priority: 1 }), runs('c1', 'c'), waits('b2', 'b', { cpus: 2 })] },
    ],
  ])('displaces nothing %s', (_, shape) => {
    expect(displacedBy(shape)).toEqual([]);
  });

  it('counts within the limit of the role, wherever those of a lower one run', () => {
    const given = [
      runs('low', 'b', { priority: 1 }),
      runs('mid', 'b', { priority: 2 }),
      waits('high', 'b', { cpus: 1, priority: 9 }),
    ];
    const limited = aRole('b', { limit: { cpus: 2 } });
    const holder = runs('c1', 'c', { node: 'z' });
    expect(displacedBy({ nodes: { a: 2, z: 1 }, given: [...given, holder], roles: [limited] })).toEqual(['low']);
  });
});

describe('the guarantee of a role whose framework waits for offers', () => {
  const framework = aFramework({ roles: ['mine'] });
  const theirs = [runs('b1', 'b', { priority: 1 }), runs('b2', 'b', { priority: 2 }), runs('b3', 'b', { priority: 3 })];
  const clusterWith = (change: Partial<ClusterLiteral> = {}, roles = [guaranteed('mine', 2)]) =>
    clusterOf(literal({ nodes: { a: 3 }, given: theirs, roles, change: { frameworks: [framework], ...change } }));
  const displaced = (cluster: ReturnType<typeof clusterOf>) =>
    planRound({ cluster, nowMs: NOW }).stops.map(({ task }) => task);

  it('makes room up to what it is short of, and says for whom', () => {
    const { stops } = planRound({ cluster: clusterWith(), nowMs: NOW });
    expect(stops.map(({ task }) => task)).toEqual([idOf('b1'), idOf('b2')]);
    expect(stops[0]).toMatchObject({
      node: 'a',
      stop: {
        reason: 'displaced for offers to frameworks of another role, which comes first by a guarantee',
        displaced: true,
        displacedBy: { because: 'guarantee', role: 'mine', task: null },
      },
    });
    expect(displaced(clusterWith({}, [guaranteed('mine', 2), guaranteed('b', 2)]))).toEqual([idOf('b1')]);
  });

  it.each<[string, Partial<ClusterLiteral>]>([
    ['wants none', { frameworks: [{ ...framework, suppressed: ['mine'] }] }],
    ['is away', { disconnected: [framework.id] }],
    ['is of another role', { frameworks: [{ ...framework, roles: ['c'] }] }],
  ])('makes no room where the framework %s', (_, change) => {
    expect(displaced(clusterWith(change))).toEqual([]);
  });

  describe('and takes no less than so much of a node', () => {
    const choosy = aFramework({ roles: ['mine'], minAllocatable: { mine: [{ cpus: 2 }] } });
    const on = (node: string, at: number, change: Partial<Given> = {}) =>
      runs(`${node}${at}`, 'b', { node, placedAtMs: T0 + at, ...change });
    const shapeOf = (given: readonly Given[], change: Partial<ClusterLiteral> = {}): Shape => ({
      nodes: { a: 2, z: 2 },
      given,
      roles: [guaranteed('mine', 2)],
      change: { frameworks: [choosy], ...change },
    });

    it.each<[string, Shape, string[]]>([
      ['makes room on one node', shapeOf([on('a', 1), on('a', 2), on('z', 1), on('z', 2)]), ['a1', 'a2']],
      ['makes room where the fewest have to go', shapeOf([on('a', 1), on('a', 2), on('z', 1, { cpus: 2 })]), ['z1']],
      ['makes room beside what is free there', shapeOf([on('a', 1), on('a', 2), on('z', 1)]), ['z1']],
      ['counts crumbs for nothing', shapeOf([on('a', 1), on('z', 2)]), ['z2']],
      [
        'displaces nothing where no node can come to it',
        shapeOf([on('a', 1), on('a', 2), on('z', 2)], {
          frameworks: [{ ...choosy, minAllocatable: { mine: [{ cpus: 3 }] } }],
        }),
        [],
      ],
      [
        'goes by the usual minimum where it has none of its own',
        shapeOf([on('a', 1), on('a', 2), on('z', 1), on('z', 2)], {
          frameworks: [framework],
          settings: { minAllocatable: [{ cpus: 2 }] },
        }),
        ['a1', 'a2'],
      ],
    ])('%s', (_, shape, expected) => {
      expect(displacedBy(shape).sort()).toEqual(expected.toSorted());
    });
  });

  const changed = (change: Partial<Ledger>) => {
    const whole = literalOf(clusterWith());
    return clusterOf({ ...whole, ledgers: whole.ledgers.map((ledger) => ({ ...ledger, ...change })) });
  };

  it('makes no room where it holds an offer, or has refused one for now', () => {
    const offer = anOffer({ role: 'mine', resources: { cpus: 0.5 }, expiresAtMs: NOW + 1000 });
    expect(displaced(changed({ offers: { [offer.id]: offer } }))).toEqual([]);
    const filter = (untilMs: number): OfferFilter => ({
      ...{ framework: framework.id, role: 'mine', generation: 0, offer: 'o', refused: offer.resources },
      ...{ sinceMs: T0, untilMs, because: 'declined', times: 1 },
    });
    expect(displaced(changed({ filters: [filter(NOW + 1)] }))).toEqual([]);
    expect(displaced(changed({ filters: [filter(NOW)] }))).toEqual([idOf('b1'), idOf('b2')]);
  });

  it('makes room once, and what has come free is offered to the framework', () => {
    let cluster = clusterWith();
    cluster = applyRound(cluster, planRound({ cluster, nowMs: NOW }), NOW);
    expect(displaced(cluster)).toEqual([]);
    cluster = ended(ended(cluster, 'b1'), 'b2');
    const plan = planRound({ cluster, nowMs: NOW });
    expect(plan.offers).toMatchObject([{ offer: { framework: framework.id, role: 'mine', resources: { cpus: 2 } } }]);
    expect(plan.stops).toEqual([]);
  });
});

describe('in a cluster too large to look at all nodes for everybody in one round', () => {
  const ids = Array.from({ length: 2000 }, (_, at) => `n${at}`);
  const large = (inVain: readonly Given[]) =>
    clusterOf(
      literal({
        nodes: Object.fromEntries(ids.map((id) => [id, 1])),
        given: [...ids.map((id) => runs(`b${id}`, 'b', { node: id })), ...inVain, waits('z', 'mine')],
        roles: [guaranteed('mine', 1000)],
      }),
    );
  const stopsAt = (cluster: ReturnType<typeof clusterOf>, nowMs: number) =>
    planRound({ cluster, nowMs }).stops.map(({ stop }) => stop.displacedBy?.task);

  it('tasks that no node would take keep nobody from their turn', () => {
    const constraints = [{ attribute: 'zone', operator: '=', value: 'x' }] as const;
    const inVain = Array.from({ length: 40 }, (_, at) => waits(`a${at}`, 'mine', { group: { constraints } }));
    expect(stopsAt(large(inVain), NOW)).toEqual([idOf('z')]);
  });

  it.each([1, 10])('everybody comes to their turn where rounds follow each other in %i s', (seconds) => {
    const inVain = Array.from({ length: 40 }, (_, at) => waits(`a${at}`, 'mine', { cpus: 900 }));
    const cluster = large(inVain);
    const rounds = Array.from({ length: 6 }, (_, at) => stopsAt(cluster, NOW + at * seconds * 1000));
    expect(rounds).toContainEqual([idOf('z')]);
  });
});

describe('what offers hold', () => {
  const framework = aFramework({ roles: ['c'], suppressed: ['c'] });
  const offer = anOffer({ role: 'c', expiresAtMs: NOW + 1000 });
  const offered = (given: readonly Given[], roles: readonly Role[]) => {
    const whole = literal({ nodes: { a: 2 }, given, roles, change: { frameworks: [framework] } });
    const ledgers = (whole.ledgers ?? []).map((ledger) => ({ ...ledger, offers: { [offer.id]: offer } }));
    return planRound({ cluster: clusterOf({ ...whole, ledgers }), nowMs: NOW }).stops.map(({ task }) => task);
  };

  it('is soon free for what a role is guaranteed, so nobody has to go', () => {
    expect(offered([runs('b1', 'b'), waits('m', 'mine')], [guaranteed('mine', 1)])).toEqual([]);
    expect(offered([runs('b1', 'b'), waits('m', 'mine', { cpus: 2 })], [guaranteed('mine', 2)])).toEqual([idOf('b1')]);
  });

  it('is nothing to wait for between tasks of one role', () => {
    expect(offered([runs('low', 'b', { priority: 1 }), waits('high', 'b')], [])).toEqual([idOf('low')]);
  });
});

describe('what is kept back for a guarantee', () => {
  it('is no room for a task, which displaces what has a lower priority in its role', () => {
    const given = [runs('low', 'b', { priority: 1 }), waits('high', 'b')];
    expect(displacedBy({ nodes: { a: 2 }, given, roles: [guaranteed('mine', 1)] })).toEqual(['low']);
    expect(displacedBy({ nodes: { a: 3 }, given, roles: [guaranteed('mine', 1)] })).toEqual([]);
    const larger = [runs('low', 'b', { priority: 1 }), waits('high', 'b', { cpus: 2 })];
    expect(displacedBy({ nodes: { a: 2 }, given: larger, roles: [guaranteed('mine', 1)] })).toEqual([]);
  });
});

describe('what is reserved', () => {
  const reservation = aReservation({ id: 'r1', role: 'b', scalars: { ...NO_SCALARS, cpus: 1 } });
  const drawing = { entry: { reserved: { r1: { ...NO_SCALARS, cpus: 1 } } } };
  const plan = (given: readonly Given[], roles: readonly Role[]) => {
    const whole = literal({ nodes: { a: 2 }, given, roles });
    const ledgers = (whole.ledgers ?? []).map((ledger) => ({ ...ledger, reservations: { r1: reservation } }));
    return planRound({ cluster: clusterOf({ ...whole, ledgers }), nowMs: NOW }).stops.map(({ task }) => task);
  };

  it('comes free for its own role only', () => {
    const given = [runs('b1', 'b', { priority: 1, ...drawing }), runs('b2', 'b', { priority: 2 })];
    expect(plan([...given, waits('m', 'mine')], [guaranteed('mine', 1)])).toEqual([idOf('b2')]);
    expect(plan([...given, waits('high', 'b', { priority: 9 })], [])).toEqual([idOf('b1')]);
  });
});

describe('the limit of a role', () => {
  const limit = (path: string, cpus: number) => aRole(path, { limit: { cpus } });
  const reservation = aReservation({ id: 'r1', role: 'b', scalars: { ...NO_SCALARS, cpus: 1 } });

  it("is in nobody's way to the place of one that draws on what is reserved", () => {
    const low = runs('low', 'b', { priority: 1, entry: { reserved: { r1: { ...NO_SCALARS, cpus: 1 } } } });
    const whole = literal({ nodes: { a: 1 }, given: [low, waits('high', 'b')], roles: [limit('b', 1)] });
    const ledgers = (whole.ledgers ?? []).map((ledger) => ({ ...ledger, reservations: { r1: reservation } }));
    const { stops } = planRound({ cluster: clusterOf({ ...whole, ledgers }), nowMs: NOW });
    expect(stops.map(({ task }) => task)).toEqual([idOf('low')]);
  });

  it('above one that is guaranteed something makes a sibling go where there is room for what is guaranteed', () => {
    const sibling = runs('b1', 'p/b', { memMiB: 300 });
    const given = [sibling, waits('mine', 'p/a', { memMiB: 300 })];
    const roles = [limit('p', 1), guaranteed('p/a', 1)];
    expect(displacedBy({ nodes: { a: 2 }, memMiB: 400, given, roles })).toEqual(['b1']);
    expect(displacedBy({ nodes: { a: 2 }, memMiB: 400, given, roles: [guaranteed('p/a', 1)] })).toEqual([]);
  });
});

describe('a group with several tasks that wait', () => {
  const stops = (nodes: Shape['nodes'], victims: readonly Given[]) => {
    const group = { count: 2, resources: aGroup({ resources: { cpus: 1, memMiB: 10 } }).resources };
    const whole = literal({
      nodes,
      given: [...victims, waits('m', 'mine', { group })],
      roles: [guaranteed('mine', 2)],
    });
    const [job = aJob()] = (whole.jobs ?? []).filter(({ spec }) => spec.name === 'm');
    const tasks = [...(whole.tasks ?? []), aTask(job, { index: 1 })];
    return planRound({ cluster: clusterOf({ ...whole, tasks }), nowMs: NOW }).stops.map(({ task }) => task);
  };

  it('takes what one of them leaves over for the next', () => {
    const large = runs('b1', 'b', { cpus: 2, placedAtMs: NOW });
    expect(stops({ a: 2, c: 1 }, [large, runs('b2', 'b', { node: 'c' })])).toEqual([idOf('b1')]);
  });

  it('has each place for one of them only', () => {
    const ending = { stop: { atMs: T0, graceMs: 0, reason: 'enough' } };
    const [b1, b2] = [runs('b1', 'b', { entry: ending }), runs('b2', 'b')];
    expect(stops({ a: 2 }, [b1, b2])).toEqual([idOf('b2')]);
    expect(stops({ a: 2 }, [b1, { ...b2, entry: ending }])).toEqual([]);
  });
});

describe('over several rounds', () => {
  const roles = [guaranteed('mine', 2)];
  const given = [runs('b1', 'b'), runs('b2', 'b'), waits('m', 'mine', { cpus: 2 }), waits('other', 'c', { cpus: 1 })];

  it('a task waits for those that it displaces, and gets their places before anybody else', () => {
    let cluster = clusterOf(literal({ nodes: { a: 2 }, given, roles }));
    const round = () => {
      const plan = planRound({ cluster, nowMs: NOW });
      cluster = applyRound(cluster, plan, NOW);
      return { stops: plan.stops.length, placed: plan.placements.map(({ task }) => task) };
    };
    expect(round()).toEqual({ stops: 2, placed: [] });
    expect(round()).toEqual({ stops: 0, placed: [] });
    cluster = ended(cluster, 'b1');
    expect(round()).toEqual({ stops: 0, placed: [] });
    expect(round()).toEqual({ stops: 0, placed: [] });
    cluster = ended(cluster, 'b2');
    expect(round()).toEqual({ stops: 0, placed: [idOf('m')] });
    expect(round()).toEqual({ stops: 0, placed: [] });
  });

  it('what came free is for everybody once the task wants it no more', () => {
    let cluster = clusterOf(literal({ nodes: { a: 2 }, given, roles }));
    cluster = applyRound(cluster, planRound({ cluster, nowMs: NOW }), NOW);
    const whole = literalOf(ended(cluster, 'b1'));
    const stop = { atMs: NOW, by: 'alice', reason: 'enough' };
    cluster = clusterOf({
      ...whole,
      roles: [],
      tasks: whole.tasks.map((task) => (task.id === idOf('m') ? { ...task, stop } : task)),
    });
    expect(planRound({ cluster, nowMs: NOW }).placements.map(({ task }) => task)).toEqual([idOf('other')]);
  });

  it('what comes free for a task counts for no other one, though that one comes first', () => {
    const small = [runs('b1', 'b'), runs('b2', 'b'), waits('m', 'mine')];
    const cluster = clusterOf(literal({ nodes: { a: 2 }, given: small, roles }));
    const { tasks = [], jobs = [], ...rest } = literalOf(applyRound(cluster, planRound({ cluster, nowMs: NOW }), NOW));
    const urgent = literal({ nodes: {}, given: [waits('urgent', 'mine', { priority: 90 })] });
    const both = clusterOf({
      ...rest,
      jobs: [...jobs, ...(urgent.jobs ?? [])],
      tasks: [...tasks, ...(urgent.tasks ?? [])],
    });
    expect(planRound({ cluster: both, nowMs: NOW }).stops).toMatchObject([
      { task: idOf('b2'), stop: { displacedBy: { task: idOf('urgent') } } },
    ]);
  });

  it('what has come free for one task is not taken by another one that others have made room for', () => {
    const displaced = (heir: string) => {
      const stop = { atMs: T0, by: 'berth', reason: '', displaced: true as const };
      const displacedBy = { because: 'guarantee' as const, role: 'mine', task: idOf(heir) };
      return { task: { stop: { ...stop, displacedBy } }, entry: { stop: { ...stop, graceMs: 1000 } } };
    };
    const mine = waits('m', 'mine', { cpus: 2, priority: 10 });
    const yours = waits('y', 'yours', { priority: 90 });
    // One core of node a is free for the one, which waits for another; node z has come free for the other.
    const shape = { nodes: { a: 2, z: 2 }, given: [runs('b1', 'b', displaced('m')), mine, yours], roles };
    const freed = runs('b2', 'b', { node: 'z', ...displaced('y') });
    const cluster = ended(clusterOf(literal({ ...shape, given: [...shape.given, freed] })), 'b2');
    expect(planRound({ cluster, nowMs: NOW }).placements).toMatchObject([{ task: idOf('y'), node: 'z' }]);
  });

  it('others are found when the node takes no new tasks any more', () => {
    const more = [...given, runs('b3', 'b', { node: 'z' }), runs('b4', 'b', { node: 'z' })];
    let cluster = clusterOf(literal({ nodes: { a: 2, z: 2 }, given: more, roles }));
    cluster = applyRound(cluster, planRound({ cluster, nowMs: NOW }), NOW);
    const gone = clusterOf({ ...literalOf(cluster), dead: ['a'] });
    expect(planRound({ cluster: gone, nowMs: NOW }).stops.map(({ task }) => task)).toEqual([idOf('b3'), idOf('b4')]);
  });
});
