/** One job through Berth, from the request until the client has seen all of its tasks run; then all of it taken away again. */
import type { JobView, Page, TaskView } from '../../shared/protocol/views.ts';
import type { EventFeed, SeenEvent } from './event-feed.ts';
import type { HttpClient } from './http.ts';
import { jobOf, type Workload } from './workload.ts';

/** Moments on this process's steady clock. */
export interface BerthStart {
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
  /** The last task's `running` was read from the event stream. */
  readonly runningAtMs: number;
  readonly job: JobView;
  /** Everything that was heard of the job meanwhile. */
  readonly events: readonly SeenEvent[];
}

export interface BerthSide {
  readonly api: HttpClient;
  readonly feed: EventFeed;
}

const FAILURES: readonly string[] = ['task.failed', 'task.error', 'task.lost', 'task.killed', 'job.failed'];

export async function startThroughBerth({ api, feed }: BerthSide, workload: Workload): Promise<BerthStart> {
  let running = 0;
  const seen = feed.collect(workload.name, ({ type, message }) => {
    if (FAILURES.includes(type)) throw new Error(`${workload.name}: ${type}: ${message}`);
    if (type === 'task.running') running += 1;
    return running === workload.count;
  });
  const body = jobOf(workload);
  const sentAtMs = performance.now();
  const answer = api.expect({ method: 'POST', path: '/v1/jobs', body }, 201).then((text) => {
    return { answeredAtMs: performance.now(), job: JSON.parse(text) as JobView };
  });
  const [events, answered] = await Promise.all([seen, answer]);
  return { sentAtMs, ...answered, runningAtMs: events.at(-1)?.seenAtMs ?? Number.NaN, events };
}

export async function tasksOf({ api }: BerthSide, job: string): Promise<readonly TaskView[]> {
  const path = `/v1/tasks?job=${job}&limit=1000`;
  return (JSON.parse(await api.expect({ method: 'GET', path }, 200)) as Page<TaskView>).items;
}

/** Resolves when nothing of the job is left on record. */
export async function removeFromBerth({ api, feed }: BerthSide, job: string): Promise<void> {
  const gone = feed.collect(job, ({ type }) => type === 'job.removed');
  await Promise.all([gone, api.expect({ method: 'DELETE', path: `/v1/jobs/${job}` }, 202)]);
}
