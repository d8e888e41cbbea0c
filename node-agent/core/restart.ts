/**
 * Whether a task's node went down under it, and whether it then runs again as a further run of itself. The engine doesn't say: it
 * shows what ran when the power failed as exited with 255, at the moment when it came back itself. So the journal keeps in which of
 * the machine's boots a run was launched, and what a later boot finds ended in such a way has ended with the machine. When that was
 * says nothing: power that comes and goes lets the engine date an end into a boot that no agent has seen, and clocks are set.
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
/** An agent that saw one of these as an end by itself has put that on record, so they are left of what no agent saw. */
const EXITS_WITH_MACHINE = [EXIT_UNKNOWN, ...EXITS_AT_SHUTDOWN];

/** `container`: the one of its present run; undefined: the engine has none. */
export function endedWithMachine(task: LocalTask, container: Container | undefined, boot: Boot): boolean {
  if (!isOfEarlierBoot(task, boot) || task.stop !== null) return false;
  if (container === undefined) return true;
  if (container.state !== 'exited' || container.ending !== undefined) return false;
  const { exitCode, outOfMemory } = container;
  return exitCode === null || (EXITS_WITH_MACHINE.includes(exitCode) && !outOfMemory);
}

/** The engine was asked to start it, and the machine has gone down since. */
export function isOfEarlierBoot(task: LocalTask, boot: Boot): boolean {
  return task.phase !== 'starting' && task.boot !== null && boot.id !== null && task.boot !== boot.id;
}

/** Whether a task that has ended with its machine was meant to run again, and hasn't done so too often. */
export function mayRestart(task: LocalTask): boolean {
  return isRestartWanted(task) && !isRestartedTooOften(task);
}

export function isRestartWanted(task: LocalTask): boolean {
  return task.origin?.group.restart.afterReboot === true;
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
