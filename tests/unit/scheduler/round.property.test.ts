import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { LEDGER_ENTRIES_MAX, removeEntries, usedResources } from '../../../shared/domain/ledger.ts';
import {
  countPorts,
  missingScalars,
  type PortRange,
  scalarNames,
  scalarOf,
  subtractPorts,
  subtractResources,
  sumResources,
} from '../../../shared/domain/resources.ts';
import { present } from '../../../shared/util/assert.ts';
import { applyRound } from '../../support/apply-plan.ts';
import { arbitraryCluster } from '../../support/arbitrary-cluster.ts';
import { clusterOf, T0 } from '../../support/builders.ts';

const reversed = <T>(list: readonly T[]) => list.toReversed();
const covers = (all: readonly PortRange[], some: readonly PortRange[]) => subtractPorts(some, all).length === 0;

describe('whatever the cluster, a round', () => {
  it('gives nothing away that is not there, and no port twice', () => {
    fc.assert(
      fc.property(arbitraryCluster, (literal) => {
        const cluster = clusterOf(literal);
        const plan = planRound({ cluster, nowMs: T0 });
        for (const ledger of cluster.ledgers.values()) {
          const placed = plan.placements.filter(({ node }) => node === ledger.node).map(({ entry }) => entry.resources);
          const swept = plan.sweeps.find(({ node }) => node === ledger.node)?.tasks ?? [];
          const before = removeEntries(ledger, swept);
          const free = subtractResources(ledger.total, usedResources(before));
          const taken = sumResources(placed);
          expect(missingScalars(taken, free)).toEqual([]);
          expect(covers(free.ports, taken.ports)).toBe(true);
          expect(countPorts(taken.ports)).toBe(placed.reduce((sum, { ports }) => sum + countPorts(ports), 0));
          expect(Object.keys(before.entries).length + placed.length).toBeLessThanOrEqual(LEDGER_ENTRIES_MAX);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('places each task at most once, only where new tasks are taken, and with all that it asked for', () => {
    fc.assert(
      fc.property(arbitraryCluster, (literal) => {
        const cluster = clusterOf(literal);
        const { placements } = planRound({ cluster, nowMs: T0 });
        expect(new Set(placements.map(({ task }) => task)).size).toBe(placements.length);
        for (const { task, node, entry } of placements) {
          const ledger = present(cluster.ledgers.get(node), node);
          expect(ledger.eligible && ledger.drain === null && cluster.isAlive(node)).toBe(true);
          const job = present(cluster.jobs.get(entry.jobUid), entry.jobUid);
          const [group] = job.spec.groups;
          expect(cluster.tasks.get(task)?.state).toBe('pending');
          expect(job.stop).toBeNull();
          expect(Object.keys(entry.ports).sort()).toEqual(group?.ports.map(({ name }) => name).sort());
          for (const name of scalarNames(entry.resources)) {
            expect(scalarOf(entry.resources, name)).toBe(scalarOf(present(group, 'group').resources, name));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same in whatever order the snapshot was filled', () => {
    fc.assert(
      fc.property(arbitraryCluster, ({ nodes, ledgers, jobs, tasks, dead }) => {
        const back = ledgers.map((ledger) => ({
          ...ledger,
          entries: Object.fromEntries(reversed(Object.entries(ledger.entries))),
        }));
        const one = clusterOf({ nodes, ledgers, jobs, tasks, dead });
        const other = clusterOf({
          nodes: reversed(nodes),
          ledgers: reversed(back),
          jobs: reversed(jobs),
          tasks: reversed(tasks),
          dead,
        });
        expect(planRound({ cluster: other, nowMs: T0 })).toEqual(planRound({ cluster: one, nowMs: T0 }));
      }),
      { numRuns: 200 },
    );
  });

  it('leaves nothing to do for a second one on what it has made', () => {
    fc.assert(
      fc.property(arbitraryCluster, (literal) => {
        const cluster = clusterOf(literal);
        const after = applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0);
        expect(planRound({ cluster: after, nowMs: T0 })).toMatchObject({ sweeps: [], placements: [] });
      }),
      { numRuns: 200 },
    );
  });

  it('leaves pending only what the explanation says has no place', () => {
    fc.assert(
      fc.property(arbitraryCluster, (literal) => {
        const cluster = clusterOf(literal);
        const after = applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0);
        for (const task of after.pendingTasks()) {
          expect(explainTask({ cluster: after, nowMs: T0, task }).placeable).toBe(false);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('round and explanation', () => {
  it('agree about every task that is alone', () => {
    fc.assert(
      fc.property(arbitraryCluster, fc.nat(), (literal, pick) => {
        const pending = literal.tasks.filter(({ state }) => state === 'pending');
        const task = pending[pick % Math.max(1, pending.length)];
        fc.pre(task !== undefined);
        const others = literal.tasks.filter(({ state }) => state !== 'pending');
        const cluster = clusterOf({ ...literal, tasks: [...others, task] });
        const placed = planRound({ cluster, nowMs: T0 }).placements.length === 1;
        const explanation = explainTask({ cluster, nowMs: T0, task });
        expect(explanation.placeable).toBe(placed);
        const refused = explanation.refusals.reduce((sum, { nodes }) => sum + nodes, 0);
        const fitting = Number(/^(\d+) of/.exec(explanation.summary)?.[1]);
        if (explanation.waiting === null && explanation.nodesTotal > 0) {
          expect(refused + fitting).toBe(explanation.nodesTotal);
          expect(explanation.closest === null).toBe(placed);
        }
      }),
      { numRuns: 300 },
    );
  });
});
