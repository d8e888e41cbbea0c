/** What of a node a framework is offered where bounds, or what is reserved, leave it more of one scalar than of another. */
import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../../shared/domain/role.ts';
import {
  aFramework,
  aLedger,
  aNode,
  aReservation,
  aRole,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const FRAMEWORK = 'f000000000001';
const sized = (cpus: number, memMiB: number) => someResources({ cpus, memMiB, diskMiB: 0, ports: [] });
const asking = (...least: readonly ScalarAmounts[]) =>
  aFramework({ id: FRAMEWORK, roles: ['a'], minAllocatable: { a: least } });

/** A node of which some is reserved for role `a`, or for another, and what the framework has refused of it. */
function node(
  { cpus, memMiB }: { readonly cpus: number; readonly memMiB: number },
  {
    reserved,
    refused = [],
    role = 'a',
  }: { reserved?: Partial<Scalars>; refused?: Partial<Scalars>[]; role?: string } = {},
): Pick<ClusterLiteral, 'nodes' | 'ledgers'> {
  const total = sized(cpus, memMiB);
  const reservations =
    reserved === undefined ? [] : [aReservation({ id: 'r1', role, scalars: { ...NO_SCALARS, ...reserved } })];
  const filters = refused.map((amounts) => ({
    framework: FRAMEWORK,
    role: 'a',
    generation: 0,
    offer: '1-1-9',
    refused: { ...NO_SCALARS, ...amounts, ports: [] },
    sinceMs: T0 - 1000,
    untilMs: T0 + 3_600_000,
    because: 'declined' as const,
    times: 1,
  }));
  const ledger = aLedger({ node: 'n1', total, reservations, filters });
  return { nodes: [aNode({ id: 'n1', resources: total })], ledgers: [ledger] };
}

/** Cores, MiB, and what of both is reserved. */
function offered(cluster: ClusterView): string[] {
  return planRound({ cluster, nowMs: T0 }).offers.map(({ offer: { resources, reserved } }) => {
    const { cpus = 0, memMiB = 0 } = reserved['r1'] ?? {};
    return `${resources.cpus} ${resources.memMiB}, reserved ${cpus} ${memMiB}`;
  });
}

interface Case {
  readonly what: string;
  readonly literal: ClusterLiteral;
  readonly gets: readonly string[];
}

describe('where the role may be given less of one scalar than goes with the least of another', () => {
  it.each<Case>([
    {
      what: 'a guarantee of others keeps memory back',
      literal: {
        ...node({ cpus: 7, memMiB: 800 }),
        frameworks: [asking({ cpus: 4, memMiB: 100 })],
        roles: [aRole('b', { guarantee: { memMiB: 500 } })],
      },
      gets: ['7 300, reserved 0 0'],
    },
    {
      what: 'its limit leaves few cores',
      literal: {
        ...node({ cpus: 8, memMiB: 5000 }),
        frameworks: [asking({ cpus: 0.5, memMiB: 3000 })],
        roles: [aRole('a', { limit: { cpus: 3 } })],
      },
      gets: ['3 3000, reserved 0 0'],
    },
    {
      what: 'less than the least',
      literal: {
        ...node({ cpus: 8, memMiB: 5000 }),
        frameworks: [asking({ cpus: 4, memMiB: 3000 })],
        roles: [aRole('a', { limit: { cpus: 3 } })],
      },
      gets: [],
    },
    {
      what: 'none of one of them, without which the other is of no use',
      literal: {
        ...node({ cpus: 8, memMiB: 5000 }),
        frameworks: [asking({ memMiB: 3000 })],
        roles: [aRole('a', { limit: { cpus: 0 } })],
      },
      gets: [],
    },
  ])('it is offered as much of each as it may have: $what', ({ literal, gets }) => {
    expect(offered(clusterOf(literal))).toEqual(gets);
  });
});

describe('what is reserved for its role goes along with the rest of the node', () => {
  it.each<Case>([
    {
      what: 'where only both together are enough',
      literal: {
        ...node({ cpus: 2, memMiB: 1000 }, { reserved: { cpus: 2 } }),
        frameworks: [asking({ cpus: 2, memMiB: 500 })],
      },
      gets: ['2 1000, reserved 2 0'],
    },
    {
      what: 'where it has refused each alone',
      literal: {
        ...node({ cpus: 2, memMiB: 1000 }, { reserved: { cpus: 2 }, refused: [{ cpus: 2 }, { memMiB: 1000 }] }),
        frameworks: [asking()],
      },
      gets: ['2 1000, reserved 2 0'],
    },
    {
      what: 'where the limit leaves no more of what is reserved',
      literal: {
        ...node({ cpus: 4, memMiB: 1000 }, { reserved: { cpus: 2 }, refused: [{ cpus: 2 }] }),
        frameworks: [asking({ cpus: 1, memMiB: 500 })],
        roles: [aRole('a', { limit: { cpus: 2 } })],
      },
      gets: ['2 1000, reserved 2 0'],
    },
    {
      what: 'but not where it has refused both together',
      literal: {
        ...node({ cpus: 2, memMiB: 1000 }, { reserved: { cpus: 2 }, refused: [{ cpus: 2, memMiB: 1000 }] }),
        frameworks: [asking({ cpus: 2, memMiB: 500 })],
      },
      gets: [],
    },
    {
      what: 'and not what is reserved for others',
      literal: {
        ...node({ cpus: 2, memMiB: 1000 }, { reserved: { cpus: 2 }, role: 'b' }),
        frameworks: [asking({ cpus: 2, memMiB: 500 })],
      },
      gets: [],
    },
  ])('$what', ({ literal, gets }) => {
    expect(offered(clusterOf(literal))).toEqual(gets);
  });
});
