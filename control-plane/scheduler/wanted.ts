/** Which pending tasks may be placed now, and which comes first. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { TaskId } from '../../shared/domain/ids.ts';
import type { GroupSpec, Job, JobSpec } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { createdAtMs, type Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';

/** A pending task whose job wants it to run, and the template that it is made from. */
export interface WantedTask {
  readonly task: Task;
  readonly job: Job;
  /** The version that the task is made from: that of a lasting job may be older than the one that is wanted now. */
  readonly spec: JobSpec;
  /** Of that version. */
  readonly group: GroupSpec;
}

/** What keeps a task from ever being placed, whatever room there is. */
export type Hold =
  | 'not-pending'
  | 'stop-requested'
  | 'job-gone'
  | 'job-stopped'
  | 'job-ended'
  | 'job-suspended'
  | 'superseded';

/** The task with what it needs, or why it gets no place. A backoff that it waits out is the caller's matter. */
export function wantedOrHeld(cluster: ClusterView, task: Task): WantedTask | Hold {
  if (task.state !== 'pending') return 'not-pending';
  if (task.stop !== null) return 'stop-requested';
  const job = cluster.jobs.get(task.jobUid);
  if (job === undefined) return 'job-gone';
  if (job.deleted || job.stop !== null) return 'job-stopped';
  if (job.outcome !== null) return 'job-ended';
  if (job.suspended !== null) return 'job-suspended';
  const spec = specFor(cluster, job, task.jobVersion);
  const group = spec?.groups.find((candidate) => candidate.name === task.group);
  return spec === undefined || group === undefined ? 'superseded' : { task, job, spec, group };
}

/**
 * While a lasting job is rolled out, tasks of more than one version are wanted, and its pass stops those that aren't any more. Of a
 * batch job only the wanted version is.
 */
function specFor(cluster: Pick<ClusterView, 'version'>, job: Job, version: number): JobSpec | undefined {
  if (version === job.version) return job.spec;
  return isLasting(job.spec.kind) ? cluster.version(job.uid, version)?.spec : undefined;
}

export interface Queue {
  /** In the order in which they are to be placed. */
  readonly wanted: readonly WantedTask[];
  /** When the first of those that wait out a backoff may be placed; null if none does. */
  readonly wakeAtMs: number | null;
}

export function queueOf(cluster: ClusterView, nowMs: number): Queue {
  const wanted: WantedTask[] = [];
  let wakeAtMs: number | null = null;
  let begun: ReadonlySet<TaskId> | null = null;
  for (const task of cluster.pendingTasks()) {
    begun ??= begunInLostHistory(cluster);
    if (begun.has(task.id)) continue;
    const verdict = wantedOrHeld(cluster, task);
    if (typeof verdict === 'string') continue;
    if (task.notBeforeMs <= nowMs) wanted.push(verdict);
    else wakeAtMs = Math.min(wakeAtMs ?? task.notBeforeMs, task.notBeforeMs);
  }
  return { wanted: wanted.sort(byTurn), wakeAtMs };
}

/**
 * What nodes run or have seen end although the state calls it pending: it was restored from an older snapshot. Retries get the
 * ids that they had before, so such a task may come to be long after the nodes have told. A pass ends it.
 */
function begunInLostHistory({ epochs }: ClusterView): ReadonlySet<TaskId> {
  const begun = new Set<TaskId>();
  for (const { keptAside = [], endedBefore = [] } of epochs.values()) {
    for (const { task } of keptAside) begun.add(task);
    for (const task of endedBefore) begun.add(task);
  }
  return begun;
}

/** Priority first, then whoever has waited longest. What follows only makes the order total. */
export function byTurn(a: WantedTask, b: WantedTask): number {
  return (
    b.job.spec.priority - a.job.spec.priority ||
    createdAtMs(a.task) - createdAtMs(b.task) ||
    byText(a.job.uid, b.job.uid) ||
    byText(a.task.group, b.task.group) ||
    a.task.index - b.task.index ||
    a.task.attempt - b.task.attempt
  );
}
