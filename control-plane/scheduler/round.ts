/**
 * The allocator: reads off one snapshot what has come free and which pending task goes where. The same snapshot and time
 * give the same plan, whoever plans and in whatever order the snapshot's maps were filled.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { batchFramework } from './batch-framework.ts';
import { openRooms } from './filters/all.ts';
import { endingFor, freedFor, keepPlaces } from './kept-places.ts';
import type { PlannedPlacement, RoundPlan } from './plan.ts';
import { planPreemptions } from './preemption.ts';
import { planSweeps, roomsOf } from './room.ts';
import { queueOf, type WantedTask } from './wanted.ts';

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
  if (wanted.length === 0) return { sweeps, placements: [], stops: [], isCutOff: false, wakeAtMs };
  const allRooms = roomsOf(cluster, sweeps);
  const rooms = openRooms(allRooms);
  const ending = endingFor(cluster, rooms);
  const freed = freedFor(cluster, sweeps);
  const isHeir = ({ task }: WantedTask) => ending.has(task.id) || freed.has(task.id);
  const offer = { rooms, nodesTotal: allRooms.length, placementsMax: ROUND_PLACEMENTS_MAX };
  // Whoever others have made room for comes first, and what has come free for it is nobody else's.
  const heirs = wanted.filter(isHeir);
  const inherited = batchFramework(offer, heirs);
  keepPlaces(ending, without(heirs, inherited));
  const rest = { ...offer, placementsMax: ROUND_PLACEMENTS_MAX - inherited.length };
  const placements = [
    ...inherited,
    ...batchFramework(
      rest,
      wanted.filter((task) => !isHeir(task)),
    ),
  ];
  const isCutOff = placements.length === ROUND_PLACEMENTS_MAX;
  const unplaced = without(wanted, placements);
  const stops = isCutOff ? [] : planPreemptions({ cluster, nowMs, rooms, allRooms, placements, unplaced, ending });
  return { sweeps, placements, stops, isCutOff, wakeAtMs };
}

function without(wanted: readonly WantedTask[], placements: readonly PlannedPlacement[]): WantedTask[] {
  const placed = new Set(placements.map(({ task }) => task));
  return wanted.filter(({ task }) => !placed.has(task.id));
}
