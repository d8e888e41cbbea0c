/** `/state`, `/slaves`, `/frameworks` and `/tasks`, as parts that are written one by one. */
import type { TaskItem } from '../../services/inventory.ts';
import { listPart, objectPart } from '../http/json-pieces.ts';
import type { FrameworkFacts } from '../translate/state-framework.ts';
import { frameworkDetails, stateFramework, stateOffer } from '../translate/state-framework.ts';
import { isActive, stateSlave } from '../translate/state-slave.ts';
import { stateExecutor, stateTask } from '../translate/state-task.ts';
import type { WireMasterInfo } from '../wire/event.ts';
import type { StateTask } from '../wire/state.ts';
import type { Scene } from './scene.ts';

export interface MasterFacts {
  readonly info: WireMasterInfo;
  readonly clusterId: string;
  readonly startedAtSeconds: number;
  readonly capabilities: readonly string[];
  readonly build: Readonly<Record<string, string>>;
  readonly flags: Readonly<Record<string, string>>;
}

export function stateDocument(scene: Scene, { info, clusterId, startedAtSeconds, ...master }: MasterFacts) {
  const { id, pid, port, hostname } = info;
  const active = scene.nodes.filter(isActive).length;
  return objectPart({
    version: info.version,
    ...master.build,
    start_time: startedAtSeconds,
    elected_time: startedAtSeconds,
    id: clusterId,
    pid,
    hostname,
    capabilities: master.capabilities,
    activated_slaves: active,
    deactivated_slaves: scene.nodes.length - active,
    unreachable_slaves: scene.inventory.nodes.length - scene.nodes.length,
    leader: pid,
    leader_info: { id, pid, port, hostname },
    cluster: clusterId,
    flags: master.flags,
    ...slaveMembers(scene, null),
    ...frameworkMembers(scene, null),
    orphan_tasks: [],
  });
}

export function slavesDocument(scene: Scene, id: string | null) {
  return objectPart(slaveMembers(scene, id));
}

export function frameworksDocument(scene: Scene, id: string | null) {
  return objectPart(frameworkMembers(scene, id));
}

/** `id`: only this one. */
function slaveMembers(scene: Scene, id: string | null) {
  const wanted = id === null ? scene.nodes : scene.nodes.filter(({ node }) => node.id === id);
  return { slaves: listPart(wanted, (item) => stateSlave(item, scene.inventory)), recovered_slaves: [] };
}

function frameworkMembers(scene: Scene, id: string | null) {
  return {
    frameworks: listPart(only(scene.frameworks(), id), (facts) => frameworkPart(scene, facts)),
    completed_frameworks: listPart(only(scene.endedFrameworks(), id), (facts) => frameworkPart(scene, facts)),
    unregistered_frameworks: [],
  };
}

function* only(all: Iterable<FrameworkFacts>, id: string | null): Generator<FrameworkFacts> {
  for (const facts of all) if (id === null || facts.id === id) yield facts;
}

function frameworkPart(scene: Scene, facts: FrameworkFacts) {
  const holding = scene.holdingOf(facts);
  const { live, unreachable, ended, executors } = scene.sortedTasks(facts);
  const tasks = (items: readonly TaskItem[]) => listPart(items, (item) => stateTask(item, facts, scene.placeOf(item)));
  return objectPart({
    ...stateFramework(facts, holding),
    ...frameworkDetails(facts, holding),
    tasks: tasks(live),
    unreachable_tasks: tasks(unreachable),
    completed_tasks: tasks(ended),
    offers: listPart(holding.offers, (offer) => stateOffer(offer, facts)),
    executors: listPart(executors, (item) => stateExecutor(item, facts)),
  });
}

export interface TaskQuery {
  /** Below 0: all. */
  readonly limit: number;
  readonly offset: number;
  readonly isAscending: boolean;
  readonly framework: string | null;
  readonly task: string | null;
}

/** Of all frameworks together, by when they got their place. */
export function tasksDocument(scene: Scene, query: TaskQuery) {
  const { limit, offset, isAscending } = query;
  const found = [...tasksOf(scene, query)].sort((a, b) => (isAscending ? a.atMs - b.atMs : b.atMs - a.atMs));
  const end = limit < 0 ? found.length : offset + limit;
  return objectPart({ tasks: listPart(found.slice(offset, end), ({ make }) => make()) });
}

interface FoundTask {
  readonly atMs: number;
  readonly make: () => StateTask;
}

function* tasksOf(scene: Scene, { framework, task }: TaskQuery): Generator<FoundTask> {
  const everyFramework = [...scene.frameworks(), ...scene.endedFrameworks()];
  for (const facts of only(everyFramework, framework)) {
    const { live, unreachable, ended } = scene.sortedTasks(facts);
    for (const item of [...live, ...unreachable, ...ended]) {
      if (task !== null && task !== (item.task.framework?.name ?? item.task.id)) continue;
      yield { atMs: placedAtMs(item), make: () => stateTask(item, facts, scene.placeOf(item)) };
    }
  }
}

function placedAtMs({ task }: TaskItem): number {
  return task.history.find(({ state }) => state !== 'pending')?.atMs ?? 0;
}
