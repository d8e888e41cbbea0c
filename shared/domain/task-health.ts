/** What a task's checks come to: whether it works, and whether others should find it. One rule for all who ask. */
import type { TaskGroup } from './job.ts';
import { isBetweenRuns, isTerminal, type Task, type TaskHealth } from './task.ts';

type Checked = Pick<TaskGroup, 'checks'>;
type Watched = Pick<Task, 'state' | 'run' | 'restarts' | 'health'>;

/** Whether it works, as far as anybody knows: it runs, and its checks for health have passed in this run, where it has some. */
export function isHealthy(task: Watched, group: Checked): boolean {
  if (task.state !== 'running' || isBetweenRuns(task)) return false;
  return !hasChecks(group, 'health') || ofThisRun(task)?.healthy === true;
}

/** Whether a check for health has failed in this run, null being no failure; or its run has ended and the next one hasn't begun. */
export function isUnhealthy(task: Watched): boolean {
  return task.state === 'running' && (isBetweenRuns(task) || ofThisRun(task)?.healthy === false);
}

/** Whether it should be given anything to do: it is healthy, and its checks for readiness pass, where it has some. */
export function isReady(task: Watched, group: Checked): boolean {
  return isHealthy(task, group) && (!hasChecks(group, 'readiness') || ofThisRun(task)?.ready === true);
}

/** Since when it has been ready without a break, on the clock of its node; null: it isn't. */
export function readySinceMs(task: Watched & Pick<Task, 'history'>, group: Checked): number | null {
  if (!isReady(task, group)) return null;
  const startedAtMs =
    task.restarts.at(-1)?.atMs ??
    task.history.find(({ state }) => state === 'running')?.atMs ??
    Number.NEGATIVE_INFINITY;
  const hasAny = hasChecks(group, 'health') || hasChecks(group, 'readiness');
  return hasAny ? Math.max(startedAtMs, ofThisRun(task)?.sinceMs ?? startedAtMs) : startedAtMs;
}

/** What whoever has launched it is told: whether it works; null: nobody knows, or it has ended for another reason. */
export function toldHealth(task: Watched & Pick<Task, 'history'>): boolean | null {
  if (isTerminal(task.state)) return task.history.at(-1)?.reason === 'unhealthy' ? false : null;
  return task.state === 'running' ? (ofThisRun(task)?.healthy ?? null) : null;
}

/** `http: 503 Service Unavailable; tcp: refused`: what the checks say that have come to this. */
export function checksText({ checks }: Pick<TaskHealth, 'checks'>, passing: boolean): string {
  const said = checks.filter((check) => check.passing === passing).map(({ name, message }) => `${name}: ${message}`);
  return said.length === 0 ? 'by its checks' : said.join('; ');
}

/** What is said of an earlier run says nothing of this one. */
function ofThisRun({ health, run }: Watched): Task['health'] {
  return health?.run === run ? health : null;
}

function hasChecks({ checks = [] }: Checked, purpose: 'health' | 'readiness'): boolean {
  return checks.some((check) => check.purpose === purpose);
}
