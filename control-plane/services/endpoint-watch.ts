/** Endpoints as they stand, and what becomes different of them, as a stream that can be taken up again on any replica. */
import type { Refusal } from '../../shared/domain/errors.ts';
import { type NodeId, type RolePath, roleWithin, type TaskId } from '../../shared/domain/ids.ts';
import { isLasting } from '../../shared/domain/service.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { EndpointChange, EndpointList, EndpointView } from '../../shared/protocol/endpoints.ts';
import type { StatePosition } from '../../shared/protocol/position.ts';
import { byText } from '../../shared/util/order.ts';
import type { Principal } from '../auth/principal.ts';
import type { Change } from '../store/snapshot.ts';
import { jobResource, mayRead } from './access.ts';
import type { ServiceContext } from './context.ts';
import { type EndpointStep, type EndpointTable, touchedTasks } from './endpoint-table.ts';
import { endpointId } from './endpoints.ts';
import { changesSince, historyGone, reachForEvents, tooSlow } from './events.ts';

/** A reader that is this many changes behind is cut off; it takes the stream up again from its last id. */
const CHANGES_BEHIND_MAX = 1000;

export interface EndpointFilter {
  /** This role and those below it. */
  readonly role: RolePath | null;
  /** The name or the uid of a job. */
  readonly job: string | null;
  readonly group: string | null;
  /** The name of the port. */
  readonly port: string | null;
  readonly node: NodeId | null;
  readonly states: readonly EndpointView['state'][] | null;
}

/** The whole of it, or what followed on what was told before. */
export type EndpointNews = ({ readonly type: 'list' } & EndpointList) | ({ readonly type: 'change' } & EndpointChange);

/** By job, group, index and port. */
export function listEndpoints(table: EndpointTable, principal: Principal, filter: EndpointFilter): EndpointList {
  const passes = passer(principal, filter);
  return { revision: table.revision, items: [...table.all()].filter(passes).sort(inOrder) };
}

/** Whether any endpoint that passes may be another one than it was at `after`. Throws `history-gone`. */
export function hasEndpointNews(
  { ctx, table }: { ctx: ServiceContext; table: EndpointTable },
  principal: Principal,
  { after, filter }: { after: number; filter: EndpointFilter },
): boolean {
  const { put, gone } = changeSince({ ctx, table }, principal, { after, filter });
  return put.length + gone.length > 0;
}

/**
 * First all of it, or where the reader has been before, what has become different since; then whatever becomes different, until the
 * signal is aborted. A change without anything in it only tells how far the stream is. Throws `history-gone`, also when the mirror had to
 * list again.
 */
export async function* watchEndpoints(
  { ctx, table }: { ctx: ServiceContext; table: EndpointTable },
  principal: Principal,
  { after, filter, signal }: { after: StatePosition | null; filter: EndpointFilter; signal: AbortSignal },
): AsyncGenerator<EndpointNews, void> {
  if (after !== null) await reachForEvents(ctx, after);
  const passes = passer(principal, filter);
  const queue: { revision: number; put: EndpointView[]; gone: string[] }[] = [];
  let wake = () => {};
  let broken: Refusal | null = null;
  const unsubscribe = table.subscribe((steps, revision, isReset) => {
    // Nothing may follow what was left out: the reader resumes after the last thing that it got.
    if (broken !== null) return;
    const change = { revision, ...toldOf(steps, passes) };
    const last = queue.at(-1);
    if (isReset) broken = historyGone(revision);
    else if (last !== undefined && change.put.length + change.gone.length === 0) last.revision = revision;
    else if (queue.length >= CHANGES_BEHIND_MAX) broken = tooSlow();
    else queue.push(change);
    wake();
  });
  const stop = () => wake();
  signal.addEventListener('abort', stop);
  try {
    yield after === null
      ? { type: 'list', ...listEndpoints(table, principal, filter) }
      : { type: 'change', ...changeSince({ ctx, table }, principal, { after: after.revision, filter }) };
    while (!signal.aborted) {
      for (let change = queue.shift(); change !== undefined && !signal.aborted; change = queue.shift()) {
        yield { type: 'change', ...change };
      }
      if (broken !== null) throw broken;
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || broken !== null || signal.aborted) resolve();
      });
    }
  } finally {
    signal.removeEventListener('abort', stop);
    unsubscribe();
  }
}

type Passes = (endpoint: EndpointView) => boolean;

function passer(principal: Principal, filter: EndpointFilter): Passes {
  const mayReadJobs = readerOf(principal);
  const { group, port, node, states } = filter;
  return (one) =>
    mayReadJobs(one.role, one.job) &&
    isOfJob({ role: one.role, jobName: one.job, jobUid: one.jobUid }, filter) &&
    (group === null || one.group === group) &&
    (port === null || one.portName === port) &&
    (node === null || one.node === node) &&
    (states === null || states.includes(one.state));
}

/** Asks once for each job. */
function readerOf(principal: Principal): (role: RolePath, job: string) => boolean {
  const known = new Map<string, boolean>();
  return (role, job) => {
    const key = `${role}:${job}`;
    const may = known.get(key) ?? mayRead(principal, 'job:read', role, jobResource(job));
    known.set(key, may);
    return may;
  };
}

function isOfJob({ role, jobName, jobUid }: Pick<Task, 'role' | 'jobName' | 'jobUid'>, filter: EndpointFilter) {
  return (
    (filter.role === null || roleWithin(role, filter.role)) &&
    (filter.job === null || filter.job === jobName || filter.job === jobUid)
  );
}

/** What passes no more is gone to a reader that asked for what passes. */
function toldOf(steps: readonly EndpointStep[], passes: Passes): { put: EndpointView[]; gone: string[] } {
  const put: EndpointView[] = [];
  const gone: string[] = [];
  for (const { before, after } of steps) {
    if (after !== null && passes(after)) put.push(after);
    else if (before !== null && passes(before)) gone.push(before.id);
  }
  return { put, gone };
}

/**
 * What has become of all that may have been different at `after`. How it was then isn't known any more, so some of it may be told that is
 * as it was, and some be called gone that the reader never knew.
 */
function changeSince(
  { ctx, table }: { ctx: ServiceContext; table: EndpointTable },
  principal: Principal,
  { after, filter }: { after: number; filter: EndpointFilter },
): EndpointChange {
  const { snapshot, revision } = ctx.mirror;
  const passes = passer(principal, filter);
  const mayReadJobs = readerOf(principal);
  const changes = changesSince(ctx, after);
  const put: EndpointView[] = [];
  const known = new Set<string>();
  for (const task of touchedTasks(snapshot, changes)) {
    for (const endpoint of table.ofTask(task)) {
      if (passes(endpoint)) put.push(endpoint);
      else if (mayReadJobs(endpoint.role, endpoint.job) && isOfJob(taskOf(endpoint), filter)) known.add(endpoint.id);
    }
  }
  for (const { task, ports } of formerPorts(changes)) {
    const kind = snapshot.jobs.get(task.jobUid)?.spec.kind ?? 'service';
    if (!isLasting(kind) || !mayReadJobs(task.role, task.jobName) || !isOfJob(task, filter)) continue;
    for (const port of ports) known.add(endpointId(task.id, port));
  }
  for (const { id } of put) known.delete(id);
  return { revision, put: put.sort(inOrder), gone: [...known].sort(byText) };
}

function taskOf({ role, job, jobUid }: EndpointView): Pick<Task, 'role' | 'jobName' | 'jobUid'> {
  return { role, jobName: job, jobUid };
}

function formerPorts(changes: readonly Change[]): Iterable<{ task: Task; ports: readonly string[] }> {
  const former = new Map<TaskId, { task: Task; ports: readonly string[] }>();
  for (const change of changes) {
    if (change.kind !== 'tasks' || change.before === null || change.before.framework !== null) continue;
    const ports = Object.keys(change.before.ports);
    if (ports.length > 0) former.set(change.id, { task: change.before, ports });
  }
  return former.values();
}

function inOrder(a: EndpointView, b: EndpointView): number {
  return (
    byText(a.role, b.role) ||
    byText(a.job, b.job) ||
    byText(a.group, b.group) ||
    a.index - b.index ||
    byText(a.id, b.id)
  );
}
