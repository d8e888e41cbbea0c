/** The tasks of a lasting job that live, with all that decides on their future. */
import { type ClusterView, templateOf } from '../../../shared/domain/cluster.ts';
import { type Job, templateVersion } from '../../../shared/domain/job.ts';
import { createdAtMs, enteredAtMs, type Task } from '../../../shared/domain/task.ts';
import { isReady, readySinceMs } from '../../../shared/domain/task-health.ts';
import { isLive } from '../job-end.ts';
import type { Candidate } from './kill-selection.ts';

export interface Member extends Candidate {
  /** It is made from the template that is wanted now. */
  readonly isPresent: boolean;
  /** It has been asked to end. */
  readonly isEnding: boolean;
  /** Its node is being emptied. */
  readonly isLeaving: boolean;
  /** From when on it counts as long as nothing changes; null: it isn't ready. */
  readonly countsFromMs: number | null;
  readonly counts: boolean;
}

/** A node's clock may run ahead of ours by so much; what it says beyond that isn't believed. */
const CLOCK_AHEAD_MS_MAX = 60_000;

export function membersOf(
  { cluster, nowMs }: { readonly cluster: ClusterView; readonly nowMs: number },
  job: Job,
  tasks: readonly Task[],
): Member[] {
  const minHealthyMs = (job.spec.update?.minHealthySeconds ?? 0) * 1000;
  return tasks.filter(isLive).map((task): Member => {
    const { node } = task;
    const isReachable = node === null || (cluster.epochs.get(node)?.unreachableSinceMs ?? null) === null;
    const group = templateOf(cluster, task)?.group;
    const ready = isReachable && group !== undefined && isReady(task, group);
    const sinceMs = ready && group !== undefined ? readySinceMs(task, group) : null;
    const countsFromMs = sinceMs === null ? null : believed(task, sinceMs, nowMs) + minHealthyMs;
    return {
      task,
      isReachable,
      isReady: ready,
      isPresent: task.jobVersion === templateVersion(job, task.group),
      isEnding: task.stop !== null,
      isLeaving: node !== null && (cluster.ledgers.get(node)?.drain ?? null) !== null,
      attributes: node === null ? {} : (cluster.nodes.get(node)?.attributes ?? {}),
      countsFromMs,
      counts: countsFromMs !== null && countsFromMs <= nowMs,
    };
  });
}

/** The time comes from the node's clock. It was ready after it was placed; and a clock that is far ahead must not hold a rollout up. */
function believed(task: Task, reportedMs: number, nowMs: number): number {
  const placedMs = enteredAtMs(task, 'staging') ?? createdAtMs(task);
  return reportedMs > nowMs + CLOCK_AHEAD_MS_MAX ? placedMs : Math.max(placedMs, reportedMs);
}
