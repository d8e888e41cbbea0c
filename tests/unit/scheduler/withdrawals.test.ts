import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { Offer, OfferFilter } from '../../../shared/domain/offer.ts';
import { NO_SCALARS, type Resources, toMilli } from '../../../shared/domain/resources.ts';
import { applyRound } from '../../support/apply-plan.ts';
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

const idOf = (letter: string) => `f00000000000${letter}`;
const framework = (letter: string, change = {}) => aFramework({ id: idOf(letter), roles: [letter], ...change });
const sized = (cpus: number): Resources => someResources({ cpus, memMiB: cpus * 1000, diskMiB: 0, ports: [] });
const node = (id: string, cpus: number) => aNode({ id, resources: sized(cpus) });

/** An offer of so many cpus to the framework of that letter, made so many seconds ago. */
const standing = (letter: string, cpus: number, secondsAgo = 1): Offer =>
  anOffer({
    id: `1-1-${letter.charCodeAt(0)}${secondsAgo}`,
    framework: idOf(letter),
    role: letter,
    resources: sized(cpus),
    madeAtMs: T0 - secondsAgo * 1000,
  });

const ledger = (id: string, cpus: number, offers: readonly Offer[], filters: readonly OfferFilter[] = []) =>
  aLedger({ node: id, total: sized(cpus), offers, filters });

function outcome(literal: ClusterLiteral) {
  const plan = planRound({ cluster: clusterOf(literal), nowMs: T0 });
  return {
    ends: plan.sweeps.flatMap(({ offers }) => offers.map(({ id, because, filter }) => `${id} ${because} ${filter}`)),
    offered: plan.offers.map(({ node: id, offer }) => `${offer.role} ${id} ${offer.resources.cpus}`),
    placed: plan.placements.length,
  };
}

/** The cluster after the round, in which there is nothing left to do. */
function expectRest(literal: ClusterLiteral): void {
  const cluster = clusterOf(literal);
  const after = applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0);
  expect(planRound({ cluster: after, nowMs: T0 + 1 })).toMatchObject({ sweeps: [], placements: [], offers: [] });
}

describe('offers in the way', () => {
  const one: ClusterLiteral = {
    nodes: [node('n1', 4)],
    ledgers: [ledger('n1', 4, [standing('a', 4)])],
    frameworks: [framework('a'), framework('b')],
  };

  it('are withdrawn for a framework that has nothing, and what they held is shared in the same round', () => {
    expect(outcome(one)).toEqual({ ends: ['1-1-971 unfair null'], offered: ['a n1 2', 'b n1 2'], placed: 0 });
    expectRest(one);
  });

  it('are withdrawn however much is free on nodes with GPUs, which none of them may use', () => {
    const withGpus = aNode({ id: 'gpu', resources: { ...sized(8), gpus: 2 } });
    const literal = { ...one, nodes: [...(one.nodes ?? []), withGpus] };
    expect(outcome(literal)).toEqual({ ends: ['1-1-971 unfair null'], offered: ['a n1 2', 'b n1 2'], placed: 0 });
    expectRest(literal);
  });

  it('are withdrawn for a task, as few as it takes', () => {
    const job = aJob({ spec: { role: 'b', groups: [aGroup({ resources: { cpus: 1, memMiB: 500 } })] } });
    const literal: ClusterLiteral = {
      nodes: [node('n1', 4), node('n2', 4)],
      ledgers: [
        ledger('n1', 4, [standing('a', 2, 9), standing('a', 2, 5)]),
        ledger('n2', 4, [standing('a', 0.5, 3), standing('a', 3.5, 2)]),
      ],
      frameworks: [framework('a', { suppressed: ['a'] })],
      jobs: [job],
      tasks: [aTask(job)],
    };
    expect(outcome(literal)).toEqual({ ends: ['1-1-975 unfair null'], offered: [], placed: 1 });
  });

  it.each<{ readonly what: string; readonly literal: ClusterLiteral }>([
    {
      what: 'nobody holds more than its share',
      literal: { ...one, ledgers: [ledger('n1', 4, [standing('a', 2), standing('b', 2)])] },
    },
    {
      what: 'the one that has nothing has refused all that there is',
      literal: {
        ...one,
        ledgers: [
          ledger(
            'n1',
            4,
            [standing('a', 4)],
            [
              {
                framework: idOf('b'),
                role: 'b',
                generation: 0,
                offer: '1-1-1',
                refused: sized(4),
                sinceMs: T0 - 1,
                untilMs: T0 + 5000,
                because: 'declined',
                times: 1,
              },
            ],
          ),
        ],
      },
    },
    { what: 'the one that has nothing wants nothing', literal: { ...one, frameworks: [framework('a')] } },
    {
      what: 'a task would not fit without them either',
      literal: {
        ...one,
        frameworks: [framework('a')],
        jobs: [aJob({ spec: { groups: [aGroup({ resources: { cpus: 9 } })] } })],
        tasks: [aTask(aJob())],
      },
    },
  ])('stay where $what', ({ literal }) => {
    expect(outcome(literal)).toEqual({ ends: [], offered: [], placed: 0 });
  });

  it('are withdrawn when a weight has changed', () => {
    const literal: ClusterLiteral = {
      nodes: [node('n1', 4)],
      ledgers: [ledger('n1', 4, [standing('a', 1, 3), standing('a', 1, 2), standing('b', 2)])],
      frameworks: [framework('a'), framework('b')],
      roles: [aRole('b', { weight: 3 })],
    };
    expect(outcome(literal)).toMatchObject({ ends: ['1-1-972 unfair null'], offered: ['b n1 1'] });
    expectRest(literal);
  });
});

/** What is offered in each role on each node, in cores. */
function offeredIn({ ledgers }: ClusterView): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { node: id, offers } of ledgers.values()) {
    for (const { role, resources } of Object.values(offers)) {
      sums[`${role} ${id}`] = toMilli((sums[`${role} ${id}`] ?? 0) + resources.cpus);
    }
  }
  return sums;
}

describe('offers that cannot be shared evenly', () => {
  // Most of what is withdrawn goes back to where it was, a little less each time, so that this could go on for long.
  const slotted = (id: string, change: Partial<Resources>) =>
    aNode({ id, resources: someResources({ cpus: 1, memMiB: 9, diskMiB: 0, ports: [], ...change }) });
  const job = aJob({ spec: { role: 'a/x', groups: [aGroup({ resources: { cpus: 0.001, memMiB: 1 } })] } });
  const reservation = aReservation({ id: 'r1', role: 'a', scalars: { ...NO_SCALARS, memMiB: 3 } });
  const bare = slotted('n1', { memMiB: 0, custom: { slots: 3 } });
  const kept = slotted('n2', { gpus: 2, custom: { slots: 3 } });

  interface Uneven {
    readonly what: string;
    readonly literal: ClusterLiteral;
    /** After so many there is nothing left to do. */
    readonly rounds: number;
    readonly holds: Readonly<Record<string, number>>;
  }

  it.each<Uneven>([
    {
      what: 'a device that whoever gets it holds more than its share with',
      literal: {
        nodes: [slotted('n1', { custom: { slots: 1 } }), slotted('n2', { gpus: 2, custom: { slots: 1 } })],
        frameworks: ['a', 'b', 'c'].map((letter) => framework(letter)),
      },
      rounds: 3,
      holds: { 'a n1': 0.333, 'b n1': 0.327, 'c n1': 0.34 },
    },
    {
      what: 'a role beyond its share by what is reserved for it, and frameworks for which no node is large enough',
      literal: {
        nodes: [bare, kept],
        ledgers: [
          aLedger({ node: 'n1', total: bare.resources }),
          aLedger({ node: 'n2', total: kept.resources, reservations: [reservation] }),
        ],
        frameworks: [
          framework('a', { roles: ['a', 'b'], minAllocatable: { a: [{ cpus: 2 }] } }),
          framework('b', { roles: ['a', 'a/y'], minAllocatable: { a: [{ memMiB: 700, cpus: 1 }, { gpus: 1 }] } }),
          framework('c', { roles: ['b'] }),
        ],
        jobs: [job],
        tasks: [aTask(job)],
      },
      rounds: 1,
      holds: { 'b n1': 0.437, 'a/y n1': 0.563 },
    },
  ])('come to rest: $what', ({ literal, rounds, holds }) => {
    let cluster = clusterOf(literal);
    for (let round = 0; round < rounds; round += 1) {
      cluster = applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0);
    }
    expect(offeredIn(cluster)).toEqual(holds);
    expect(planRound({ cluster, nowMs: T0 + 1 })).toMatchObject({ sweeps: [], placements: [], offers: [] });
  });
});

describe('offers that pass a limit', () => {
  it('are withdrawn, the newest first, until the role is within it', () => {
    const literal: ClusterLiteral = {
      nodes: [node('n1', 8)],
      ledgers: [ledger('n1', 8, [standing('a', 2, 3), standing('a', 2, 2), standing('a', 2, 1)])],
      frameworks: [framework('a', { suppressed: ['a'] })],
      roles: [aRole('a', { limit: { cpus: 4 } })],
    };
    expect(outcome(literal)).toMatchObject({ ends: ['1-1-971 limit null'], offered: [] });
  });

  it('are withdrawn below the role as well, and cut down to what it leaves', () => {
    const below = { ...standing('a', 4), role: 'x/a' };
    const literal: ClusterLiteral = {
      nodes: [node('n1', 4)],
      ledgers: [ledger('n1', 4, [below])],
      frameworks: [framework('a', { roles: ['x/a'] })],
      roles: [aRole('x', { limit: { cpus: 3 } })],
    };
    expect(outcome(literal)).toMatchObject({ ends: ['1-1-971 limit null'], offered: ['x/a n1 3'] });
    expectRest(literal);
  });
});

describe('offers that a guarantee needs', () => {
  const literal: ClusterLiteral = {
    nodes: [node('n1', 8)],
    ledgers: [ledger('n1', 8, [standing('a', 3, 9), standing('a', 2, 5), standing('b', 3, 7)])],
    frameworks: [framework('a', { suppressed: ['a'] }), framework('b', { suppressed: ['b'] })],
  };

  it('are withdrawn from whoever holds most, until what is guaranteed can be had', () => {
    const roles = [aRole('c', { guarantee: { cpus: 2 } })];
    expect(outcome({ ...literal, roles })).toMatchObject({ ends: ['1-1-975 guarantee null'] });
  });

  it('stay where they are guaranteed themselves', () => {
    const roles = [aRole('c', { guarantee: { cpus: 4 } }), aRole('a', { guarantee: { cpus: 5 } })];
    expect(outcome({ ...literal, roles })).toMatchObject({ ends: ['1-1-987 guarantee null'] });
  });

  it('stay where they leave what is kept for a task that waits for its place', () => {
    const victimOf = aJob({ spec: { name: 'old', role: 'a' } });
    const victim = aTask(victimOf, { state: 'running', node: 'n1' });
    const entry = anEntry(victimOf, victim, { resources: sized(2) });
    const job = aJob({ spec: { role: 'c', groups: [aGroup({ resources: { cpus: 4, memMiB: 4000 } })] } });
    let cluster = clusterOf({
      nodes: [node('n1', 4), node('n2', 3)],
      ledgers: [
        aLedger({ node: 'n1', total: sized(4), entries: [entry], offers: [standing('b', 1)] }),
        aLedger({ node: 'n2', total: sized(3) }),
      ],
      frameworks: [framework('b')],
      roles: [aRole('c', { guarantee: { cpus: 4, memMiB: 4000 } })],
      jobs: [victimOf, job],
      tasks: [victim, aTask(job)],
    });
    for (let round = 0; round < 2; round += 1) cluster = applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0);
    expect(cluster.tasks.get(victim.id)?.stop).not.toBeNull();
    expect(offeredIn(cluster)).toEqual({ 'b n1': 1, 'b n2': 1 });
    expect(planRound({ cluster, nowMs: T0 + 1 })).toMatchObject({ sweeps: [], placements: [], offers: [] });
  });
});
