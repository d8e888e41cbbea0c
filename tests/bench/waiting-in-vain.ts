/**
 * What tasks cost that have a claim to the places of others and get none: one that its role is guaranteed, though nobody holds enough
 * beyond what is guaranteed to them, and one of a higher priority, with too few below it on any node. They are looked at in each
 * round, so a round in which one node has changed is set against the same round without them.
 */
import { planRound } from '../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../control-plane/scheduler/round-memory.ts';
import { SnapshotTouches } from '../../control-plane/store/touch-log.ts';
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Job } from '../../shared/domain/job.ts';
import { renewAssignment } from '../../shared/domain/ledger.ts';
import { present } from '../../shared/util/assert.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aRole,
  aTask,
  clusterOf,
  someResources,
  T0,
} from '../support/builders.ts';
import { usedMs } from './processor-time.ts';

const RUNS = 60;
const RUNS_OF_LARGE = 7;

export interface VainCost {
  /** By how many nodes have changed. */
  readonly withTasks: readonly (readonly [number, number])[];
  readonly without: readonly (readonly [number, number])[];
}

export function costOfWaiting(nodes: number, changes: readonly number[]): VainCost {
  const costs = (isWaiting: boolean) => {
    const afterChange = changing(fullMarket(nodes, isWaiting));
    return changes.map((count) => [count, afterChange(count)] as const);
  };
  return { withTasks: costs(true), without: costs(false) };
}

/** The mean time of a round after so many ledgers have been replaced, by a planner that remembers and hears of changes. */
function changing(cluster: ClusterView): (count: number) => number {
  const memory = new RoundMemory();
  const touched = new SnapshotTouches();
  const ledgers = new Map(cluster.ledgers);
  const [pending, unsettled] = [[...cluster.pendingTasks()], [...cluster.unsettledJobs()]];
  const watched = { ...cluster, ledgers, touched, pendingTasks: () => pending, unsettledJobs: () => unsettled };
  const nodes = [...ledgers.keys()];
  let next = 0;
  const changeAndPlan = (count: number) => {
    for (let left = count; left > 0; left -= 1, next += 1) {
      const node = nodes[next % nodes.length] ?? '';
      ledgers.set(node, renewAssignment(present(ledgers.get(node), node)));
      touched.node(node);
    }
    const beganAtMs = usedMs();
    const { placements, stops } = planRound({ cluster: watched, nowMs: T0, memory });
    if (placements.length + stops.length > 0) throw new Error('somebody gets a place: nobody waits in vain');
    return usedMs() - beganAtMs;
  };
  return (count) => {
    const runs = count < 1000 ? RUNS : RUNS_OF_LARGE;
    for (let run = 0; run < runs; run += 1) changeAndPlan(count);
    return Array.from({ length: runs }, () => changeAndPlan(count)).reduce((sum, ms) => sum + ms, 0) / runs;
  };
}

const PLACES = 4;

/** Two roles hold all but one core of what they are guaranteed, and nothing is free. */
function fullMarket(size: number, isWaiting: boolean): ClusterView {
  const job = (name: string, role: string, priority: number, cpus = 1): Job =>
    aJob({ spec: { name, role, priority, groups: [aGroup({ count: size, resources: { cpus, memMiB: 1024 } })] } });
  const [guests, owns, lows] = [job('guest', 'guest', 50), job('own', 'own', 50), job('low', 'own', 10)];
  const waiting = [job('owed', 'owed', 50, 2), job('urgent', 'own', 90, 3)];
  const total = someResources({ cpus: PLACES, memMiB: PLACES * 1024, diskMiB: 0, ports: [] });
  const nodes = Array.from({ length: size }, (_, at) => aNode({ id: `node-${at}`, resources: total }));
  const held = nodes.map(({ id }, at) => {
    const tasks = [guests, guests, owns, at % PLACES === 0 ? lows : owns].map((one, place) => ({
      one,
      task: aTask(one, { id: `${id}-${place}`, index: PLACES * at + place, state: 'running', node: id }),
    }));
    const entries = tasks.map(({ one, task }) => anEntry(one, task));
    return { ledger: aLedger({ node: id, total, entries }), tasks: tasks.map(({ task }) => task) };
  });
  return clusterOf({
    nodes,
    ledgers: held.map(({ ledger }) => ledger),
    tasks: [...(isWaiting ? waiting.map((one) => aTask(one)) : []), ...held.flatMap(({ tasks }) => tasks)],
    jobs: [guests, owns, lows, ...waiting],
    roles: [
      aRole('owed', { guarantee: { cpus: 2 } }),
      aRole('guest', { guarantee: { cpus: 2 * size } }),
      aRole('own', { guarantee: { cpus: 2 * size - 1 } }),
    ],
  });
}
