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
 *
 * The same wait follows an end that nobody saw. An agent with a copy of its node's memory, or with none, finds nothing of what the node
 * runs and reports its end, and so does the true one whose machine went down; which of them it was can't be told. If the true machine
 * is merely cut off, no heartbeat of it has been confirmed since that agent was admitted, which was before it could report: so the
 * task is over when a replica has known of that end for as long as of an unreachable node.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';

/** A hundred times what a quartz is off. */
export const CLOCK_DRIFT_MAX = 1 / 50;

/** The dead-man on the node looks twice a second, and kills what it finds at once; the rest is for a machine that is very busy. */
export const FENCE_MARGIN_MS = 5000;

/**
 * For how long a replica has to have seen the task's node unreachable, or to have known of an end that nobody saw, before another may
 * take its place; null: that doesn't matter.
 */
export function fenceWaitMs(cluster: ClusterView, task: Task): number | null {
  const seconds = specOf(cluster, task)?.stopAfterDisconnectSeconds;
  return seconds === undefined ? null : seconds * 1000 * (1 + CLOCK_DRIFT_MAX) + FENCE_MARGIN_MS;
}

/**
 * Whether its node only found it no longer there: if that agent is not the one that ran it, it may run on elsewhere. One that was asked
 * to end ends as asked then, but without an exit code.
 */
export function isUnseenEnd({ state, node, exitCode, history }: EndOfTask): boolean {
  const reason = history.at(-1)?.reason;
  if (!isTerminal(state) || node === null) return false;
  if (reason === 'not-found-on-node' || reason === 'node-rebooted') return true;
  return (state === 'killed' || state === 'failed') && exitCode === null;
}

type EndOfTask = Pick<Task, 'state' | 'node' | 'exitCode' | 'history'>;

type OfVersion = Pick<Task, 'jobUid' | 'jobVersion'> & Partial<Pick<Task, 'template'>>;

/** Whether the task was made to never run twice at a time. */
export function isFenced(cluster: ClusterView, task: OfVersion): boolean {
  return specOf(cluster, task)?.stopAfterDisconnectSeconds !== undefined;
}

/** The version's word, since that is what the node goes by: the job may say something else by now. */
function specOf(cluster: ClusterView, task: OfVersion): Pick<JobSpec, 'stopAfterDisconnectSeconds'> | undefined {
  return task.template ?? cluster.version(task.jobUid, task.jobVersion)?.spec ?? cluster.jobs.get(task.jobUid)?.spec;
}
