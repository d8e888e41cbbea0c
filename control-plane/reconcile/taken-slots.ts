/**
 * Slots of a job that its new version has to wait for. As a rule a new version's tasks are made at once, beside those of the old one
 * that are being stopped. Where two must never run at a time, because either version says so, the new one waits for the end of
 * the old one.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Job } from '../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { slotKey } from './batch-tasks.ts';
import { isFenced } from './fence-wait.ts';
import { holdsPlace } from './places.ts';

/** `tasks` are all of the job. */
export function takenSlots(cluster: ClusterView, job: Job, tasks: readonly Task[]): ReadonlySet<string> {
  const isExclusive = job.spec.stopAfterDisconnectSeconds !== undefined;
  const taking = tasks.filter((task) => {
    if (task.jobVersion === job.version) return false;
    const fenced = isFenced(cluster, task);
    return (isExclusive || fenced) && mayRun(cluster, task, fenced);
  });
  return new Set(taking.map(slotKey));
}

/**
 * One that was given up with its node may still run there, unless the node has stopped it by itself: until the agent is back and
 * has confirmed that nothing of it runs, its place stands.
 */
function mayRun(cluster: ClusterView, task: Task, fenced: boolean): boolean {
  if (!isTerminal(task.state)) return true;
  return task.state === 'lost' && !fenced && holdsPlace(cluster, task);
}
