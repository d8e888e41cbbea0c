/**
 * Tasks that must never run twice at a time (`stopAfterDisconnectSeconds`), and how long the control plane waits before it lets
 * another one take their place.
 *
 * Their node counts from the sending of the last heartbeat that was confirmed; the control plane from the moment at which a replica
 * saw the node marked as unreachable. Every confirmed heartbeat was sent before that mark could be made, since the mark needs the
 * end of the lease, so the node's count began first, and only two things could make it end last:
 *
 * - clocks that don't run at the same rate: the rates of two machines' steady clocks may differ by {@link CLOCK_DRIFT_MAX};
 * - the time that the node needs from its deadline until the last process has been killed: {@link FENCE_MARGIN_MS}.
 *
 * Wall clocks don't matter: they are never compared.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';

/** A hundred times what a quartz is off. */
export const CLOCK_DRIFT_MAX = 1 / 50;

/** The dead-man on the node looks twice a second, and kills what it finds at once; the rest is for a machine that is very busy. */
export const FENCE_MARGIN_MS = 5000;

/** For how long a replica has to have seen the task's node unreachable before another may take its place; null: that doesn't matter. */
export function fenceWaitMs(cluster: ClusterView, task: Task): number | null {
  const seconds = specOf(cluster, task)?.stopAfterDisconnectSeconds;
  return seconds === undefined ? null : seconds * 1000 * (1 + CLOCK_DRIFT_MAX) + FENCE_MARGIN_MS;
}

type OfVersion = Pick<Task, 'jobUid' | 'jobVersion'>;

/** Whether the task was made to never run twice at a time. */
export function isFenced(cluster: ClusterView, task: OfVersion): boolean {
  return specOf(cluster, task)?.stopAfterDisconnectSeconds !== undefined;
}

/** The version's word, since that is what the node goes by: the job may say something else by now. */
function specOf(cluster: ClusterView, task: OfVersion): JobSpec | undefined {
  return cluster.version(task.jobUid, task.jobVersion)?.spec ?? cluster.jobs.get(task.jobUid)?.spec;
}
