/** How jobs of every kind are ended, and how their records go. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Job, StopRequest } from '../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { PassAction } from './actions.ts';
import { holdsPlace } from './places.ts';

/** The record goes when nothing of the job runs or holds a place: not even a place that was given up on a lost node. */
export function removal(cluster: ClusterView, job: Job, tasks: readonly Task[], nowMs: number): PassAction[] {
  const live = tasks.filter(isLive);
  const stop = job.stop ?? { atMs: nowMs, by: 'berth', reason: 'the job was deleted' };
  if (live.length > 0) return stops(live, stop);
  if (tasks.some((task) => holdsPlace(cluster, task))) return [];
  return [{ type: 'remove-job', job: job.uid }];
}

export function stops(tasks: readonly Task[], stop: StopRequest): PassAction[] {
  return tasks.filter((task) => task.stop === null).map((task) => ({ type: 'stop-task', task: task.id, stop }));
}

export function isLive(task: Task): boolean {
  return !isTerminal(task.state);
}
