/**
 * A job and its tasks, looked at again whenever something may have changed. Events only say "look again"; what is true is read
 * each time, so a lost event costs a moment and never the truth.
 */
import { allPages, type BerthClient } from '../../../shared/client/client.ts';
import { ApiError, UnreachableError } from '../../../shared/client/errors.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { ExplanationView, JobView, TaskView } from '../../../shared/protocol/views.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { durationText } from '../output/text.ts';
import { collect } from '../session.ts';

export interface JobSnapshot {
  readonly job: JobView;
  /** The tasks of this very job (not of an earlier one by its name), all attempts, in the order of group and index. */
  readonly tasks: readonly TaskView[];
  /** Why the pending tasks of a group have no place, by the group's name; filled in once they have waited a moment. */
  readonly explanations: ReadonlyMap<string, ExplanationView>;
}

export interface WatchContext {
  readonly client: BerthClient;
  readonly clock: Clock;
  readonly note: (text: string) => void;
}

/** Without an event, how long until the next look: something may have changed that no event of the job tells. */
const LOOK_MS = 2000;
const LOOK_WHILE_PENDING_MS = 500;
/** A task that is placed at once needs no explanation; one that waits this long does. */
const EXPLAIN_AFTER_MS = 300;
/** How long a lost control plane is waited for. */
const OUTAGE_MAX_MS = 300_000;
const OUTAGE_LOOK_MS = 1000;

/** Yields until the signal is aborted. Throws what reading the job throws, but for outages that pass in time. */
export async function* watchJob(
  context: WatchContext,
  key: JobKey,
  signal: AbortSignal,
): AsyncGenerator<JobSnapshot, void> {
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  const bell = createBell(clock, signal);
  const stop = new AbortController();
  const ringing = ringOnEvents(context.client, key, bell, AbortSignal.any([signal, stop.signal]));
  try {
    while (!signal.aborted) {
      bell.reset();
      const lookedMs = clock.monotonicMs();
      const snapshot = await readThroughOutages(context, key, signal, lookedMs - startedMs >= EXPLAIN_AFTER_MS);
      if (snapshot === null) return;
      yield snapshot;
      const waits = snapshot.tasks.length === 0 || snapshot.tasks.some((task) => task.state === 'pending');
      // A large job is not read again faster than reading it takes.
      await sleep(clock, Math.min(LOOK_MS, clock.monotonicMs() - lookedMs), signal);
      await bell.rung(waits ? LOOK_WHILE_PENDING_MS : LOOK_MS);
    }
  } finally {
    stop.abort();
    await ringing;
  }
}

async function readThroughOutages(
  context: WatchContext,
  key: JobKey,
  signal: AbortSignal,
  explain: boolean,
): Promise<JobSnapshot | null> {
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  let told = false;
  while (!signal.aborted) {
    try {
      return await readSnapshot(context.client, key, explain);
    } catch (error) {
      if (!isOutage(error) || clock.monotonicMs() - startedMs > OUTAGE_MAX_MS) throw error;
      if (!told) context.note(`${error.message}; waiting for it (at most ${durationText(OUTAGE_MAX_MS)})`);
      told = true;
    }
    await sleep(clock, OUTAGE_LOOK_MS, signal);
  }
  return null;
}

function isOutage(error: unknown): error is Error {
  return error instanceof UnreachableError || (error instanceof ApiError && error.code === 'unavailable');
}

async function readSnapshot(client: BerthClient, key: JobKey, explain: boolean): Promise<JobSnapshot> {
  const job = (await client.jobs.get(key)).body;
  const all = await collect(allPages((page) => client.tasks.list({ ...page, job: key.name, role: key.role })));
  const tasks = all.filter((task) => task.job?.uid === job.uid).sort((a, b) => byPlaceInJob(job, a, b));
  const explanations = new Map<string, ExplanationView>();
  if (explain) {
    for (const task of firstPendingOfGroups(tasks.filter((task) => isCurrent(job, task)))) {
      const { explanation } = await client.tasks.get(task.id);
      if (explanation !== null) explanations.set(task.group, explanation);
    }
  }
  return { job, tasks, explanations };
}

function byPlaceInJob(job: JobView, a: TaskView, b: TaskView): number {
  const groups = job.spec.groups.map((group) => group.name);
  return groups.indexOf(a.group) - groups.indexOf(b.group) || a.index - b.index || a.attempt - b.attempt;
}

function firstPendingOfGroups(tasks: readonly TaskView[]): TaskView[] {
  const first = new Map<string, TaskView>();
  for (const task of tasks) if (task.state === 'pending' && !first.has(task.group)) first.set(task.group, task);
  return [...first.values()];
}

/** Whether it is made from what the job wants now. Tasks of a service keep the number of the version in which that last changed. */
export function isCurrent(job: JobView, task: TaskView): boolean {
  return job.kind === 'batch' ? task.job?.version === job.version : !task.outdated;
}

/** The newest attempt of each instance of the job's current version, in order. */
export function latestTasks({ job, tasks }: JobSnapshot): TaskView[] {
  const latest = new Map<string, TaskView>();
  for (const task of tasks) {
    if (!isCurrent(job, task)) continue;
    latest.set(`${task.group}/${task.index}`, task);
  }
  return [...latest.values()];
}

export function hasEnded({ job }: JobSnapshot): boolean {
  return job.state === 'succeeded' || job.state === 'failed' || job.state === 'stopped';
}

/** Whether each instance of the job runs, or has ended. */
export function hasStarted(snapshot: JobSnapshot): boolean {
  if (hasEnded(snapshot)) return true;
  const wanted = snapshot.job.spec.groups.reduce((sum, group) => sum + group.count, 0);
  const latest = latestTasks(snapshot);
  return latest.length >= wanted && latest.every((task) => task.state === 'running' || isTerminal(task.state));
}

interface Bell {
  ring(): void;
  reset(): void;
  /** Resolves when it rings (or has rung since the last reset), after `waitMs`, or when the signal is aborted. */
  rung(waitMs: number): Promise<void>;
}

function createBell(clock: Clock, signal: AbortSignal): Bell {
  let once = new AbortController();
  return {
    ring: () => once.abort(),
    reset: () => {
      if (once.signal.aborted) once = new AbortController();
    },
    rung: (waitMs) => sleep(clock, waitMs, AbortSignal.any([once.signal, signal])),
  };
}

/** Whoever may not read events, or reads too slowly for them, still sees the job: only later, at the next look. */
async function ringOnEvents(client: BerthClient, key: JobKey, bell: Bell, signal: AbortSignal): Promise<void> {
  try {
    // From what this client has already seen on, so that nothing happens unseen between the first look and the first event.
    const after = client.position();
    for await (const _event of client.events({ after, job: key.name, role: key.role, signal })) bell.ring();
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof UnreachableError)) throw error;
  }
}
