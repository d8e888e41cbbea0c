/**
 * The allocator: reads off one snapshot what has come free and which pending task goes where. The same snapshot and time
 * give the same plan, whoever plans and in whatever order the snapshot's maps were filled.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { batchFramework } from './batch-framework.ts';
import { openRooms } from './filters/all.ts';
import type { RoundPlan } from './plan.ts';
import { planSweeps, roomsOf } from './room.ts';
import { queueOf } from './wanted.ts';

export interface RoundInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
}

export function planRound({ cluster, nowMs }: RoundInput): RoundPlan {
  const { wanted, wakeAtMs } = queueOf(cluster, nowMs);
  const sweeps = planSweeps(cluster);
  if (wanted.length === 0) return { sweeps, placements: [], wakeAtMs };
  const rooms = roomsOf(cluster, sweeps);
  const placements = batchFramework({ rooms: openRooms(rooms), nodesTotal: rooms.length }, wanted);
  return { sweeps, placements, wakeAtMs };
}
