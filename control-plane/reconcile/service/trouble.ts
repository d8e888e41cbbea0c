/** What keeps the tasks of the wanted version from counting, in a sentence: which check, or how one ended, and the newest of it. */
import { templateVersion } from '../../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../../shared/domain/task.ts';
import { describeEnd } from '../batch-outcome.ts';
import type { JobFacts } from './job-facts.ts';

/** Null: nothing is known to be wrong. */
export function troubleOf({ job, tasks }: Pick<JobFacts, 'job' | 'tasks'>): string | null {
  const present = tasks.filter((task) => task.jobVersion === templateVersion(job, task.group));
  const newest = present.sort((a, b) => lastChangeMs(b) - lastChangeMs(a));
  const wrong = newest.find((task) => failedCheck(task) !== undefined || hasGoneWrong(task));
  if (wrong !== undefined) return hasGoneWrong(wrong) ? describeEnd(wrong) : describeCheck(wrong);
  const unplaced = newest.find(({ state }) => state === 'pending');
  if (unplaced !== undefined) {
    return `task ${nameOf(unplaced)} is not placed ("berth job why ${job.spec.name}" says why)`;
  }
  const coming = newest.find(({ state }) => !isTerminal(state) && state !== 'running');
  if (coming !== undefined) return `task ${nameOf(coming)} is still ${coming.state}${onNode(coming)}`;
  const undecided = newest.find((task) => checksOf(task).some(({ passing }) => passing === null));
  if (undecided !== undefined) return describeUndecided(undecided);
  const silent = newest.find(({ state, health }) => state === 'running' && health?.healthy !== true);
  return silent === undefined ? null : `task ${nameOf(silent)}${onNode(silent)} has passed no check yet`;
}

function hasGoneWrong({ state, stop }: Task): boolean {
  return isTerminal(state) && stop === null;
}

function failedCheck(task: Task) {
  return checksOf(task).find(({ passing }) => passing === false);
}

/** What the checks of a task that runs have come to in this run. */
function checksOf({ state, run, health }: Task) {
  return state === 'running' && health?.run === run ? health.checks : [];
}

/** One that has failed too few times, or within its grace, has said something already. */
function describeUndecided(task: Task): string {
  const check = checksOf(task).find(({ passing }) => passing === null);
  const said = check === undefined || check.message === '' ? '' : `: ${check.message}`;
  return `check "${check?.name}" of task ${nameOf(task)}${onNode(task)} has not passed yet${said}`;
}

function describeCheck(task: Task): string {
  const check = failedCheck(task);
  return `check "${check?.name}" of task ${nameOf(task)}${onNode(task)} fails: ${check?.message}`;
}

function nameOf({ group, index }: Task): string {
  return `${group}[${index}]`;
}

function onNode({ node }: Task): string {
  return node === null ? '' : ` on node ${node}`;
}

function lastChangeMs({ history, health, state }: Task): number {
  const changed = history.at(-1)?.atMs ?? 0;
  return isTerminal(state) ? changed : Math.max(changed, health?.sinceMs ?? 0);
}
