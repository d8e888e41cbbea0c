/** What a ledger tells the agent of a task that is to end: how long it waits before the polite signal, and how long after it. */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import type { StopMark } from '../../shared/domain/ledger.ts';
import type { Task } from '../../shared/domain/task.ts';
import { isReady } from '../../shared/domain/task-health.ts';

/** For a task whose version is on record no more. */
const KILL_GRACE_DEFAULT_SECONDS = 10;

export function markOf(
  cluster: Pick<ClusterView, 'version'>,
  task: Task,
  { atMs, reason }: { readonly atMs: number; readonly reason: string },
): StopMark {
  const group = templateOf(cluster, task)?.group;
  const graceMs = Math.round((group?.killGraceSeconds ?? KILL_GRACE_DEFAULT_SECONDS) * 1000);
  // What isn't ready is found by nobody, so nobody has to be waited for.
  const isFound = group !== undefined && isReady(task, group);
  const delayMs = isFound ? Math.round((group.stopDelaySeconds ?? 0) * 1000) : 0;
  return { atMs, ...(delayMs > 0 && { delayMs }), graceMs, reason };
}

/** At most half of the bound goes to the delay: the task is to have time to end by itself as well. */
export function boundedMark(mark: StopMark, boundMs: number | undefined): StopMark {
  if (boundMs === undefined) return mark;
  const { delayMs: askedMs = 0, ...rest } = mark;
  const delayMs = Math.min(askedMs, Math.floor(boundMs / 2));
  return { ...rest, ...(delayMs > 0 && { delayMs }), graceMs: Math.min(mark.graceMs, boundMs - delayMs) };
}
