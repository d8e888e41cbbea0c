/**
 * The allocator: reads off one snapshot what has come free and which pending task goes where. The same snapshot and time
 * give the same plan, whoever plans and in whatever order the snapshot's maps were filled.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { batchFramework } from './batch-framework.ts';
import { openRooms } from './filters/all.ts';
import type { BuiltInOffer } from './framework.ts';
import { type EndingPlace, endingFor, freedFor, keepPlaces } from './kept-places.ts';
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
  const offer = { rooms, nodesTotal: allRooms.length, placementsMax: ROUND_PLACEMENTS_MAX };
  // What has come free for somebody, and what still is to, is nobody else's.
  keepPlaces(
    ending,
    wanted.filter(({ task }) => ending.has(task.id)),
  );
  const inherited = inherit(offer, { wanted, ending, freed: freedFor(cluster, sweeps) });
  const rest = { ...offer, placementsMax: ROUND_PLACEMENTS_MAX - inherited.length };
  const placements = [...inherited, ...batchFramework(rest, without(wanted, inherited))];
  const isCutOff = placements.length === ROUND_PLACEMENTS_MAX;
  const unplaced = without(wanted, placements);
  const stops = isCutOff ? [] : planPreemptions({ cluster, nowMs, rooms, allRooms, placements, unplaced, ending });
  return { sweeps, placements, stops, isCutOff, wakeAtMs };
}

/** Those for which all others have made room get just that, before anybody's turn. */
function inherit(
  offer: BuiltInOffer,
  { wanted, ending, freed }: { wanted: readonly WantedTask[]; ending: Ending; freed: ReadonlyMap<TaskId, NodeId> },
): PlannedPlacement[] {
  return wanted.flatMap((one) => {
    const node = ending.has(one.task.id) ? undefined : freed.get(one.task.id);
    const rooms = offer.rooms.filter(({ id }) => id === node);
    return rooms.length === 0 ? [] : batchFramework({ ...offer, rooms }, [one]);
  });
}

type Ending = ReadonlyMap<TaskId, readonly EndingPlace[]>;

function without(wanted: readonly WantedTask[], placements: readonly PlannedPlacement[]): WantedTask[] {
  const placed = new Set(placements.map(({ task }) => task));
  return wanted.filter(({ task }) => !placed.has(task.id));
}
