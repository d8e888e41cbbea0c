/**
 * Batch tasks, one after the other in the order of their turns, each onto the best node that admits it.
 *
 * Rooms only shrink within a round. So the nodes that admit a group are looked for once, drop out one by one as they fill
 * up, and a group that was refused everywhere costs nothing more however many of its tasks are still waiting. A node is judged
 * anew only when a task has taken a place there since: a group of thousands of tasks asks each filter a few times for each of
 * them, rather than once for each node.
 */
import type { TaskEntry } from '../../shared/domain/ledger.ts';
import { portsOf } from '../../shared/domain/resources.ts';
import { type Demand, demandOf, groupKey } from './demand.ts';
import { DEMAND_FILTERS } from './filters/all.ts';
import type { Filter } from './filters/filter.ts';
import type { BuiltInFramework, BuiltInOffer } from './framework.ts';
import type { PlannedPlacement } from './plan.ts';
import { allocatePorts } from './ports.ts';
import type { Room } from './room.ts';
import { describeChoice, type Score, scoreOf } from './score.ts';
import type { WantedTask } from './wanted.ts';

export const batchFramework: BuiltInFramework = (offer, tasks) => {
  const searches = new Map<string, GroupSearch>();
  const placements: PlannedPlacement[] = [];
  for (const wanted of tasks) {
    if (placements.length >= offer.placementsMax) break;
    const key = groupKey(wanted.job.uid, wanted.group.name);
    const search = searches.get(key) ?? searchFor(wanted, offer);
    searches.set(key, search);
    const placement = placeOne(wanted, search, offer.nodesTotal);
    if (placement !== null) placements.push(placement);
  }
  return placements;
};

/** The nodes that may still take tasks of one group. */
interface GroupSearch {
  readonly demand: Demand;
  readonly filters: readonly Filter[];
  readonly score: Score;
  /** In the order of their ids. */
  candidates: Candidate[];
}

interface Candidate {
  readonly room: Room;
  /** How many entries it had when it was judged. */
  entriesSeen: number;
  score: number;
}

const NOT_JUDGED = -1;

function searchFor({ job, group }: WantedTask, offer: BuiltInOffer): GroupSearch {
  const demand = demandOf(job, group);
  return {
    demand,
    filters: DEMAND_FILTERS.filter((filter) => filter.applies(demand)),
    score: scoreOf(demand.placement),
    candidates: offer.rooms.map((room) => ({ room, entriesSeen: NOT_JUDGED, score: 0 })),
  };
}

function placeOne(wanted: WantedTask, search: GroupSearch, nodesTotal: number): PlannedPlacement | null {
  const { demand } = search;
  const room = bestOf(search);
  if (room === null) return null;
  const why = describeChoice(room, demand, { fitting: search.candidates.length, total: nodesTotal });
  const entry = entryFor(wanted, demand, room);
  room.occupy(entry);
  return { task: wanted.task.id, node: room.id, entry, why };
}

/** The best of the candidates that still admit the group; of equally good ones the first. */
function bestOf(search: GroupSearch): Room | null {
  let best: Candidate | null = null;
  let isAnyOut = false;
  for (const candidate of search.candidates) {
    if (candidate.entriesSeen !== candidate.room.entries && !judgeAnew(candidate, search)) isAnyOut = true;
    else if (best === null || candidate.score > best.score) best = candidate;
  }
  if (isAnyOut) search.candidates = search.candidates.filter(({ score }) => score !== REFUSED);
  return best?.room ?? null;
}

/** Below every score. */
const REFUSED = Number.NEGATIVE_INFINITY;

/** False: it admits the group no more. */
function judgeAnew(candidate: Candidate, { demand, filters, score }: GroupSearch): boolean {
  const { room } = candidate;
  const admits = isAdmitted(room, demand, filters);
  candidate.score = admits ? score(room, demand) : REFUSED;
  candidate.entriesSeen = room.entries;
  return admits;
}

function isAdmitted(room: Room, demand: Demand, filters: readonly Filter[]): boolean {
  for (const filter of filters) if (!filter.admits(room, demand)) return false;
  return true;
}

function entryFor({ task, job, group }: WantedTask, demand: Demand, room: Room): TaskEntry {
  const { ledger, free } = room;
  const ports = allocatePorts({ task: task.id, ports: group.ports, offered: ledger.total.ports, free: free.ports });
  return {
    kind: 'task',
    task: task.id,
    role: job.spec.role,
    jobUid: job.uid,
    jobVersion: job.version,
    group: group.name,
    resources: { ...demand.scalars, ports: portsOf(Object.values(ports)) },
    ports,
    reserved: {},
    devices: room.devicesFor(demand.scalars.gpus),
    framework: null,
    templateBytes: demand.template.bytes,
    stop: null,
    disowned: false,
  };
}
