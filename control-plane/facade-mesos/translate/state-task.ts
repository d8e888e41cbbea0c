/** A task as `/master/state` shows it. Pure. */
import type { RolePath } from '../../../shared/domain/ids.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import { NO_SCALARS, portsOf, type Resources } from '../../../shared/domain/resources.ts';
import { isTerminal, type Task, type TaskTransition } from '../../../shared/domain/task.ts';
import { toldHealth } from '../../../shared/domain/task-health.ts';
import { type TaskItem, templateOfItem } from '../../services/inventory.ts';
import type { WireTaskState } from '../wire/event.ts';
import type { ResourceSummary, StateExecutor, StateStatus, StateTask } from '../wire/state.ts';
import { type TaskNotes, taskNotesOf } from './annotations.ts';
import { ownContainer, ownDiscovery, ownTaskName } from './own-framework.ts';
import { resourceSummary } from './resources.ts';
import { wireState } from './statuses.ts';

/** What is the same for every task of one framework. */
export interface TaskOwner {
  /** As its clients know it. */
  readonly id: string;
  readonly capabilities: ReadonlySet<string>;
  readonly wireRole: (role: RolePath) => string;
}

/** What there is to say of the task's node. */
export interface TaskPlace {
  /** Since when it has not been heard of; null: it is. */
  readonly unreachableSinceMs: number | null;
  /** An operator has said that nothing runs there any more. */
  readonly isNodeGone: boolean;
  /** Null: nobody has said it. */
  readonly ip: string | null;
}

export function stateTask(item: TaskItem, owner: TaskOwner, place: TaskPlace): StateTask {
  const known = knownOf(item);
  const { task, group } = known;
  return {
    id: known.id,
    name: known.name,
    framework_id: owner.id,
    executor_id: known.notes.executor_id ?? '',
    slave_id: task.node ?? '',
    state: presentState(task, owner, place),
    resources: resourcesOf(known),
    role: owner.wireRole(task.role),
    ...(group?.user !== undefined && { user: group.user }),
    statuses: statusesOf(task, owner, place),
    ...describedBy(known),
  };
}

/** A task that runs others. */
export function stateExecutor(item: TaskItem, owner: TaskOwner): StateExecutor {
  const known = knownOf(item);
  const { task, group } = known;
  return {
    executor_id: known.id,
    name: known.name,
    framework_id: owner.id,
    command: { argv: [...(group?.command ?? []), ...(group?.args ?? [])], uris: [] },
    resources: resourcesOf(known),
    role: owner.wireRole(task.role),
    slave_id: task.node ?? '',
  };
}

export function isExecutor({ task }: TaskItem): boolean {
  return task.template?.group.isExecutor === true;
}

/** An executor that is never told of as a task. */
export function isHiddenExecutor(item: TaskItem): boolean {
  return isExecutor(item) && knownOf(item).notes.is_executor === true;
}

/** What is known of a task beside its record; found out once for all that is written of it. */
export interface KnownTask {
  readonly task: Task;
  readonly id: string;
  readonly name: string;
  /** Null: it is on record no more. */
  readonly group: TaskGroup | null;
  readonly notes: TaskNotes;
  readonly labels: Readonly<Record<string, string>>;
}

const NO_NOTES: TaskNotes = {};

export function knownOf(item: TaskItem): KnownTask {
  const { task, spec } = item;
  const group = templateOfItem(item)?.group ?? null;
  const { framework } = task;
  if (framework === null) {
    return { task, group, id: task.id, name: ownTaskName(task, spec), notes: NO_NOTES, labels: spec?.labels ?? {} };
  }
  const notes = taskNotesOf(framework.annotations);
  return { task, group, id: framework.name, name: notes.name ?? framework.name, notes, labels: framework.labels };
}

export function describedBy({
  task,
  name,
  group,
  notes,
  ...known
}: KnownTask): Pick<StateTask, 'labels' | 'discovery' | 'container' | 'health_check'> {
  const labels = notes.labels ?? Object.entries(known.labels).map(([key, value]) => ({ key, value }));
  const discovery = notes.discovery ?? ownDiscovery(task, name, group);
  const container = notes.container ?? ownContainer(task, group);
  return {
    ...(labels.length > 0 && { labels }),
    ...(discovery !== undefined && { discovery }),
    ...(container !== undefined && { container }),
    ...(notes.health_check !== undefined && { health_check: notes.health_check }),
  };
}

function resourcesOf(known: KnownTask): ResourceSummary {
  return resourceSummary(holdsOf(known));
}

/** What it was given, with its ports by number, whether or not it still has them. */
export function holdsOf({ task, group }: KnownTask): Resources {
  const ports = portsOf(Object.values(task.ports));
  if (group === null) return { ...NO_SCALARS, ports };
  const { pids: _limit, ...scalars } = group.resources;
  return { ...scalars, ports };
}

export function presentState(
  task: Task,
  { capabilities }: Pick<TaskOwner, 'capabilities'>,
  { unreachableSinceMs, isNodeGone }: TaskPlace,
): WireTaskState {
  const unreachable = unreachableSinceMs !== null && !isTerminal(task.state);
  const reason = task.history.at(-1)?.reason ?? null;
  return wireState({ state: task.state, unreachable, reason }, capabilities, { task, isNodeGone });
}

/** One for each state that it came to once it had a place, oldest first, the present one last: that one says whether it works. */
export function statusesOf(task: Task, owner: TaskOwner, place: TaskPlace): StateStatus[] {
  const healthy = toldHealth(task);
  const statuses = stateStatuses(task, owner, place);
  if (healthy === null) return statuses;
  return statuses.map((status, at) => (at === statuses.length - 1 ? { ...status, healthy } : status));
}

function stateStatuses(task: Task, owner: TaskOwner, place: TaskPlace): StateStatus[] {
  const entered = task.history
    .filter(({ state }) => state !== 'pending')
    .map((transition): StateStatus => {
      const { state, atMs } = transition;
      const status = { state: enteredState(task, transition, owner, place), timestamp: seconds(atMs) };
      return state === 'running' ? { ...status, container_status: containerStatus(task, place.ip) } : status;
    });
  const state = presentState(task, owner, place);
  const last = entered.at(-1);
  if (isTerminal(task.state) || last === undefined || state === last.state) return entered;
  const sinceMs = place.unreachableSinceMs ?? task.stop?.atMs;
  return [...entered, { state, timestamp: sinceMs === undefined ? last.timestamp : seconds(sinceMs) }];
}

/** That its end was asked for later says nothing about what it was when it entered the state. */
function enteredState(
  task: Task,
  { state, reason }: TaskTransition,
  owner: TaskOwner,
  { isNodeGone }: TaskPlace,
): WireTaskState {
  const about = state === 'lost' ? task : null;
  return wireState({ state, unreachable: false, reason }, owner.capabilities, { task: about, isNodeGone });
}

/** Tasks are reached at their nodes' addresses: those that they have inside of an engine lead nowhere from outside. */
function containerStatus(task: Task, ip: string | null): NonNullable<StateStatus['container_status']> {
  const addresses = ip === null ? [] : [{ protocol: 'IPv4' as const, ip_address: ip }];
  return { container_id: { value: task.id }, network_infos: [{ ip_addresses: addresses }] };
}

export function seconds(atMs: number): number {
  return atMs / 1000;
}
