/**
 * Tasks of jobs, one after the other in the order of their turns, each onto the best node that admits it.
 *
 * Rooms only shrink within a round. So the nodes that admit a group are looked for once, drop out one by one as they fill
 * up, and a group that was refused everywhere costs nothing more however many of its tasks are still waiting. A node is judged
 * anew only when a task has taken a place there since: a group of thousands of tasks asks each filter a few times for each of
 * them, rather than once for each node. Only where the others of its group are can turn in a node's favour again, and is
 * looked at anew for each task, in `steering.ts`.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { TaskEntry } from '../../shared/domain/ledger.ts';
import { portsOf } from '../../shared/domain/resources.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { type Demand, demandKey, demandOf, forNodeOf, templateKey } from './demand.ts';
import { BOUND_FILTERS, DEMAND_FILTERS } from './filters/all.ts';
import type { Filter } from './filters/filter.ts';
import type { BuiltInFramework, BuiltInOffer, BuiltInScheduler } from './framework.ts';
import type { PlannedPlacement } from './plan.ts';
import { allocatePorts } from './ports.ts';
import type { Room } from './room.ts';
import { describeChoice, type Score, scoreOf } from './score.ts';
import { BARRED, Steered } from './steering.ts';
import type { WantedTask } from './wanted.ts';

export const batchFramework: BuiltInFramework = (offer, tasks) => new BatchScheduler(offer, tasks);

class BatchScheduler implements BuiltInScheduler {
  readonly #offer: BuiltInOffer;
  readonly #tasks: readonly WantedTask[];
  readonly #searches = new Map<string, GroupSearch>();
  /** By template: what tasks ask for that are told apart by their nodes alone. */
  readonly #demands = new Map<string, Demand>();
  /** Made when the first task names its node. */
  #roomsById: ReadonlyMap<NodeId, Room> | null = null;
  #next = 0;

  constructor(offer: BuiltInOffer, tasks: readonly WantedTask[]) {
    this.#offer = offer;
    this.#tasks = tasks;
  }

  placeNext(): PlannedPlacement | null {
    for (let wanted = this.#tasks[this.#next]; wanted !== undefined; wanted = this.#tasks[this.#next]) {
      this.#next += 1;
      const key = demandKey(wanted);
      const search = this.#searches.get(key) ?? this.#searchFor(wanted);
      this.#searches.set(key, search);
      const placement = placeOne(wanted, search, this.#offer.nodesTotal);
      if (placement !== null) return placement;
    }
    return null;
  }

  #searchFor(wanted: WantedTask): GroupSearch {
    const { task, job, group } = wanted;
    const template = templateKey(job.uid, task.jobVersion, group.name);
    const known = this.#demands.get(template);
    const demand = known === undefined ? demandOf(wanted) : forNodeOf(known, wanted);
    this.#demands.set(template, demand);
    return searchFor(wanted, demand, this.#roomsFor(demand));
  }

  #roomsFor({ target }: Demand): readonly Room[] {
    if (target === null) return this.#offer.rooms;
    this.#roomsById ??= new Map(this.#offer.rooms.map((room) => [room.id, room]));
    const room = this.#roomsById.get(target);
    return room === undefined ? [] : [room];
  }
}

/** All that it places when nobody else has a turn, at most so many. */
export function placeAll(scheduler: BuiltInScheduler, placementsMax: number): PlannedPlacement[] {
  const placements: PlannedPlacement[] = [];
  while (placements.length < placementsMax) {
    const placement = scheduler.placeNext();
    if (placement === null) break;
    placements.push(placement);
  }
  return placements;
}

/** The nodes that may still take tasks which ask for the same. */
interface GroupSearch {
  readonly demand: Demand;
  readonly filters: readonly Filter[];
  readonly score: Score;
  /** Null: only how full nodes are decides. */
  readonly steered: Steered | null;
  /** In the order of their ids. */
  candidates: Candidate[];
}

interface Candidate {
  readonly room: Room;
  /** The version of the room that was judged. */
  versionSeen: number;
  score: number;
}

const NOT_JUDGED = -1;

function searchFor({ job }: WantedTask, demand: Demand, rooms: readonly Room[]): GroupSearch {
  return {
    demand,
    filters: DEMAND_FILTERS.filter((filter) => filter.applies(demand)),
    score: scoreOf(demand.placement),
    steered: isLasting(job.spec.kind) || demand.peers.length > 0 ? new Steered(demand, rooms) : null,
    candidates: rooms.map((room) => ({ room, versionSeen: NOT_JUDGED, score: 0 })),
  };
}

function placeOne(wanted: WantedTask, search: GroupSearch, nodesTotal: number): PlannedPlacement | null {
  const { demand } = search;
  const best = bestWithinBounds(search, wanted.task.target?.node ?? null);
  if (best === null) return null;
  const { room, fitting } = best;
  const why = describeChoice(room, demand, {
    fitting,
    total: nodesTotal,
    isTarget: room.id === wanted.task.target?.node,
  });
  const entry = entryFor(wanted, demand, room);
  room.occupy(entry);
  return { task: wanted.task.id, node: room.id, entry, why };
}

interface Best {
  readonly room: Room;
  /** How many would take it. */
  readonly fitting: number;
}

/**
 * The best room, if what the role may still be given allows it. That shrinks with all that the role is given anywhere, so it is
 * asked last, of the best alone; what is refused there is out, with all rooms where nothing is reserved for the role either.
 */
function bestWithinBounds(search: GroupSearch, target: NodeId | null): Best | null {
  const { demand } = search;
  for (let best = bestOf(search, target); best !== null; best = bestOf(search, target)) {
    const { room: refused } = best;
    if (isAdmitted(refused, demand, BOUND_FILTERS)) return best;
    const isAlike = refused.reserved.length === 0;
    search.candidates = search.candidates.filter((candidate) =>
      isAlike ? candidate.room.reserved.length > 0 : candidate.room !== refused,
    );
  }
  return null;
}

/** The best of the candidates that still admit the group; of equally good ones the first. */
function bestOf(search: GroupSearch, target: NodeId | null): Best | null {
  return search.steered === null ? fullestOf(search) : mostPreferredOf(search, search.steered, target);
}

/** By the score alone. All that is asked of a candidate time and again is whether its room has changed. */
function fullestOf(search: GroupSearch): Best | null {
  let best: Candidate | null = null;
  let isAnyOut = false;
  for (const candidate of search.candidates) {
    if (candidate.versionSeen !== candidate.room.version && !judgeAnew(candidate, search)) isAnyOut = true;
    else if (best === null || candidate.score > best.score) best = candidate;
  }
  if (isAnyOut) dropRefused(search);
  return best === null ? null : { room: best.room, fitting: search.candidates.length };
}

/** By points, and by the score only between equals. */
function mostPreferredOf(search: GroupSearch, steered: Steered, target: NodeId | null): Best | null {
  steered.look();
  let best: Candidate | null = null;
  let bestPoints = Number.NEGATIVE_INFINITY;
  let isAnyOut = false;
  let fitting = 0;
  for (const candidate of search.candidates) {
    if (candidate.versionSeen !== candidate.room.version && !judgeAnew(candidate, search)) {
      isAnyOut = true;
      continue;
    }
    const points = steered.pointsOf(candidate.room, target);
    // It isn't out: what the others of the group bar now they may allow once one more of them is placed.
    if (points === BARRED) continue;
    fitting += 1;
    if (best !== null && (points < bestPoints || (points === bestPoints && candidate.score <= best.score))) continue;
    best = candidate;
    bestPoints = points;
  }
  if (isAnyOut) dropRefused(search);
  return best === null ? null : { room: best.room, fitting };
}

function dropRefused(search: GroupSearch): void {
  search.candidates = search.candidates.filter(({ score }) => score !== REFUSED);
}

/** Below every score. */
const REFUSED = Number.NEGATIVE_INFINITY;

/** False: it admits the group no more. */
function judgeAnew(candidate: Candidate, { demand, filters, score }: GroupSearch): boolean {
  const { room } = candidate;
  const admits = isAdmitted(room, demand, filters);
  candidate.score = admits ? score(room, demand) : REFUSED;
  candidate.versionSeen = room.version;
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
    jobVersion: task.jobVersion,
    group: group.name,
    resources: { ...demand.scalars, ports: portsOf(Object.values(ports)) },
    ports,
    reserved: room.drawnBy(job.spec.role, demand.scalars),
    devices: room.devicesFor(demand.scalars.gpus),
    framework: null,
    templateBytes: demand.template.bytes,
    stop: null,
    disowned: false,
  };
}
