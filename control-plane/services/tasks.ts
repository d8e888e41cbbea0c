/** What can be done with tasks: look at them, and ask for their end. */
import { Refusal } from '../../shared/domain/errors.ts';
import { type NodeId, type RolePath, roleWithin, type TaskId } from '../../shared/domain/ids.ts';
import type { Task, TaskState } from '../../shared/domain/task.ts';
import type { Page, TaskView } from '../../shared/protocol/views.ts';
import type { Action } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { explainTask } from '../scheduler/explain.ts';
import { stopUnit } from '../store/units.ts';
import { demandOf, mayRead, taskResource } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { explanationView } from './explanation-view.ts';
import { mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { taskView } from './views.ts';

/** One task; while it is pending, with the answer to why. */
export function getTask(ctx: ServiceContext, principal: Principal, id: TaskId): TaskView {
  const task = allowedTask(ctx, principal, id, 'task:read');
  const { snapshot } = ctx.mirror;
  if (task.state !== 'pending') return shownTo(principal, taskView(snapshot, task));
  const explanation = explainTask({ cluster: snapshot, nowMs: ctx.clock.now(), task });
  return shownTo(principal, taskView(snapshot, task, explanationView(explanation)));
}

export interface TaskFilter {
  /** The name or the uid of a job. */
  readonly job: string | null;
  /** The name or the id of a framework. */
  readonly framework: string | null;
  /** This role and those below it. */
  readonly role: RolePath | null;
  readonly node: NodeId | null;
  readonly states: readonly TaskState[] | null;
}

/** Tasks that the principal may read, by id. */
export function listTasks(
  ctx: ServiceContext,
  principal: Principal,
  filter: TaskFilter,
  page: PageRequest,
): Page<TaskView> {
  const { snapshot } = ctx.mirror;
  const wanted = [...snapshot.tasks.values()].filter(
    (task) => matches(task, filter) && mayRead(principal, 'task:read', task.role, taskResource(task)),
  );
  return pageThrough(wanted, page, {
    keyOf: (task) => task.id,
    view: (task) => shownTo(principal, taskView(snapshot, task)),
  });
}

function matches(task: Task, { job, framework, role, node, states }: TaskFilter): boolean {
  return (
    (job === null || (task.framework === null && isOwnedBy(task, job))) &&
    (framework === null || (task.framework !== null && isOwnedBy(task, framework))) &&
    (role === null || roleWithin(task.role, role)) &&
    (node === null || task.node === node) &&
    (states === null || states.includes(task.state))
  );
}

/** By name or id of its job, or of its framework: a task that one has launched stands where a job's would. */
function isOwnedBy({ jobName, jobUid }: Task, owner: string): boolean {
  return jobName === owner || jobUid === owner;
}

/** Asks for the task's end. It counts as killed, so it is not retried. */
export function stopTask(
  ctx: ServiceContext,
  call: Call,
  id: TaskId,
  { reason }: { reason: string },
): Promise<Answer<TaskView>> {
  return mutate(ctx, call, () => {
    const task = allowedTask(ctx, call.principal, id, 'task:stop');
    const { snapshot } = ctx.mirror;
    const stop = { atMs: ctx.clock.now(), by: call.principal.subject, reason };
    const unit = stopUnit(snapshot, [{ task, stop }]);
    const body = shownTo(call.principal, taskView(snapshot, unit === null ? task : { ...task, stop }));
    return { status: 200, body, compares: unit?.compares ?? [], writes: unit?.writes ?? [] };
  });
}

/** For whom it has to make room is named only to those who may read that role's tasks. */
function shownTo(principal: Principal, view: TaskView): TaskView {
  const { stop } = view;
  const role = stop?.displacedBy?.role ?? null;
  if (stop === null || stop.displacedBy === null || role === null || mayRead(principal, 'task:read', role)) return view;
  return { ...view, stop: { ...stop, displacedBy: { ...stop.displacedBy, role: null, task: null } } };
}

/** The task, if it is there and the principal may do this to it. */
export function allowedTask(ctx: ServiceContext, principal: Principal, id: TaskId, action: Action): Task {
  const absent = `there is no task "${id}"`;
  const task = ctx.mirror.snapshot.tasks.get(id);
  if (task === undefined) throw new Refusal('not-found', absent);
  demandOf(principal, { read: 'task:read', action, role: task.role, resource: taskResource(task), absent });
  return task;
}
