/**
 * What stands between a task and the nodes, stage by stage: each node is counted under the first stage that refuses it, so that the rows add up
 * and each begins with what the one before has left.
 */
import type { PlacementObstacle } from '../../shared/domain/placement-obstacle.ts';
import type { Demand } from './demand.ts';
import { type ClosestNode, closestOf, type RefusingNode, refusalsBy } from './explanation.ts';
import type { Filter } from './filters/filter.ts';
import type { Room } from './room.ts';

/** In the order in which they are told. */
export const FUNNEL_STAGES = [
  'role',
  'constraint',
  'reservation',
  'maintenance',
  'cpu',
  'memory',
  'disk',
  'gpu',
  'ports',
  'scarce-resource',
  'limit',
  'backoff',
] as const;
export type FunnelStage = (typeof FUNNEL_STAGES)[number];

/** Every reason to refuse a node has its stage. */
export const STAGE_OF: Readonly<Record<PlacementObstacle, FunnelStage>> = {
  reserved: 'role',
  'no-engine': 'constraint',
  'no-consent': 'constraint',
  'other-node': 'constraint',
  constraint: 'constraint',
  peers: 'constraint',
  'no-volume': 'reservation',
  'node-ineligible': 'maintenance',
  'node-draining': 'maintenance',
  maintenance: 'maintenance',
  'node-unreachable': 'maintenance',
  'node-ahead': 'maintenance',
  cpus: 'cpu',
  memory: 'memory',
  disk: 'disk',
  gpus: 'gpu',
  'port-out-of-range': 'ports',
  'port-taken': 'ports',
  ports: 'ports',
  'gpu-node-kept': 'scarce-resource',
  'custom-resource': 'scarce-resource',
  'role-limit': 'limit',
  guarantee: 'limit',
  'ledger-full': 'limit',
};

export interface FunnelRow {
  readonly stage: FunnelStage;
  /** How many nodes the stages before have left. */
  readonly processed: number;
  /** How many of these it refuses. */
  readonly declined: number;
  /** Why, in sentences that follow a number of nodes; empty where it refuses none. */
  readonly reasons: readonly string[];
}

export interface Funnel {
  readonly nodesTotal: number;
  /** Left after the last stage. */
  readonly nodesLeft: number;
  /** One for each stage. */
  readonly rows: readonly FunnelRow[];
  /** Of the nodes that refuse, the one that lacks least; null where one is left, and where there is none. */
  readonly nearest: ClosestNode | null;
}

/** `rooms` are all nodes, open or not. `waitsUntilMs`: a backoff, which no node can do anything about; null: none. */
export function funnelOf(rooms: readonly Room[], demand: Demand, waitsUntilMs: number | null): Funnel {
  const refused = refusalsBy(rooms, demand);
  const byStage = Map.groupBy(refused, ({ broken }) => firstStage(broken));
  let left = rooms.length;
  const rows = FUNNEL_STAGES.map((stage): FunnelRow => {
    const processed = left;
    if (stage === 'backoff' && waitsUntilMs !== null) {
      left = 0;
      const reasons = [`waits until ${new Date(waitsUntilMs).toISOString()}, since tasks before it have failed`];
      return { stage, processed, declined: processed, reasons };
    }
    const declining = byStage.get(stage) ?? [];
    left -= declining.length;
    return { stage, processed, declined: declining.length, reasons: reasonsOf(stage, declining, demand) };
  });
  const isRefusedByAll = refused.length === rooms.length;
  return {
    nodesTotal: rooms.length,
    nodesLeft: left,
    rows,
    nearest: isRefusedByAll ? closestOf(refused, demand) : null,
  };
}

function firstStage(broken: readonly Filter[]): FunnelStage {
  const stages = new Set(broken.map(({ obstacle }) => STAGE_OF[obstacle]));
  return FUNNEL_STAGES.find((stage) => stages.has(stage)) ?? 'backoff';
}

/** A stage may have several filters; a node is told under the first of them. */
function reasonsOf(stage: FunnelStage, declining: readonly RefusingNode[], demand: Demand): string[] {
  const byFilter = Map.groupBy(declining, ({ broken }) => broken.find(({ obstacle }) => STAGE_OF[obstacle] === stage));
  return [...byFilter].flatMap(([filter, nodes]) => {
    return filter === undefined ? [] : [`${nodes.length} ${filter.sum(nodes.length, demand)}`];
  });
}
