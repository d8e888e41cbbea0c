import { describe, expect, it } from 'vitest';
import { MaintenanceTurns } from '../../../control-plane/scheduler/maintenance-turns.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import {
  aFramework,
  aJob,
  aLedger,
  aNode,
  anOffer,
  aTask,
  aWindow,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const START = T0 + 60_000;
const END = START + 3_600_000;

describe('a node with a window', () => {
  const job = aJob();
  const window = aWindow({ startsAtMs: START, durationMs: END - START });
  const literal: ClusterLiteral = { nodes: [aNode()], jobs: [job], tasks: [aTask(job)], maintenance: [window] };
  const at = (nowMs: number, change: ClusterLiteral = {}) =>
    planRound({ cluster: clusterOf({ ...literal, ...change }), nowMs });

  it('is given tasks before its start and from its end on, and none between', () => {
    expect(at(START - 1).placements).toHaveLength(1);
    expect(at(START).placements).toHaveLength(0);
    expect(at(END - 1).placements).toHaveLength(0);
    expect(at(END).placements).toHaveLength(1);
  });

  it('is given nothing for as long as its begin stands noted, by however wrong a clock', () => {
    const maintenance = [{ ...window, begunAtMs: START }];
    for (const nowMs of [START - 1, END + 1]) expect(at(nowMs, { maintenance }).placements).toHaveLength(0);
  });

  it('is offered to nobody in it, and what was offered before is withdrawn', () => {
    const market = {
      tasks: [],
      frameworks: [aFramework()],
      ledgers: [aLedger({ offers: [anOffer({ expiresAtMs: END + 1 })] })],
    };
    expect(at(START - 1, market).sweeps).toEqual([]);
    expect(at(START, market)).toMatchObject({
      sweeps: [{ node: 'edge-1', offers: [{ id: '1-1-0', because: 'node-closed', filter: null }] }],
      offers: [],
    });
    expect(at(START - 1, { ...market, ledgers: [] }).offers).toHaveLength(1);
    expect(at(START, { ...market, ledgers: [] }).offers).toHaveLength(0);
  });

  it('has the next round look again when the window turns', () => {
    const wakes = [START - 1, START, END].map((nowMs) => at(nowMs, { tasks: [] }).wakeAtMs);
    expect(wakes).toEqual([START, END, null]);
  });

  it('turns for a planner that remembers, though nothing was touched', () => {
    const cluster = clusterOf(literal);
    const touched = { mark: 1, since: () => ({ nodes: new Set<string>(), tasks: new Set<string>() }) };
    const memory = new RoundMemory();
    const placed = [START - 1, START, END, START].map(
      (nowMs) => planRound({ cluster: { ...cluster, touched }, nowMs, memory }).placements.length,
    );
    expect(placed).toEqual([1, 0, 1, 0]);
  });
});

describe('turns', () => {
  it('are those of windows that begin or end between two times, whichever way time goes', () => {
    const turns = new MaintenanceTurns();
    turns.learn('a', aWindow({ node: 'a', startsAtMs: 10, durationMs: 10 }));
    turns.learn('b', aWindow({ node: 'b', startsAtMs: 20, durationMs: null }));
    const moved = [5, 10, 15, 20, 12, 25].map((nowMs) => [turns.moveTo(nowMs), turns.nextMs] as const);
    expect(moved).toEqual([
      [[], 10],
      [['a'], 20],
      [[], 20],
      [['a', 'b'], Number.POSITIVE_INFINITY],
      [['a', 'b'], 20],
      [['a', 'b'], Number.POSITIVE_INFINITY],
    ]);
  });

  it('are told of what is learned and forgotten', () => {
    const turns = new MaintenanceTurns();
    turns.moveTo(5);
    turns.learn('a', aWindow({ node: 'a', startsAtMs: 10, durationMs: 10 }));
    turns.moveTo(5);
    expect(turns.nextMs).toBe(10);
    turns.keepOnly(new Map());
    turns.moveTo(5);
    expect(turns.nextMs).toBe(Number.POSITIVE_INFINITY);
  });
});
