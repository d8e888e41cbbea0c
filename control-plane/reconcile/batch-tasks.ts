/** Which tasks a batch job has, lacks and owes: one slot per group and index, filled by one attempt after the other. */
import type { GroupSpec, Job } from '../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { backoffMs } from '../../shared/util/backoff.ts';
import { endedAtMs, newTask } from './new-task.ts';

export interface Slot {
  readonly group: GroupSpec;
  readonly index: number;
  /** The attempt that counts: the last one of the wanted version; null before the first. */
  readonly last: Task | null;
  /** Attempts of the wanted version that went wrong by themselves; what was displaced isn't counted. */
  readonly failures: number;
}

/** In the order of the spec's groups, then of indexes. `tasks` may hold those of older versions too. */
export function slotsOf(job: Job, tasks: readonly Task[]): Slot[] {
  const lastOf = new Map<string, Task>();
  const failuresOf = new Map<string, number>();
  for (const task of tasks) {
    if (task.jobVersion !== job.version) continue;
    const key = slotKey(task);
    const earlier = lastOf.get(key);
    if (earlier === undefined || earlier.attempt < task.attempt) lastOf.set(key, task);
    if (wentWrong(task) && !isDisplaced(task)) failuresOf.set(key, (failuresOf.get(key) ?? 0) + 1);
  }
  return job.spec.groups.flatMap((group) =>
    Array.from({ length: group.count }, (_, index) => {
      const key = slotKey({ group: group.name, index });
      return { group, index, last: lastOf.get(key) ?? null, failures: failuresOf.get(key) ?? 0 };
    }),
  );
}

/** Tells the slots of a job apart, over all of its versions. */
export function slotKey({ group, index }: Pick<Task, 'group' | 'index'>): string {
  return `${group}/${index}`;
}

/** Whether another task is owed: the slot's first attempt, one in the place of a displaced one, or a retry that its last has earned. */
export function lacksTask(slot: Slot): boolean {
  return slot.last === null || isDisplaced(slot.last) || isRetryOwed(slot, slot.last);
}

/** The task that the slot lacks; null: it lacks none. */
export function nextTask(job: Job, slot: Slot, nowMs: number): Task | null {
  if (!lacksTask(slot)) return null;
  if (slot.last === null) return firstTask(job, slot, nowMs);
  return isDisplaced(slot.last) ? successorOf(job, slot.last, nowMs) : retryOf(job, slot, slot.last, nowMs);
}

/** What was asked to end isn't tried again, however it ended. */
function isRetryOwed({ group, failures }: Slot, last: Task): boolean {
  return wentWrong(last) && last.stop === null && failures <= group.retries.max;
}

function wentWrong({ state }: Task): boolean {
  return state === 'failed' || state === 'error' || state === 'lost';
}

/** It had to make room, and hadn't reached its own end by then. */
function isDisplaced({ state, stop }: Task): boolean {
  return stop?.displaced === true && isTerminal(state) && state !== 'finished';
}

function firstTask(job: Job, { group, index }: Slot, nowMs: number): Task {
  const message = `created for version ${job.version} of the job`;
  // At any time, rather than from now on: the replica that places it may have a clock that runs behind.
  return newTask(
    job,
    { jobVersion: job.version, group: group.name, index, attempt: 0 },
    { atMs: nowMs, notBeforeMs: 0, message },
  );
}

function successorOf(job: Job, last: Task, nowMs: number): Task {
  const place = { jobVersion: job.version, group: last.group, index: last.index, attempt: last.attempt + 1 };
  const message = `takes the place of the attempt before, which had to make room: ${last.stop?.reason ?? ''}`;
  return newTask(job, place, { atMs: nowMs, notBeforeMs: 0, message });
}

function retryOf(job: Job, { group, failures }: Slot, last: Task, nowMs: number): Task {
  const notBeforeMs = endedAtMs(last, nowMs) + retryWaitMs(group, failures - 1);
  const attempt = last.attempt + 1;
  const message =
    `retry ${failures} of ${group.retries.max}, after the attempt before ended as ${last.state}; ` +
    `not placed before ${new Date(notBeforeMs).toISOString()}`;
  const place = { jobVersion: job.version, group: group.name, index: last.index, attempt };
  return newTask(job, place, { atMs: nowMs, notBeforeMs, message });
}

function retryWaitMs({ retries }: GroupSpec, retry: number): number {
  const policy = {
    baseMs: retries.delaySeconds * 1000,
    factor: retries.factor,
    maxMs: retries.maxDelaySeconds * 1000,
  };
  return Math.round(backoffMs(policy, retry));
}
