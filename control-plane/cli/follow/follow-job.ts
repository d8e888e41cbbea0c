/** Stays with a job until it has started or ended: tells its progress, shows its output, and says what it came to. */
import type { JobKey, TaskId } from '../../../shared/domain/ids.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { EXIT } from '../exit.ts';
import type { Session } from '../session.ts';
import { progressLines } from './progress.ts';
import { createTaskOutput, type TaskOutput } from './task-output.ts';
import { type JobSnapshot, latestTasks, watchJob } from './watch-job.ts';

export interface FollowOptions {
  readonly until: (snapshot: JobSnapshot) => boolean;
  /** Show what the tasks print. */
  readonly output: boolean;
  /** Say nothing about progress. */
  readonly quiet?: boolean;
  /** Not all output could be shown: of these tasks, as far as that is known. */
  readonly onMissing?: (tasks: readonly TaskId[]) => void;
  readonly signal: AbortSignal;
}

/** The rest of the output of tasks that have ended comes within this time, or not at all. */
const OUTPUT_REST_MAX_MS = 15_000;

/** The first snapshot that satisfies `until`, after all output has been shown; null when the signal was aborted before. */
export async function followJob(session: Session, key: JobKey, options: FollowOptions): Promise<JobSnapshot | null> {
  const { client, printer, io } = session;
  const outputs = new AbortController();
  const outputSignal = AbortSignal.any([options.signal, outputs.signal]);
  let output: TaskOutput | null = null;
  let before: JobSnapshot | null = null;
  const context = { client, clock: io.clock, note: printer.note };
  try {
    for await (const snapshot of watchJob(context, key, options.signal)) {
      if (options.quiet !== true) {
        for (const line of progressLines(before, snapshot, printer.paintNote)) printer.note(line);
      }
      before = snapshot;
      if (options.output) {
        output ??= createTaskOutput(session, { follow: true, prefix: countWanted(snapshot) > 1 }, outputSignal);
        for (const task of snapshot.tasks) output.add(task);
      }
      if (!options.until(snapshot)) continue;
      const missing = output === null ? [] : await finishOutput(session, output, outputSignal);
      if (missing === null || missing.length > 0) options.onMissing?.(missing ?? []);
      return snapshot;
    }
    return null;
  } finally {
    outputs.abort();
  }
}

function countWanted({ job }: JobSnapshot): number {
  return job.spec.groups.reduce((sum, group) => sum + group.count, 0);
}

/** The tasks whose output has gaps; null: some of it didn't come in time. */
async function finishOutput(
  session: Session,
  output: TaskOutput,
  signal: AbortSignal,
): Promise<readonly TaskId[] | null> {
  const late = sleep(session.io.clock, OUTPUT_REST_MAX_MS, signal).then(() => null);
  const missing = await Promise.race([output.finish(), late]);
  if (signal.aborted) return [];
  if (missing === null) {
    session.printer.note('The rest of the output did not come in time; `berth job logs` may show it later.');
  }
  return missing;
}

/**
 * What `berth run` exits with: 0 when every task finished; else the exit code of the first, by group and index, that didn't;
 * 125 where it has none.
 */
export function exitCodeOf(snapshot: JobSnapshot): number {
  const tasks = latestTasks(snapshot);
  const failed = tasks.find((task) => task.state !== 'finished');
  if (failed !== undefined)
    return failed.exitCode === null || failed.exitCode === 0 ? EXIT.notTheContainer : failed.exitCode;
  return snapshot.job.state === 'succeeded' ? EXIT.ok : EXIT.notTheContainer;
}
