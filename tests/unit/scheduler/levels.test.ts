/** Levels are found for nodes as if they were one pool. What a round does where they aren't. */
import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aRole,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const sized = (cpus: number, memMiB = cpus * 1000) => someResources({ cpus, memMiB, diskMiB: 0, ports: [] });
const node = (id: string, cpus: number, memMiB?: number) => aNode({ id, resources: sized(cpus, memMiB) });
const framework = (letter: string, change: Partial<Framework> = {}) =>
  aFramework({ id: `f00000000000${letter}`, name: letter, roles: [letter], ...change });

const job = (role: string, resources: { readonly cpus: number; readonly memMiB: number }) =>
  aJob({ spec: { name: `job-${role.replace('/', '-')}`, role, groups: [aGroup({ resources })] } });
const pending = (of: ReturnType<typeof job>, count: number) =>
  Array.from({ length: count }, (_, index) => aTask(of, { index }));

/** Of a node with 4 cores, 3 are held in role `b`. */
function heldByB(): Pick<ClusterLiteral, 'nodes' | 'ledgers' | 'jobs' | 'tasks'> {
  const old = job('old', { cpus: 3, memMiB: 3000 });
  const task = aTask(old, { state: 'running', node: 'n1', role: 'b' });
  return {
    nodes: [node('n1', 4)],
    ledgers: [aLedger({ node: 'n1', total: sized(4), entries: [anEntry(old, task)] })],
    jobs: [old],
    tasks: [task],
  };
}

function outcome(literal: ClusterLiteral) {
  const { placements, offers } = planRound({ cluster: clusterOf(literal), nowMs: T0 });
  return {
    placed: Object.fromEntries([...Map.groupBy(placements, ({ entry }) => entry.role)].map(([a, b]) => [a, b.length])),
    offered: offers.map(({ offer: { role, resources } }) => `${role} ${resources.cpus} ${resources.memMiB}`),
  };
}

describe('what those that hold least have no use for', () => {
  const [first, second] = [job('a', { cpus: 2, memMiB: 100 }), job('c', { cpus: 2, memMiB: 100 })];
  const small = job('b', { cpus: 1, memMiB: 100 });
  const before = heldByB();
  const withTasks = (...more: readonly (typeof small)[]) => ({
    jobs: [...(before.jobs ?? []), ...more],
    tasks: [...(before.tasks ?? []), ...more.flatMap((one) => pending(one, 1))],
  });
  const wantMuch = ['a', 'c'].map((role) => framework(role, { minAllocatable: { [role]: [{ cpus: 2 }] } }));

  it.each<{ readonly what: string; readonly literal: ClusterLiteral; readonly gives: ReturnType<typeof outcome> }>([
    {
      what: 'a task, where it is too little for other tasks',
      literal: { ...before, ...withTasks(first, second, small) },
      gives: { placed: { b: 1 }, offered: [] },
    },
    {
      what: 'a task, where it is too little for frameworks',
      literal: { ...before, ...withTasks(small), frameworks: wantMuch },
      gives: { placed: { b: 1 }, offered: [] },
    },
    {
      what: 'an offer, where it is too little for tasks',
      literal: { ...before, ...withTasks(first, second), frameworks: [framework('b')] },
      gives: { placed: {}, offered: ['b 1 1000'] },
    },
    {
      what: 'an offer, where it is too little for other frameworks',
      literal: { ...before, frameworks: [...wantMuch, framework('b')] },
      gives: { placed: {}, offered: ['b 1 1000'] },
    },
  ])('goes to whoever holds more: $what', ({ literal, gives }) => {
    expect(outcome(literal)).toEqual(gives);
  });
});

describe('a role whose own are at their levels before it is', () => {
  // Of a pool, each of the two would get a quarter of everything. One uses cores alone, and the other memory alone.
  const [cores, memory] = [job('a/x', { cpus: 1.1, memMiB: 1 }), job('a/y', { cpus: 0.001, memMiB: 1100 })];

  it('goes on taking turns: what is beside it is not served in its place', () => {
    const large = job('b', { cpus: 4.3, memMiB: 4300 });
    const literal: ClusterLiteral = {
      nodes: [node('n1', 12)],
      jobs: [cores, memory, large],
      tasks: [...pending(cores, 12), ...pending(memory, 12), ...pending(large, 2)],
    };
    expect(outcome(literal)).toEqual({ placed: { 'a/x': 6, 'a/y': 6, b: 1 }, offered: [] });
  });

  it('gets as much as a framework beside it', () => {
    const literal: ClusterLiteral = {
      nodes: [node('n1', 12)],
      jobs: [cores, memory],
      tasks: [...pending(cores, 12), ...pending(memory, 12)],
      frameworks: [framework('b')],
    };
    expect(outcome(literal)).toEqual({ placed: { 'a/x': 5, 'a/y': 5 }, offered: ['b 6.495 6495'] });
  });

  it('gets its part by weight', () => {
    const literal: ClusterLiteral = {
      nodes: [node('n1', 12)],
      jobs: [cores, memory],
      tasks: [...pending(cores, 12), ...pending(memory, 12)],
      frameworks: [framework('b')],
      roles: [aRole('a', { weight: 2 })],
    };
    expect(outcome(literal)).toEqual({ placed: { 'a/x': 7, 'a/y': 7 }, offered: ['b 4.293 4293'] });
  });
});
