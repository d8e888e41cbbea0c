/**
 * The task that is to fill a slot next. What has gone wrong by itself is followed after a pause that grows with each failure in a
 * row; what had to make room, or was lost with its node, is followed at once. The count of failures goes from each task to its
 * successor, so it outlives scaling; a new template begins anew, and so does a run that was ready for as long as the longest pause. No
 * backoff, however short, lets a task that ends as soon as it has begun spin: see `PROMPT_FAILURES_MAX`.
 */
import { type ClusterView, templateOf } from '../../../shared/domain/cluster.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { type BackoffSpec, DEFAULT_BACKOFF } from '../../../shared/domain/service.ts';
import { enteredAtMs, isTerminal, type Task, type TaskTarget } from '../../../shared/domain/task.ts';
import { backoffMs } from '../../../shared/util/backoff.ts';
import { endedAtMs, newTask } from '../new-task.ts';

/**
 * Failures in a row that are followed as fast as the backoff says, be that at once. From then on what ended within `CRASH_MS` of its start,
 * or never started, is followed after `CRASH_MS` at the least: each attempt costs the store some records, a node a container and
 * everybody else their turn. Elsewhere the pause itself has a least value (5 s in Nomad's `reschedule`), or grows from 10 s after a
 * first restart at once (Kubernetes); here a plain 0 stays worth something for what is killed now and then.
 */
export const PROMPT_FAILURES_MAX = 5;
export const CRASH_MS = 1000;

export interface SlotPlace {
  readonly jobVersion: number;
  readonly group: string;
  readonly index: number;
}

/** `last`: the newest attempt of the slot in the same version that is on record. */
export function taskFor(
  { cluster, nowMs }: { readonly cluster: ClusterView; readonly nowMs: number },
  job: Job,
  {
    place,
    last,
    target,
  }: { readonly place: SlotPlace; readonly last: Task | undefined; readonly target: TaskTarget | null },
): Task {
  if (last === undefined) {
    const message = `created for version ${place.jobVersion} of the job`;
    return newTask(job, { ...place, attempt: 0 }, { atMs: nowMs, notBeforeMs: 0, message, target });
  }
  const backoff = backoffOf(cluster, job, place);
  return newTask(
    job,
    { ...place, attempt: last.attempt + 1 },
    { atMs: nowMs, target, ...after(cluster, last, backoff, nowMs) },
  );
}

interface Sequel {
  readonly failures: number;
  readonly notBeforeMs: number;
  readonly message: string;
}

function after(cluster: ClusterView, last: Task, backoff: BackoffSpec, nowMs: number): Sequel {
  if (!isTerminal(last.state)) {
    const message = `takes the place of ${last.id}, which is to go`;
    return { failures: last.failures, notBeforeMs: 0, message };
  }
  const failures = ranWell(cluster, last, backoff, nowMs) ? 0 : last.failures;
  if (last.stop?.displaced === true || last.state === 'lost') {
    return { failures, notBeforeMs: 0, message: `takes the place of the attempt before: ${endOf(last)}` };
  }
  // It may have been made to wait, and been stopped before the pause was over: the pause stands.
  if (last.stop !== null) return { failures, notBeforeMs: last.notBeforeMs, message: 'created anew after a stop' };
  const notBeforeMs = Math.round(endedAtMs(last, nowMs) + pauseMs(backoff, failures, ranMs(last, nowMs)));
  const message =
    `follows the attempt before, which ended as ${last.state}; failure ${failures + 1} in a row, ` +
    `so not placed before ${new Date(notBeforeMs).toISOString()}`;
  return { failures: failures + 1, notBeforeMs, message };
}

function endOf({ stop, history }: Task): string {
  return stop?.reason ?? history.at(-1)?.message ?? '';
}

function pauseMs(
  { delaySeconds, factor, maxDelaySeconds }: BackoffSpec,
  failuresBefore: number,
  lastRanMs: number,
): number {
  const askedMs = backoffMs({ baseMs: delaySeconds * 1000, factor, maxMs: maxDelaySeconds * 1000 }, failuresBefore);
  const isSpinning = failuresBefore >= PROMPT_FAILURES_MAX && lastRanMs < CRASH_MS;
  return isSpinning ? Math.max(askedMs, CRASH_MS) : askedMs;
}

/** How long its last run was; 0: it never ran. */
function ranMs(last: Task, nowMs: number): number {
  const startedMs = startedAtMs(last);
  return startedMs === null ? 0 : endedAtMs(last, nowMs) - startedMs;
}

function startedAtMs(last: Task): number | null {
  return last.restarts.at(-1)?.atMs ?? enteredAtMs(last, 'running');
}

/** The wanted version's word, so that a change of it helps at once; that of the task's own where the group is wanted no more. */
function backoffOf(cluster: ClusterView, job: Job, { jobVersion, group: name }: SlotPlace): BackoffSpec {
  const spec = job.spec.groups.some((group) => group.name === name)
    ? job.spec
    : cluster.version(job.uid, jobVersion)?.spec;
  return spec?.groups.find((group) => group.name === name)?.backoff ?? DEFAULT_BACKOFF;
}

/**
 * Whether its last run was ready for as long as the longest pause before it ended, and not gone at once where there is to be none. What its checks said last is all that is known: one
 * that had failed by then counts up to when it did.
 */
function ranWell(cluster: ClusterView, last: Task, { maxDelaySeconds }: BackoffSpec, nowMs: number): boolean {
  const startedMs = startedAtMs(last);
  if (startedMs === null) return false;
  const checks = templateOf(cluster, last)?.group.checks ?? [];
  const health = last.health?.run === last.run ? last.health : null;
  if (checks.length > 0 && (health === null || health.healthy === null)) return false;
  const isReady = health === null || (health.healthy !== false && health.ready);
  const [fromMs, toMs] = isReady
    ? [Math.max(startedMs, health?.sinceMs ?? startedMs), endedAtMs(last, nowMs)]
    : [startedMs, health.sinceMs];
  return toMs - fromMs >= Math.max(maxDelaySeconds * 1000, CRASH_MS);
}
