/** How a batch job came out, in one word and a sentence, once nothing of it runs or is owed any more. */
import type { Job, JobOutcome, StopRequest } from '../../shared/domain/job.ts';
import { type Task, TERMINAL_STATES } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import { endedAtMs } from './new-task.ts';

/** `last` holds the attempt that counts of every slot that has one. All have ended. */
export function outcomeOf(job: Job, last: readonly Task[], nowMs: number): JobOutcome {
  if (job.stop !== null) return { state: 'stopped', atMs: nowMs, message: describeStop(job, job.stop, last) };
  const bad = last.filter((task) => task.state !== 'finished');
  if (bad.length === 0) return { state: 'succeeded', atMs: nowMs, message: describeSuccess(last.length) };
  return { state: 'failed', atMs: nowMs, message: describeFailure(last.length, bad, nowMs) };
}

function describeStop(job: Job, stop: StopRequest, last: readonly Task[]): string {
  const slots = job.spec.groups.reduce((sum, group) => sum + group.count, 0);
  const finished = last.filter((task) => task.state === 'finished').length;
  return `stopped by ${stop.by}: ${stop.reason}; ${finished} of ${countTasks(slots)} had finished`;
}

function describeSuccess(tasks: number): string {
  return tasks === 1 ? 'its task finished' : `all ${tasks} tasks finished`;
}

/** How many ended how, and the first of them in full: later ones often only follow from it. */
function describeFailure(total: number, bad: readonly Task[], nowMs: number): string {
  const counts = TERMINAL_STATES.map((state) => ({ state, tasks: bad.filter((task) => task.state === state).length }))
    .filter(({ tasks }) => tasks > 0)
    .map(({ state, tasks }) => `${tasks} ${state}`);
  const [first] = [...bad].sort((a, b) => endedAtMs(a, nowMs) - endedAtMs(b, nowMs) || byText(a.id, b.id));
  const cause = first === undefined ? '' : `: ${describeEnd(first)}`;
  return `${bad.length} of ${countTasks(total)} did not finish (${counts.join(', ')})${bad.length > 1 ? '; first' : ''}${cause}`;
}

export function describeEnd(task: Task): string {
  const where = task.node === null ? '' : ` on node ${task.node}`;
  const code = task.exitCode === null ? '' : ` with exit code ${task.exitCode}`;
  const attempt = task.attempt === 0 ? '' : `, after ${task.attempt + 1} attempts`;
  const why = task.history.at(-1)?.message ?? '';
  return `task ${task.group}[${task.index}] ended as ${task.state}${where}${code}${attempt}${why === '' ? '' : ` (${why})`}`;
}

/** `1 task`, `2 tasks`. */
export function countTasks(count: number): string {
  return `${count} ${count === 1 ? 'task' : 'tasks'}`;
}
