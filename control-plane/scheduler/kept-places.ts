/**
 * Places that come free for a task which others make room for. The task waits for those that it displaces, and meanwhile nobody
 * else is given what it will need. All of that is read off the stops of the tasks that still hold their places: there is no record
 * of it that could be left behind.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { type TaskEntry, unreservedPart } from '../../shared/domain/ledger.ts';
import {
  hasPort,
  type PortRange,
  portsOf,
  type Scalars,
  scalarNames,
  scalarOf,
  subtractPorts,
  subtractScalars,
} from '../../shared/domain/resources.ts';
import { type Demand, demandOf } from './demand.ts';
import type { Sweep } from './plan.ts';
import type { Room } from './room.ts';
import { type WantedTask, wantedOrHeld } from './wanted.ts';

/** A place whose task ends, for the sake of another one. */
export interface EndingPlace {
  readonly room: Room;
  readonly entry: TaskEntry;
}

/**
 * By the task that they make room for. `rooms` are the open ones: on any other node the task couldn't take the place, so nothing
 * comes free for it there.
 */
export function endingFor(cluster: ClusterView, rooms: readonly Room[]): Map<TaskId, EndingPlace[]> {
  const ending = new Map<TaskId, EndingPlace[]>();
  for (const room of rooms) {
    for (const entry of Object.values(room.ledger.entries)) {
      if (entry.stop === null || entry.disowned) continue;
      const heir = heirOf(cluster, entry.task);
      if (heir === undefined) continue;
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
  return cluster.tasks.get(task)?.stop?.displacedBy?.task;
}

/** Those of the heirs that still want a place. */
export function waitingOf(cluster: ClusterView, ending: ReadonlyMap<TaskId, unknown>): WantedTask[] {
  return [...ending.keys()].flatMap((id) => {
    const task = cluster.tasks.get(id);
    const verdict = task === undefined ? 'job-gone' : wantedOrHeld(cluster, task);
    return typeof verdict === 'string' ? [] : [verdict];
  });
}

/** Takes out of the rooms what these tasks will need beside what is still to come free for them. */
export function keepPlaces(ending: ReadonlyMap<TaskId, readonly EndingPlace[]>, waiting: readonly WantedTask[]): void {
  for (const wanted of waiting) {
    const demand = demandOf(wanted.job, wanted.group);
    const byRoom = Map.groupBy(ending.get(wanted.task.id) ?? [], ({ room }) => room);
    for (const [room, places] of byRoom) {
      const rest = places.reduce((left, { entry }) => subtractScalars(left, unreservedPart(entry)), demand.scalars);
      room.occupy(placeHolder(wanted, demand, { scalars: leastOf(rest, room.free), room }));
    }
  }
}

/** What of `wanted` is there, and never less than nothing. */
function leastOf(wanted: Scalars, free: Scalars): Scalars {
  const least = (name: string) => Math.max(0, Math.min(scalarOf(wanted, name), scalarOf(free, name)));
  const custom = scalarNames(wanted).filter((name) => Object.hasOwn(wanted.custom, name));
  return {
    cpus: least('cpus'),
    memMiB: least('memMiB'),
    diskMiB: least('diskMiB'),
    gpus: least('gpus'),
    custom: Object.fromEntries(custom.map((name) => [name, least(name)])),
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
    jobVersion: job.version,
    group: group.name,
    resources: { ...scalars, ports: freePorts(demand, room) },
    ports: {},
    reserved: {},
    devices: [],
    framework: null,
    templateBytes: demand.template.bytes,
    stop: null,
    disowned: false,
  };
}
