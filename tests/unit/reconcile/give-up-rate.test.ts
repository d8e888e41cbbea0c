import { describe, expect, it } from 'vitest';
import {
  admitGiveUps,
  GIVE_UP_NODES_MIN,
  GIVE_UP_WINDOW_MS,
  type SilentNode,
} from '../../../control-plane/reconcile/give-up-rate.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { applyPass, literalOf } from '../../support/apply-plan.ts';
import { aJob, aLedger, aNode, anEntry, aTask, clusterOf, T0 } from '../../support/builders.ts';

const NOW = T0 + 60_000;

function ids(count: number, prefix = 'node'): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}-${String(at).padStart(4, '0')}`);
}

/** `gone` of `total` nodes have no lease; the later ones went first. */
function fleet(total: number, gone: number, givenUpAt: Readonly<Record<string, number>> = {}) {
  const nodes = ids(total);
  const cluster = clusterOf({
    nodes: nodes.map((id) => aNode({ id })),
    dead: nodes.slice(0, gone),
    epochs: Object.fromEntries(
      Object.entries(givenUpAt).map(([node, lastGiveUpMs]) => [
        node,
        { epoch: 1, unreachableSinceMs: T0, lastGiveUpMs },
      ]),
    ),
  });
  const silent = nodes.slice(0, gone).map((node, at): SilentNode => ({ node, sinceMs: T0 - at, isDue: true }));
  return { cluster, silent };
}

function admitted(total: number, gone: number, givenUpAt: Readonly<Record<string, number>> = {}): number {
  const { cluster, silent } = fleet(total, gone, givenUpAt);
  return admitGiveUps(cluster, silent, NOW).admitted.size;
}

describe('the number of nodes whose tasks are given up at a time', () => {
  it.each([
    { total: 2, gone: 1, expected: 1 },
    { total: 3, gone: 3, expected: 3 },
    { total: 5, gone: 5, expected: 5 },
    { total: 6, gone: 3, expected: 3 },
    { total: 6, gone: 4, expected: 1 },
    { total: 40, gone: 18, expected: 5 },
    { total: 400, gone: 100, expected: 20 },
    { total: 400, gone: 201, expected: 1 },
  ])('of $gone gone of $total is $expected', ({ total, gone, expected }) => {
    expect(admitted(total, gone)).toBe(expected);
  });

  it('counts what was given up within the window, whoever did it', () => {
    const within = { 'node-0000': NOW - GIVE_UP_WINDOW_MS + 1, 'node-0001': NOW };
    expect(admitted(100, 40, within)).toBe(GIVE_UP_NODES_MIN);
    const { cluster, silent } = fleet(100, 40, within);
    const { admitted: nodes } = admitGiveUps(cluster, silent.slice(2), NOW);
    expect(nodes.size).toBe(GIVE_UP_NODES_MIN - 2);
  });

  it('forgets it after the window, and is not held up by a clock that is far ahead', () => {
    expect(admitted(100, 40, { 'node-0000': NOW - GIVE_UP_WINDOW_MS, 'node-0001': NOW + 3_600_000 })).toBe(5);
  });

  it('lets a node that is being given up go on, and counts it once', () => {
    const given = Object.fromEntries(ids(GIVE_UP_NODES_MIN).map((node) => [node, NOW - 1000]));
    const { cluster, silent } = fleet(100, 40, given);
    const { admitted: nodes, wakeAtMs } = admitGiveUps(cluster, silent, NOW);
    expect([...nodes].sort()).toEqual(ids(GIVE_UP_NODES_MIN));
    expect(wakeAtMs).toBe(NOW - 1000 + GIVE_UP_WINDOW_MS);
  });

  it('takes those first that have been away longest', () => {
    const { cluster, silent } = fleet(100, 7);
    expect([...admitGiveUps(cluster, silent, NOW).admitted].sort()).toEqual(ids(7).slice(2));
  });

  it('does not count what is not due', () => {
    const { cluster, silent } = fleet(3, 3);
    const waiting = silent.map((node) => ({ ...node, isDue: false }));
    expect(admitGiveUps(cluster, waiting, NOW)).toEqual({ admitted: new Set(), wakeAtMs: null });
  });

  it('is not slowed down by nodes that are gone and hold nothing', () => {
    const { cluster, silent } = fleet(100, 90);
    expect(admitGiveUps(cluster, silent.slice(0, 4), NOW).admitted.size).toBe(4);
  });
});

/** Each of the nodes runs one task of a job that waits for none of them. */
function runningOn(nodes: readonly string[], dead: readonly string[]): ClusterView {
  const job = aJob({ spec: { replaceAfterSeconds: 0 } });
  const tasks = nodes.map((node, index) => aTask(job, { index, node, state: 'running' }));
  return clusterOf({
    nodes: nodes.map((id) => aNode({ id })),
    ledgers: tasks.map((task) => aLedger({ node: task.node ?? '', entries: [anEntry(job, task)] })),
    epochs: Object.fromEntries(dead.map((node) => [node, { epoch: 1, unreachableSinceMs: T0 }])),
    dead,
    jobs: [job],
    tasks,
  });
}

const lostIn = (cluster: ClusterView) => [...cluster.tasks.values()].filter(({ state }) => state === 'lost').length;

describe('a fleet of which most is gone at once', () => {
  it('is given up node by node, and in the end wholly', () => {
    const nodes = ids(12);
    let cluster = runningOn(nodes, nodes.slice(0, 9));
    const lost: number[] = [];
    let nowMs = T0;
    for (let looks = 0; looks < 40 && lostIn(cluster) < 9; looks++) {
      const plan = planNodeHealth({
        cluster,
        nowMs,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      });
      cluster = applyPass(cluster, plan);
      lost.push(lostIn(cluster));
      const again = planNodeHealth({
        cluster,
        nowMs,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      });
      expect(again.actions).toEqual([]);
      nowMs = again.wakeAtMs ?? nowMs;
    }
    expect(lost).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(nowMs - T0).toBe(8 * GIVE_UP_WINDOW_MS);
  });

  it('that comes back loses nothing more', () => {
    const nodes = ids(12);
    const first = runningOn(nodes, nodes.slice(0, 9));
    const after = applyPass(
      first,
      planNodeHealth({
        cluster: first,
        nowMs: T0,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      }),
    );
    const back = clusterOf({ ...literalOf(after), dead: [] });
    const plan = planNodeHealth({
      cluster: back,
      nowMs: T0 + 3_600_000,
      leasesCountFromMs: 0,
      unreachableForMs: new Map(),
      unseenEndsForMs: new Map(),
    });
    expect(new Set(plan.actions.map(({ type }) => type))).toEqual(new Set(['mark-reachable']));
    expect(lostIn(applyPass(back, plan))).toBe(1);
  });
});

describe('leases that say nothing yet', () => {
  const nodes = ids(3);

  it('mark no node and give nothing up, until they count', () => {
    const unmarked = clusterOf({ nodes: [aNode({ id: 'a' })], dead: ['a'] });
    const marked = runningOn(nodes, nodes);
    for (const cluster of [unmarked, marked]) {
      const waiting = planNodeHealth({
        cluster,
        nowMs: NOW,
        leasesCountFromMs: NOW + 1,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      });
      expect(waiting).toEqual({ actions: [], wakeAtMs: NOW + 1 });
      expect(
        planNodeHealth({
          cluster,
          nowMs: NOW,
          leasesCountFromMs: NOW,
          unreachableForMs: new Map(),
          unseenEndsForMs: new Map(),
        }).actions,
      ).not.toEqual([]);
    }
  });

  it('hold nobody up who is heard of', () => {
    const back = { ...runningOn(nodes, nodes), isAlive: () => true };
    const plan = planNodeHealth({
      cluster: back,
      nowMs: NOW,
      leasesCountFromMs: NOW + 1,
      unreachableForMs: new Map(),
      unseenEndsForMs: new Map(),
    });
    expect(plan.actions).toHaveLength(3);
    expect(plan.wakeAtMs).toBeNull();
  });
});
