/**
 * What a lasting job needs of its past. The newest attempt of each slot says how often it has failed and which number comes next, so it
 * stays for as long as its template may be wanted again: an id must not be used twice.
 */
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { type Deployment, isOver, type TemplateVersions } from '../../../shared/domain/deployment.ts';
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../../shared/domain/task.ts';
import { byText } from '../../../shared/util/order.ts';
import { trialOf } from './job-facts.ts';

/** Deployments of a job that are over, at most so many of the newest. */
export const DEPLOYMENTS_KEPT_MAX = 20;

/** Ended tasks among these are the ones that are needed still. */
export function neededTasks(cluster: ClusterView, job: Job): Set<TaskId> {
  const tasks = [...cluster.tasksOfJob(job.uid)];
  const running = tasks.filter(({ state }) => !isTerminal(state)).map(templateKey);
  const wanted = new Set([...running, ...templatesOf(cluster, job).flatMap(templateKeys)]);
  const newest = new Map<string, Task>();
  for (const task of tasks) {
    const slot = `${templateKey(task)} ${task.index}`;
    if (wanted.has(templateKey(task)) && (newest.get(slot)?.attempt ?? -1) < task.attempt) newest.set(slot, task);
  }
  return new Set([...newest.values()].map(({ id }) => id));
}

/** Versions that are wanted, may be taken back to, or are what such tasks are made from. */
export function neededVersions(cluster: ClusterView, job: Job): Set<number> {
  const numbers = templatesOf(cluster, job).flatMap((templates) => Object.values(templates));
  const ends = underWay(cluster, job).flatMap(({ fromVersion, toVersion }) => [fromVersion ?? toVersion, toVersion]);
  return new Set([job.version, ...(job.goodVersion === null ? [] : [job.goodVersion]), ...ends, ...numbers]);
}

/** Those of the job that are too many, oldest first. */
export function surplusDeployments(cluster: ClusterView, job: Job): Deployment[] {
  const over = [...cluster.deploymentsOfJob(job.uid)].filter(isOver);
  if (over.length <= DEPLOYMENTS_KEPT_MAX) return [];
  const inOrder = over.sort((a, b) => a.createdAtMs - b.createdAtMs || a.toVersion - b.toVersion || byText(a.id, b.id));
  return inOrder.slice(0, -DEPLOYMENTS_KEPT_MAX);
}

function templatesOf(cluster: ClusterView, job: Job): TemplateVersions[] {
  const good = job.goodVersion === null ? undefined : cluster.version(job.uid, job.goodVersion);
  const from = underWay(cluster, job).map(({ fromTemplates }) => fromTemplates);
  return [job.templates, ...(good === undefined ? [] : [good.templates]), ...from];
}

/** Those that aren't over, or that tried out what the next one goes on trying out. */
function underWay(cluster: ClusterView, job: Job): Deployment[] {
  const trial = trialOf(cluster, job);
  return [...cluster.deploymentsOfJob(job.uid)].filter(
    (deployment) => !isOver(deployment) || deployment.id === trial?.id,
  );
}

function templateKey({ group, jobVersion }: Pick<Task, 'group' | 'jobVersion'>): string {
  return `${group} ${jobVersion}`;
}

function templateKeys(templates: TemplateVersions): string[] {
  return Object.entries(templates).map(([group, jobVersion]) => templateKey({ group, jobVersion }));
}
