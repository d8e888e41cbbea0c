/** A task's output for whoever may read it: when there is any to be had, when to wait for it, and when it has ended. */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { LogLine } from '../../shared/protocol/agent.ts';
import type { Principal } from '../auth/principal.ts';
import type { ServiceContext } from './context.ts';
import type { LogRelay } from './log-relay.ts';
import { allowedTask } from './tasks.ts';

export interface TaskLogRequest {
  readonly task: TaskId;
  /** Wait for a start, and go on until the task ends. */
  readonly follow: boolean;
  /** Only the last so many lines of what there is; null: all. */
  readonly tail: number | null;
  /** Only lines after this time, RFC 3339; null: from the start. */
  readonly since: string | null;
  /** To be aborted when the reader has had enough, whatever the reason. */
  readonly signal: AbortSignal;
}

/**
 * The output of a task that the principal may read. Resolves at once for one that has to be waited for, else when its agent
 * has answered. Without `follow`, a task that hasn't started has no output. Throws what {@link LogRelay.open} throws.
 */
export async function openTaskLogs(
  ctx: ServiceContext,
  relay: LogRelay,
  principal: Principal,
  request: TaskLogRequest,
): Promise<AsyncIterable<readonly LogLine[]>> {
  const task = allowedTask(ctx, principal, request.task, 'logs:read');
  switch (outputOf(task)) {
    case 'none':
      return nothing();
    case 'there':
      return openNow(relay, task, request);
    case 'later':
      return request.follow ? openOnceStarted(ctx, relay, request) : nothing();
  }
}

/** What became of a task whose output has been read. */
export interface TaskEnd {
  readonly state: Task['state'];
  readonly exitCode: number | null;
}

/**
 * How the task stands, given up to `waitMs` to end: an output's end and the report of the task's end come by different ways.
 * Null: it is no longer on record.
 */
export async function awaitTaskEnd(
  ctx: Pick<ServiceContext, 'mirror' | 'clock'>,
  id: TaskId,
  { waitMs, signal }: { waitMs: number; signal: AbortSignal },
): Promise<TaskEnd | null> {
  const over = new AbortController();
  const timer = ctx.clock.setTimer(waitMs, () => over.abort());
  await taskUntil(ctx, id, (task) => isTerminal(task.state), AbortSignal.any([signal, over.signal]));
  timer.cancel();
  const task = ctx.mirror.snapshot.tasks.get(id);
  return task === undefined ? null : { state: task.state, exitCode: task.exitCode };
}

/** Whether the task has put anything out, or will. */
export function outputOf(task: Task): 'none' | 'there' | 'later' {
  if (!isTerminal(task.state)) return task.state === 'running' ? 'there' : 'later';
  // A short task may end before anybody heard that it ran; its exit code shows that it did.
  const hasRun = task.exitCode !== null || task.history.some((transition) => transition.state === 'running');
  return hasRun && task.node !== null ? 'there' : 'none';
}

async function* openOnceStarted(
  ctx: ServiceContext,
  relay: LogRelay,
  request: TaskLogRequest,
): AsyncGenerator<readonly LogLine[], void> {
  const task = await taskUntil(ctx, request.task, (candidate) => outputOf(candidate) !== 'later', request.signal);
  if (task === null || outputOf(task) !== 'there') return;
  yield* await openNow(relay, task, request);
}

function openNow(relay: LogRelay, task: Task, request: TaskLogRequest): Promise<AsyncIterable<readonly LogLine[]>> {
  return relay.open({ ...request, node: task.node ?? '' });
}

async function* nothing(): AsyncGenerator<readonly LogLine[], void> {}

/** The task as soon as it is as wanted; null when it is gone or the signal was aborted. */
function taskUntil(
  ctx: Pick<ServiceContext, 'mirror'>,
  id: TaskId,
  isAsWanted: (task: Task) => boolean,
  signal: AbortSignal,
): Promise<Task | null> {
  return new Promise((resolve) => {
    const finish = (task: Task | null) => {
      unsubscribe();
      signal.removeEventListener('abort', giveUp);
      resolve(task);
    };
    const giveUp = () => finish(null);
    const look = () => {
      const task = ctx.mirror.snapshot.tasks.get(id);
      if (task === undefined || isAsWanted(task)) finish(task ?? null);
    };
    const unsubscribe = ctx.mirror.subscribe((changes, _revision, reset) => {
      if (reset || changes.some((change) => change.kind === 'tasks' && change.id === id)) look();
    });
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    else look();
  });
}
