/** What to tell a person about a job between one look and the next. Pure. */
import type { TaskView, TransitionView } from '../../../shared/protocol/views.ts';
import { type Paint, stateColour } from '../output/paint.ts';
import { explanationLines } from '../output/shapes.ts';
import { durationText, printable } from '../output/text.ts';
import { isCurrent, type JobSnapshot, latestTasks } from './watch-job.ts';

/** With more tasks than this, counts are told instead of each task's every step. */
const TOLD_ONE_BY_ONE_MAX = 8;

export function progressLines(before: JobSnapshot | null, after: JobSnapshot, paint: Paint): string[] {
  const wanted = after.job.spec.groups.reduce((sum, group) => sum + group.count, 0);
  const steps = wanted > TOLD_ONE_BY_ONE_MAX ? countLines(before, after) : stepLines(before, after, paint);
  return [...steps, ...slotWaitLines(before, after), ...waitingLines(before, after, paint)];
}

/** What there was of it before a moment: who begins to look only then is told of nothing earlier. */
export function earlierThan(snapshot: JobSnapshot, at: string): JobSnapshot {
  const momentMs = Date.parse(at);
  const isEarlier = (step: { readonly at: string }) => Date.parse(step.at) < momentMs;
  const tasks = snapshot.tasks.flatMap((task) => {
    // The first step is told by the clock of the control plane, as the moment is; those that a node tells may be off.
    if (!task.history.slice(0, 1).every(isEarlier)) return [];
    const run = task.restarts.filter(isEarlier).at(-1)?.run ?? 0;
    return [{ ...task, history: task.history.filter(isEarlier), run }];
  });
  return { job: { ...snapshot.job, waiting: [] }, tasks, explanations: new Map() };
}

/** What can't be made yet, since something of an earlier version (or attempt) must have ended first: told when it is news. */
function slotWaitLines(before: JobSnapshot | null, { job }: JobSnapshot): string[] {
  const told = new Set(before?.job.waiting.map(({ message }) => message));
  const news = job.waiting.filter(({ message }) => !told.has(message)).map(({ message }) => printable(message));
  const rest = news.length - TOLD_ONE_BY_ONE_MAX;
  return [...news.slice(0, TOLD_ONE_BY_ONE_MAX), ...(rest > 0 ? [`${rest} more wait like that`] : [])];
}

function stepLines(before: JobSnapshot | null, after: JobSnapshot, paint: Paint): string[] {
  const known = new Map(before?.tasks.map((task) => [task.id, task]) ?? []);
  // What becomes of an older version's tasks is not what was asked for.
  const wanted = after.tasks.filter((task) => isCurrent(after.job, task));
  return wanted.flatMap((task) => {
    const { history, run } = known.get(task.id) ?? { history: [], run: 0 };
    const lines = task.history.slice(history.length).flatMap((step, at) => {
      // That it was submitted is no news to who submitted it.
      if (step.reason === 'submitted') return [];
      return [stepLine(task, step, task.history[history.length + at - 1], paint)];
    });
    const restarts = task.restarts.filter((restart) => restart.run > run);
    return [...restarts.map(({ message }) => `${taskLabel(task)} ${printable(message)}`), ...lines];
  });
}

function stepLine(task: TaskView, step: TransitionView, previous: TransitionView | undefined, paint: Paint): string {
  const took =
    previous === undefined ? '' : paint('dim', ` (+${durationText(Date.parse(step.at) - Date.parse(previous.at))})`);
  return `${taskLabel(task)} ${paint(stateColour(step.state), step.state)}: ${printable(step.message)}${took}`;
}

/** `main[0]`, and from the second attempt on its number. */
export function taskLabel(task: TaskView): string {
  const attempt = task.attempt === 0 ? '' : ` (attempt ${task.attempt + 1})`;
  return `${task.group}[${task.index}]${attempt}`;
}

function countLines(before: JobSnapshot | null, after: JobSnapshot): string[] {
  const text = countsOf(after);
  if (text === '' || (before !== null && countsOf(before) === text)) return [];
  return [text];
}

function countsOf(snapshot: JobSnapshot): string {
  const counts = new Map<string, number>();
  for (const task of latestTasks(snapshot)) counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

function waitingLines(before: JobSnapshot | null, after: JobSnapshot, paint: Paint): string[] {
  const lines: string[] = [];
  for (const [group, explanation] of after.explanations) {
    const told = before?.explanations.get(group);
    const text = explanationLines(explanation);
    if (told !== undefined && explanationLines(told).join('\n') === text.join('\n')) continue;
    const [summary = '', ...reasons] = text;
    lines.push(`${group} ${paint('yellow', 'waits')}: ${summary}`, ...reasons);
  }
  return lines;
}
