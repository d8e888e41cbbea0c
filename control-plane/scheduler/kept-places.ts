/**
 * Places that come free for a task which others make room for. The task waits for those that it displaces, and meanwhile nobody
 * else is given what it will need. All of that is read off the stops of the tasks that still hold their places: there is no record
 * of it that could be left behind.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type NodeId, type RolePath, roleWithin, type TaskId } from '../../shared/domain/ids.ts';
import { type TaskEntry, unreservedPart } from '../../shared/domain/ledger.ts';
import {
  addScalars,
  hasPort,
  type PortRange,
  portsOf,
  type Scalars,
  scalarOf,
  subtractPorts,
  subtractScalars,
} from '../../shared/domain/resources.ts';
import { type Demand, demandOf } from './demand.ts';
import { isNodeOpen } from './node-standing.ts';
import type { Sweep } from './plan.ts';
import type { Room } from './room.ts';
import type { Survey } from './survey.ts';
import { type WantedTask, wantedOrHeld } from './wanted.ts';

/** A place whose task ends, for the sake of another one. */
export interface EndingPlace {
  readonly room: Room;
  readonly entry: TaskEntry;
}

/** By the task that they make room for: it waits for these. */
export type EndingPlaces = ReadonlyMap<TaskId, readonly EndingPlace[]>;

/** On a node that takes no new tasks the task couldn't take the place, so nothing comes free for it there. */
export function endingFor(survey: Survey): EndingPlaces {
  const { cluster } = survey;
  const ending = new Map<TaskId, EndingPlace[]>();
  for (const row of survey.list('ending')) {
    const { entries } = row.ledger;
    for (const id in entries) {
      const entry = entries[id];
      if (entry === undefined || entry.stop === null || entry.disowned) continue;
      const heir = heirOf(cluster, id);
      const room = heir === undefined || !isNodeOpen(cluster, row.ledger, survey.nowMs) ? null : survey.room(row);
      if (heir === undefined || room === null) continue;
      const places = ending.get(heir) ?? [];
      ending.set(heir, places);
      places.push({ room, entry });
    }
  }
  return ending;
}

/** By task: the node on which the last that makes room for it has ended, so that this round takes its place back. */
export function freedFor(cluster: ClusterView, sweeps: readonly Sweep[]): Map<TaskId, NodeId> {
  const freed = new Map<TaskId, NodeId>();
  for (const { node, tasks } of sweeps) {
    for (const task of tasks) {
      const heir = heirOf(cluster, task);
      if (heir !== undefined) freed.set(heir, node);
    }
  }
  return freed;
}

function heirOf(cluster: ClusterView, task: TaskId): TaskId | undefined {
  return cluster.tasks.get(task)?.stop?.displacedBy?.task ?? undefined;
}

/** Those of the heirs that still want a place. */
export function waitingOf(cluster: ClusterView, ending: EndingPlaces): WantedTask[] {
  return [...ending.keys()].flatMap((id) => {
    const task = cluster.tasks.get(id);
    const verdict = task === undefined ? 'job-gone' : wantedOrHeld(cluster, task);
    return typeof verdict === 'string' ? [] : [verdict];
  });
}

/** Takes out of the rooms what these tasks will need beside what is still to come free for them, and charges their roles for it. */
export function keepPlaces(ending: EndingPlaces, waiting: readonly WantedTask[]): void {
  for (const wanted of waiting) {
    const demand = demandOf(wanted);
    const byRoom = Map.groupBy(ending.get(wanted.task.id) ?? [], ({ room }) => room);
    for (const [room, places] of byRoom) {
      const rest = places.reduce(
        (left, { entry }) => subtractScalars(left, comesFree(entry, demand.role, room)),
        demand.scalars,
      );
      const kept = mapScalars(rest, (amount, name) => Math.min(amount, room.availableTo(demand.role, name)));
      room.occupy(placeHolder(wanted, demand, { scalars: kept, room }));
      chargeRest(
        room,
        demand,
        subtractScalars(
          mapScalars(rest, (amount) => amount),
          kept,
        ),
      );
    }
  }
}

/** Where only the limit of its role is in its way, the task takes its place elsewhere, and none of its role may take what is left of that. */
function chargeRest({ roles }: Room, { role }: Demand, rest: Scalars): void {
  const unreserved = roles.names.amountsOf(rest);
  roles.charge(roles.client(role, null), { unreserved, whole: unreserved, holdings: 0, offers: 0 });
}

/** What a role can use of the place of a task, once it has ended. */
export function comesFree(entry: TaskEntry, role: RolePath, { ledger }: Pick<Room, 'ledger'>): Scalars {
  const usable = Object.entries(entry.reserved).filter(([id]) => {
    const reservation = ledger.reservations[id];
    return reservation !== undefined && roleWithin(role, reservation.role);
  });
  return usable.reduce<Scalars>((sum, [, part]) => addScalars(sum, part), unreservedPart(entry));
}

/** Never less than nothing. */
function mapScalars(scalars: Scalars, change: (amount: number, name: string) => number): Scalars {
  const changed = (name: string) => Math.max(0, change(scalarOf(scalars, name), name));
  return {
    cpus: changed('cpus'),
    memMiB: changed('memMiB'),
    diskMiB: changed('diskMiB'),
    gpus: changed('gpus'),
    custom: Object.fromEntries(Object.keys(scalars.custom).map((name) => [name, changed(name)])),
  };
}

/** The ports that it asks for by number, and the lowest others, as far as they are free. */
function freePorts({ fixedPorts, anyPorts }: Demand, { free }: Room): readonly PortRange[] {
  const fixed = fixedPorts.filter((port) => hasPort(free.ports, port));
  return portsOf([...fixed, ...lowestPorts(subtractPorts(free.ports, portsOf(fixed)), anyPorts)]);
}

function lowestPorts(ranges: readonly PortRange[], count: number): number[] {
  const ports: number[] = [];
  for (const { first, last } of ranges) {
    for (let port = first; port <= last && ports.length < count; port += 1) ports.push(port);
  }
  return ports;
}

/** Stands in a room for a task that is to come. It is never committed, so nothing but what it holds matters. */
export function placeHolder(
  { task, job, group }: WantedTask,
  demand: Demand,
  { scalars, room }: { readonly scalars: Scalars; readonly room: Room },
): TaskEntry {
  return {
    kind: 'task',
    task: task.id,
    role: task.role,
    jobUid: job.uid,
    jobVersion: task.jobVersion,
    group: group.name,
    resources: { ...scalars, ports: freePorts(demand, room) },
    ports: {},
    reserved: room.drawnBy(task.role, scalars),
    devices: room.devicesFor(scalars.gpus),
    framework: null,
    templateBytes: demand.template.bytes,
    stop: null,
    disowned: false,
  };
}
