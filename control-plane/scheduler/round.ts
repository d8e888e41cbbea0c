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

/**
 * Placements of one round. Planning holds everything else up, so what is more than some hundredths of a second's work is left
 * for the next round, which follows at once.
 */
export const ROUND_PLACEMENTS_MAX = 2000;

export function planRound({ cluster, nowMs }: RoundInput): RoundPlan {
  const { wanted, wakeAtMs } = queueOf(cluster, nowMs);
  const sweeps = planSweeps(cluster);
  if (wanted.length === 0) return { sweeps, placements: [], isCutOff: false, wakeAtMs };
  const rooms = roomsOf(cluster, sweeps);
  const offer = { rooms: openRooms(rooms), nodesTotal: rooms.length, placementsMax: ROUND_PLACEMENTS_MAX };
  const placements = batchFramework(offer, wanted);
  return { sweeps, placements, isCutOff: placements.length === ROUND_PLACEMENTS_MAX, wakeAtMs };
}
