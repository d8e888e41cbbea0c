/** Tasks as they are born, and when others ended that they follow. */
import { taskId } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import { createdAtMs, enteredAtMs, type Task } from '../../shared/domain/task.ts';

/**
 * When the task ended, as far as that can be believed: the time comes from the node's clock, and one that is wrong must
 * neither put a retry off for hours nor take its backoff away. It ended after it was placed, and not in the future.
 */
export function endedAtMs(task: Task, nowMs: number): number {
  const reported = task.history.at(-1)?.atMs ?? nowMs;
  const placed = enteredAtMs(task, 'staging') ?? createdAtMs(task);
  return Math.min(nowMs, Math.max(placed, reported));
}

/** Where a task stands among those of its job. */
export type TaskPlace = Pick<Task, 'jobVersion' | 'group' | 'index' | 'attempt'>;

export interface Birth extends Partial<Pick<Task, 'target' | 'failures'>> {
  readonly atMs: number;
  readonly notBeforeMs: number;
  readonly message: string;
}

export function newTask(job: Job, place: TaskPlace, born: Birth): Task {
  const coordinates = { jobName: job.spec.name, jobUid: job.uid, ...place };
  const reason = place.attempt === 0 ? 'submitted' : 'retried';
  return {
    ...coordinates,
    id: taskId(coordinates),
    role: job.spec.role,
    state: 'pending',
    history: [{ state: 'pending', atMs: born.atMs, reason, message: born.message }],
    notBeforeMs: born.notBeforeMs,
    node: null,
    ports: {},
    exitCode: null,
    run: 0,
    restarts: [],
    health: null,
    target: born.target ?? null,
    failures: born.failures ?? 0,
    stop: null,
    framework: null,
    template: null,
  };
}
