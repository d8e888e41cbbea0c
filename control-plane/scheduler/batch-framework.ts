/**
 * Batch tasks, one after the other in the order of their turns, each onto the best node that admits it.
 *
 * Rooms only shrink within a round. So the nodes that admit a group are looked for once, drop out one by one as they fill
 * up, and a group that was refused everywhere costs nothing more however many of its tasks are still waiting.
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
import { bestRoom, describeChoice } from './score.ts';
import type { WantedTask } from './wanted.ts';

export const batchFramework: BuiltInFramework = (offer, tasks) => {
  const searches = new Map<string, GroupSearch>();
  const placements: PlannedPlacement[] = [];
  for (const wanted of tasks) {
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
  candidates: readonly Room[];
}

function searchFor({ job, group }: WantedTask, offer: BuiltInOffer): GroupSearch {
  const demand = demandOf(job, group);
  return { demand, filters: DEMAND_FILTERS.filter((filter) => filter.applies(demand)), candidates: offer.rooms };
}

function placeOne(wanted: WantedTask, search: GroupSearch, nodesTotal: number): PlannedPlacement | null {
  const { demand, filters } = search;
  search.candidates = search.candidates.filter((room) => isAdmitted(room, demand, filters));
  const room = bestRoom(search.candidates, demand);
  if (room === null) return null;
  const why = describeChoice(room, demand, { fitting: search.candidates.length, total: nodesTotal });
  const entry = entryFor(wanted, demand, room);
  room.occupy(entry);
  return { task: wanted.task.id, node: room.id, entry, why };
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
    templateBytes: demand.template.bytes,
    stop: null,
    disowned: false,
  };
}
