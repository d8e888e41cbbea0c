/**
 * Whether a task's node went down under it, and whether it then runs again as a further run of itself. The engine doesn't say: it
 * shows what ran when the power failed as exited, at the moment when it came back itself. So the journal keeps in which of the
 * machine's boots a task was launched, and what a later boot finds ended has ended with the machine, unless the engine shows an
 * end of its own before.
 */
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import type { Boot, Container, LocalTask } from './model.ts';

/**
 * A task that takes its machine down with it would do so for ever. After so many further runs, none of which lasted, it has
 * ended.
 */
export const RESTARTS_IN_A_ROW_MAX = 5;
/** A run that has lasted so long counts for nothing in that. */
export const RUN_LASTS_MS = 600_000;
/** Counted from the boot. The first time there is no pause. */
const RESTART_BACKOFF: BackoffPolicy = { baseMs: 10_000, factor: 2, maxMs: 300_000 };

/** What the engine shows for whatever it finds gone without a word. */
const EXIT_UNKNOWN = 255;
/** SIGKILL and SIGTERM: how an engine that is shut down with its machine ends what runs. */
const EXITS_AT_SHUTDOWN = [137, 143];
/** The engine may date a short run's end a little before its beginning. */
const DATES_ARE_OFF_MS = 1000;

/** `container`: the one of its present run; undefined: the engine has none. */
export function endedWithMachine(task: LocalTask, container: Container | undefined, boot: Boot): boolean {
  if (!isOfEarlierBoot(task, boot) || task.stop !== null) return false;
  if (container === undefined) return true;
  if (container.state !== 'exited') return false;
  const { exitCode, outOfMemory } = container;
  if (exitCode === null) return true;
  if (exitCode === EXIT_UNKNOWN) return !hasEndedBefore(boot, container);
  return EXITS_AT_SHUTDOWN.includes(exitCode) && !outOfMemory;
}

/** The engine was asked to start it, and the machine has gone down since. */
export function isOfEarlierBoot(task: LocalTask, boot: Boot): boolean {
  return task.phase !== 'starting' && task.boot !== null && boot.id !== null && task.boot !== boot.id;
}

/** An end before its beginning only says that the clock was wrong when the engine came back. */
function hasEndedBefore(boot: Boot, { startedAtMs, endedAtMs }: Container): boolean {
  if (startedAtMs === null || endedAtMs === null || endedAtMs < startedAtMs - DATES_ARE_OFF_MS) return false;
  return endedAtMs < boot.startedAt.wallMs;
}

/** Whether a task that has ended with its machine was meant to run again, and hasn't done so too often. */
export function mayRestart(task: LocalTask): boolean {
  return task.origin?.group.restart.afterReboot === true && !isRestartedTooOften(task);
}

export function isRestartedTooOften(task: LocalTask): boolean {
  return task.restarts >= RESTARTS_IN_A_ROW_MAX;
}

/** When the next run may begin, on the steady clock. */
export function restartAtMs(task: LocalTask, boot: Boot): number {
  return boot.startedAt.steadyMs + (task.restarts === 0 ? 0 : backoffMs(RESTART_BACKOFF, task.restarts - 1));
}

/** When the present run has lasted, on the steady clock; null: that makes no difference. */
export function lastsAtMs({ restarts, startedAt }: LocalTask): number | null {
  return restarts === 0 || startedAt === null ? null : startedAt.steadyMs + RUN_LASTS_MS;
}
