import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import { NO_SCALARS, type Resources } from '../../../shared/domain/resources.ts';
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

/** Frameworks are told by a letter; each is in a role of its own unless the test says otherwise. */
const idOf = (letter: string) => `f00000000000${letter}`;
const framework = (letter: string, change: Partial<Framework> = {}) =>
  aFramework({ id: idOf(letter), name: letter, roles: [letter], ...change });

const sized = (cpus: number, memMiB = cpus * 1000): Resources =>
  someResources({ cpus, memMiB, diskMiB: 0, ports: [{ first: 31_000, last: 31_099 }] });
const node = (id: string, cpus: number, memMiB?: number) => aNode({ id, resources: sized(cpus, memMiB) });
const held = (nodeId: string, cpus: number, change: Parameters<typeof aLedger>[0] = {}): Ledger =>
  aLedger({ node: nodeId, total: sized(cpus), ...change });

/** What each framework is offered: node, cpus, MiB. In the order in which it was decided. */
function offered(literal: ClusterLiteral, nowMs = T0): string[] {
  return planRound({ cluster: clusterOf(literal), nowMs }).offers.map(
    ({ node: id, offer }) => `${offer.role} ${id} ${offer.resources.cpus} ${offer.resources.memMiB}`,
  );
}

const filter = (letter: string, change: Partial<OfferFilter> = {}): OfferFilter => ({
  framework: idOf(letter),
  role: letter,
  generation: 0,
  offer: '1-1-9',
  refused: sized(4),
  sinceMs: T0 - 1000,
  untilMs: T0 + 4000,
  because: 'declined',
  times: 1,
  ...change,
});

describe('nodes with GPUs', () => {
  const withGpus = aNode({ id: 'gpu', resources: { ...sized(2), gpus: 1 } });
  const literal = { nodes: [node('n1', 3), withGpus], frameworks: ['a', 'b', 'c'].map((one) => framework(one)) };

  it('are no part of what is shared among frameworks that may not use them', () => {
    expect(offered(literal)).toEqual(['a n1 1 1000', 'b n1 1 1000', 'c n1 1 1000']);
  });

  it('are offered to those that say what they do with them', () => {
    const frameworks = [framework('a', { capabilities: ['gpus'] }), framework('b')];
    expect(offered({ ...literal, frameworks })).toEqual(['a gpu 2 2000', 'b n1 2.5 2500', 'a n1 0.5 500']);
  });
});

describe('a framework that wants certain nodes', () => {
  const isNode = (value: string) => ({ attribute: 'node', operator: '=', value }) as const;
  const wanting = (letter: string, ...ids: string[]) =>
    framework(letter, { nodeConstraints: { [letter]: ids.map((id) => [isNode(id)]) } });

  it('is offered those that meet one of its lists, and no others', () => {
    const nodes = [node('n1', 1), node('n2', 2), node('n3', 3)];
    expect(offered({ nodes, frameworks: [wanting('a', 'n1', 'n2')] })).toEqual(['a n2 2 2000', 'a n1 1 1000']);
  });

  it('is not offered what is reserved for its role elsewhere', () => {
    const nodes = [node('n1', 2), node('n2', 2)];
    const reservation = aReservation({ role: 'a', scalars: { ...NO_SCALARS, cpus: 2, memMiB: 2000 } });
    const ledgers = nodes.map(({ id }) => held(id, 2, { reservations: [{ ...reservation, id: `r-${id}` }] }));
    expect(offered({ nodes, ledgers, frameworks: [wanting('a', 'n2')] })).toEqual(['a n2 2 2000']);
  });

  it('shares them with those that want them too, however much there is elsewhere', () => {
    const nodes = [node('n1', 2), node('n2', 8)];
    expect(offered({ nodes, frameworks: [wanting('a', 'n1'), wanting('b', 'n1')] })).toEqual([
      'a n1 1 1000',
      'b n1 1 1000',
    ]);
  });

  it('leaves the rest to others', () => {
    const nodes = [node('n1', 2), node('n2', 8)];
    expect(offered({ nodes, frameworks: [wanting('a', 'n1'), framework('b')] })).toEqual([
      'a n1 2 2000',
      'b n2 8 8000',
    ]);
  });

  it('wants any in its other roles', () => {
    const [a] = [framework('a', { roles: ['a', 'z'], nodeConstraints: { a: [[isNode('n1')]] } })];
    expect(offered({ nodes: [node('n2', 2)], frameworks: [a] })).toEqual(['z n2 2 2000']);
  });
});

describe('offers', () => {
  it('carry all that a framework needs to know, and a number that is never used again', () => {
    const { offers, wakeAtMs } = planRound({
      cluster: clusterOf({
        nodes: [node('n1', 4)],
        frameworks: [framework('a')],
        settings: { offerTimeoutSeconds: 30 },
        incarnation: 3,
        roundNumber: 17,
      }),
      nowMs: T0,
    });
    expect(offers).toEqual([
      {
        node: 'n1',
        offer: {
          id: '3-17-0',
          framework: idOf('a'),
          role: 'a',
          resources: sized(4),
          reserved: {},
          madeAtMs: T0,
          expiresAtMs: T0 + 30_000,
        },
      },
    ]);
    expect(wakeAtMs).toBe(T0 + 30_000);
  });

  it.each<{ readonly what: string; readonly frameworks: readonly Framework[]; readonly disconnected?: string[] }>([
    { what: 'nobody', frameworks: [] },
    { what: 'one that is not connected', frameworks: [framework('a')], disconnected: [idOf('a')] },
    { what: 'one that is torn down', frameworks: [framework('a', { teardown: { atMs: T0, by: 'x', reason: 'x' } })] },
    { what: 'one that has suppressed its role', frameworks: [framework('a', { suppressed: ['a'] })] },
    { what: 'one that is in no role', frameworks: [framework('a', { roles: [] })] },
    {
      what: 'one that has no use for so little',
      frameworks: [framework('a', { minAllocatable: { a: [{ cpus: 9 }] } })],
    },
  ])('are not made to $what', ({ frameworks, disconnected = [] }) => {
    expect(offered({ nodes: [node('n1', 4)], frameworks, disconnected })).toEqual([]);
  });
});

const [a, b, c] = [framework('a'), framework('b'), framework('c')];
const running = (letter: string, nodeId: string, cpus: number) => {
  const job = aJob({ spec: { name: letter, role: letter, groups: [aGroup({ resources: { cpus, memMiB: 100 } })] } });
  const task = aTask(job, { state: 'running', node: nodeId, id: `${letter}-task` });
  return { task, job, entry: anEntry(job, task, { framework: idOf(letter) }) };
};
const ofA = running('a', 'n1', 2);

const CASES: readonly { readonly what: string; readonly literal: ClusterLiteral; readonly gets: string[] }[] = [
  {
    what: 'whole nodes, where there are enough of them',
    literal: { nodes: [node('n1', 4), node('n2', 4)], frameworks: [a, b] },
    gets: ['a n1 4 4000', 'b n2 4 4000'],
  },
  {
    what: 'halves of one node',
    literal: { nodes: [node('n1', 4)], frameworks: [a, b] },
    gets: ['a n1 2 2000', 'b n1 2 2000'],
  },
  {
    what: 'a node each, and halves of the third',
    literal: { nodes: [node('n1', 4), node('n2', 4), node('n3', 4)], frameworks: [a, b] },
    gets: ['a n1 4 4000', 'b n2 4 4000', 'a n3 2 2000', 'b n3 2 2000'],
  },
  {
    what: 'by weight',
    literal: { nodes: [node('n1', 4)], frameworks: [a, b], roles: [aRole('b', { weight: 3 })] },
    gets: ['a n1 1 1000', 'b n1 3 3000'],
  },
  {
    what: 'less, if it holds something already',
    literal: {
      nodes: [node('n1', 4), node('n2', 4)],
      ledgers: [held('n1', 4, { entries: [ofA.entry] })],
      jobs: [ofA.job],
      tasks: [ofA.task],
      frameworks: [a, b],
    },
    gets: ['b n2 4 4000', 'a n1 2 3900'],
  },
  {
    what: 'as much as all siblings together, if it is a role beside their parent',
    literal: {
      nodes: [node('n1', 8)],
      frameworks: [framework('a', { roles: ['x/a'] }), framework('b', { roles: ['x/b'] }), c],
    },
    gets: ['c n1 4 4000', 'x/a n1 2 2000', 'x/b n1 2 2000'],
  },
  {
    what: 'as much as the limit of its role leaves, and others the rest',
    literal: { nodes: [node('n1', 8)], frameworks: [a, b], roles: [aRole('a', { limit: { cpus: 1 } })] },
    gets: ['a n1 1 1000', 'b n1 7 7000'],
  },
  {
    what: 'nothing at the limit of a role above',
    literal: {
      nodes: [node('n1', 8)],
      frameworks: [framework('a', { roles: ['x/a'] })],
      roles: [aRole('x', { limit: { memMiB: 0 } })],
    },
    gets: [],
  },
  {
    what: 'what is guaranteed first, and no more than is guaranteed before the others',
    literal: {
      nodes: [node('n1', 8)],
      frameworks: [a, b],
      roles: [aRole('b', { guarantee: { cpus: 6, memMiB: 6000 } })],
    },
    gets: ['b n1 6 6000', 'a n1 2 2000'],
  },
  {
    what: 'nothing of what is kept for a guarantee, also of one that nobody asks for',
    literal: {
      nodes: [node('n1', 4), node('n2', 4)],
      frameworks: [a],
      roles: [aRole('b', { guarantee: { cpus: 5 } })],
    },
    gets: ['a n2 3 3000'],
  },
  {
    what: 'what is reserved for its role, beside its part of the rest',
    literal: {
      nodes: [node('n1', 4)],
      ledgers: [
        held('n1', 4, {
          reservations: [aReservation({ role: 'a', scalars: { ...NO_SCALARS, cpus: 2, memMiB: 2000 } })],
        }),
      ],
      frameworks: [framework('a', { roles: ['a/x'] }), b],
    },
    gets: ['a/x n1 2 2000', 'b n1 2 2000'],
  },
  {
    what: 'nothing of a node whose filter covers all that is left',
    literal: {
      nodes: [node('n1', 4)],
      ledgers: [held('n1', 4, { filters: [filter('a')] })],
      frameworks: [a, b],
    },
    gets: ['b n1 4 4000'],
  },
  {
    what: 'more than it has refused, if there is more',
    literal: {
      nodes: [node('n1', 4)],
      ledgers: [held('n1', 4, { filters: [filter('a', { refused: sized(2) }), filter('b', { refused: sized(2) })] })],
      frameworks: [a, b],
    },
    gets: ['a n1 4 4000'],
  },
  {
    what: 'what it has refused, once it asks for it again',
    literal: {
      nodes: [node('n1', 4)],
      ledgers: [held('n1', 4, { filters: [filter('a')] })],
      frameworks: [framework('a', { filterGenerations: { a: 1 } })],
    },
    gets: ['a n1 4 4000'],
  },
  {
    what: 'no more than one offer, if it let one expire',
    literal: {
      nodes: [node('n1', 4), node('n2', 4), node('n3', 4)],
      ledgers: [held('n1', 4, { filters: [filter('a', { because: 'expired' })] })],
      frameworks: [a],
    },
    gets: ['a n2 4 4000'],
  },
  {
    what: 'no less than it has use for',
    literal: {
      nodes: [node('n1', 4)],
      frameworks: [framework('a', { minAllocatable: { a: [{ cpus: 3 }] } }), b],
    },
    gets: ['a n1 3 3000', 'b n1 1 1000'],
  },
  {
    what: 'nothing of a node with GPUs, if it does not ask for them',
    literal: {
      nodes: [aNode({ id: 'n1', resources: { ...sized(4), gpus: 2 } }), node('n2', 4)],
      frameworks: [a, framework('g', { capabilities: ['gpus'] })],
    },
    gets: ['a n2 4 4000', 'g n1 4 4000'],
  },
];

describe('who gets what', () => {
  it.each(CASES)('$what', ({ literal, gets }) => {
    expect(offered(literal)).toEqual(gets);
  });

  it('what is reserved comes by name, and without what volumes hold of it', () => {
    const scalars = { ...NO_SCALARS, cpus: 2, memMiB: 2000, diskMiB: 50 };
    const volume = { id: 'v1', reservation: 'r1', sizeMiB: 80, by: 'alice', atMs: T0, removing: false };
    const ledger = held('n1', 4, { reservations: [aReservation({ role: 'a', scalars })], volumes: { v1: volume } });
    const cluster = clusterOf({
      nodes: [node('n1', 4)],
      ledgers: [ledger],
      frameworks: [a],
      roles: [aRole('a', { limit: { cpus: 2 } })],
    });
    const { offers } = planRound({ cluster, nowMs: T0 });
    expect(offers.map(({ offer }) => offer.reserved)).toEqual([{ r1: { ...scalars, diskMiB: 0 } }]);
    expect(offers[0]?.offer.resources).toEqual({ ...scalars, diskMiB: 0, ports: [] });
  });

  it('tasks and offers take turns', () => {
    const job = aJob({ spec: { role: 'b', groups: [aGroup({ count: 3, resources: { cpus: 1, memMiB: 1000 } })] } });
    const tasks = [0, 1, 2].map((index) => aTask(job, { index }));
    const { placements, offers } = planRound({
      cluster: clusterOf({ nodes: [node('n1', 4)], frameworks: [a], jobs: [job], tasks }),
      nowMs: T0,
    });
    expect(placements).toHaveLength(2);
    expect(offers.map(({ offer }) => offer.resources.cpus)).toEqual([2]);
  });
});

describe('offers that stand', () => {
  const literal = (change: Parameters<typeof anOffer>[0], rest: Partial<ClusterLiteral> = {}): ClusterLiteral => ({
    nodes: [node('n1', 4)],
    ledgers: [
      held('n1', 4, { offers: [anOffer({ framework: idOf('a'), role: 'a', resources: sized(4), ...change })] }),
    ],
    frameworks: [framework('a')],
    ...rest,
  });
  const swept = (cluster: ClusterLiteral, nowMs = T0) =>
    planRound({ cluster: clusterOf(cluster), nowMs }).sweeps.flatMap(({ offers }) => offers);

  it('are left alone', () => {
    expect(swept(literal({}))).toEqual([]);
    expect(offered(literal({}))).toEqual([]);
  });

  it.each<{ readonly because: string; readonly cluster: ClusterLiteral }>([
    { because: 'framework-gone', cluster: literal({}, { frameworks: [] }) },
    { because: 'framework-gone', cluster: literal({}, { disconnected: [idOf('a')] }) },
    { because: 'framework-gone', cluster: literal({}, { frameworks: [framework('a', { roles: ['b'] })] }) },
    { because: 'node-closed', cluster: literal({}, { dead: ['n1'] }) },
    { because: 'expired', cluster: literal({ expiresAtMs: T0 }) },
  ])('are taken back: $because', ({ because, cluster }) => {
    expect(swept(cluster)).toMatchObject([{ id: '1-1-0', because }]);
  });

  it('leave a filter when they expire, that lasts twice as long each time', () => {
    const [first] = swept(literal({ expiresAtMs: T0 }));
    expect(first?.filter).toMatchObject({ because: 'expired', times: 1, untilMs: T0 + 10_000, refused: sized(4) });
    const before = filter('a', { because: 'expired', times: 3, untilMs: T0 - 1 });
    const again = literal({ expiresAtMs: T0 });
    const [ledger = held('n1', 4)] = again.ledgers ?? [];
    const [fourth] = swept({ ...again, ledgers: [{ ...ledger, filters: [before] }] });
    expect(fourth?.filter).toMatchObject({ times: 4, untilMs: T0 + 80_000 });
  });
});
