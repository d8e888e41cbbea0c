/** How services and system jobs, their health and their deployments look to those who ask. Pure. */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import { type Deployment, isOver } from '../../shared/domain/deployment.ts';
import { type Job, type JobSpec, templateVersion } from '../../shared/domain/job.ts';
import { DEFAULT_UPDATE, isLasting } from '../../shared/domain/service.ts';
import { systemNodes } from '../../shared/domain/system-nodes.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { isReady } from '../../shared/domain/task-health.ts';
import type { DeploymentView, GroupHealth, HealthCounts } from '../../shared/protocol/deployments.ts';
import type { JobSummary, TaskCounts } from '../../shared/protocol/views.ts';
import { awaitsPromotion, isExchanged } from '../reconcile/service/job-facts.ts';
import { optionalTime, timeView } from './times.ts';

/** Whether the task is made from something else than what its job wants now. */
export function isOutdated(job: Pick<Job, 'templates' | 'version'>, task: Pick<Task, 'group' | 'jobVersion'>): boolean {
  return task.jobVersion !== templateVersion(job, task.group);
}

/** Groups of the job in the order of its spec, then those that it has no more and that still have live tasks. */
export function groupsHealth(cluster: ClusterView, job: Job): GroupHealth[] {
  if (!isLasting(job.spec.kind)) return [];
  const live = [...cluster.tasksOfJob(job.uid)].filter(({ state }) => !isTerminal(state));
  const byGroup = Map.groupBy(live, ({ group }) => group);
  const names = new Set([...job.spec.groups.map(({ name }) => name), ...[...byGroup.keys()].sort()]);
  return [...names].map((name) => {
    const tasks = byGroup.get(name) ?? [];
    return {
      name,
      wanted: wantedOf(cluster, job, name, tasks),
      live: tasks.length,
      healthy: tasks.filter((task) => works(cluster, task)).length,
      outdated: tasks.filter((task) => isOutdated(job, task)).length,
    };
  });
}

function wantedOf(cluster: ClusterView, job: Job, name: string, live: readonly Task[]): number {
  const { spec, stop, suspended } = job;
  const group = spec.groups.find((candidate) => candidate.name === name);
  if (group === undefined || stop !== null || suspended !== null) return 0;
  return spec.kind === 'system' ? systemNodes(cluster, spec, { group, live }).staying.length : group.count;
}

/** Whether it can be given something to do. What is to end counts no more, though it may still work. */
function works(cluster: ClusterView, task: Task): boolean {
  const template = templateOf(cluster, task);
  return template !== undefined && task.stop === null && isReady(task, template.group);
}

export function totalHealth(groups: readonly GroupHealth[]): HealthCounts {
  const sum = (count: (group: GroupHealth) => number) => groups.reduce((all, group) => all + count(group), 0);
  return {
    wanted: sum(({ wanted }) => wanted),
    healthy: sum(({ healthy }) => healthy),
    outdated: sum(({ outdated }) => outdated),
  };
}

/** The one that isn't over, and else the last one; null: it has had none, or they are forgotten. */
export function latestDeployment(cluster: ClusterView, job: Job): Deployment | null {
  let latest: Deployment | null = null;
  for (const deployment of cluster.deploymentsOfJob(job.uid)) {
    if (latest === null || isLater(deployment, latest)) latest = deployment;
  }
  return latest;
}

/** Their ids end with their numbers. */
function isLater(a: Deployment, b: Deployment): boolean {
  return deploymentNumber(a) > deploymentNumber(b);
}

export function deploymentNumber({ id, jobUid }: Pick<Deployment, 'id' | 'jobUid'>): number {
  return Number(id.slice(jobUid.length + 2));
}

export interface StateFacts {
  readonly counts: TaskCounts;
  readonly live: number;
  readonly health: HealthCounts;
  readonly latest: Deployment | null;
}

/** Of a lasting job that isn't to stop: where it stands, in a word and in a sentence. */
export function lastingState(
  job: Job,
  { counts, live, health, latest }: StateFacts,
): Pick<JobSummary, 'state' | 'message'> {
  if (job.suspended !== null) {
    const { by, reason } = job.suspended;
    const rest = live === 0 ? '' : `; ${live} of its tasks ${live === 1 ? 'has' : 'have'} not ended yet`;
    return { state: 'suspended', message: `suspended by ${by}: ${reason}${rest}` };
  }
  const state = health.wanted > 0 && live - counts.pending <= 0 ? 'pending' : 'running';
  const sentences = [healthSentence(health), ...(counts.pending > 0 ? [`${counts.pending} waiting for a place`] : [])];
  return { state, message: [sentences.join(', '), ...deploymentSentences(job, latest)].join('; ') };
}

function healthSentence({ wanted, healthy, outdated }: HealthCounts): string {
  const old = outdated === 0 ? '' : `, ${outdated} outdated`;
  if (wanted === 0) return `no tasks are wanted${old}`;
  return `${healthy} of ${wanted} healthy${old}`;
}

function deploymentSentences(job: Job, latest: Deployment | null): string[] {
  if (latest === null || latest.state === 'succeeded') return [];
  if (latest.state === 'running') return [`deployment ${latest.id} to version ${latest.toVersion}: ${latest.message}`];
  // What became of an earlier version's is in its history.
  return latest.toVersion === job.version ? [`deployment ${latest.id} ${latest.state}: ${latest.message}`] : [];
}

/** What a deployment is to come to: of one that isn't the job's last, as far as it is on record. */
function targetOf(cluster: ClusterView, { jobUid, toVersion }: Deployment, job: Job | undefined) {
  return job?.version === toVersion ? job : cluster.version(jobUid, toVersion);
}

export function deploymentState(
  cluster: ClusterView,
  deployment: Deployment,
  job: Job | undefined,
): DeploymentView['state'] {
  if (isOver(deployment)) return deployment.state;
  if (deployment.paused !== null) return 'paused';
  if (deployment.startedAtMs === null) return 'waiting';
  const waits = job !== undefined && awaitsPromotion(job, deployment) && job.spec.update?.autoPromote !== true;
  return waits && lackingHealth(cluster, deployment, job).length === 0 ? 'awaiting-promotion' : 'running';
}

/** Of what a deployment tries out, all that isn't healthy yet: `0 of 1 in group main`. None: it may be promoted. */
export function lackingHealth(cluster: ClusterView, deployment: Deployment, job: Job): string[] {
  const { strategy, canaries } = job.spec.update ?? DEFAULT_UPDATE;
  return groupViews(cluster, job).flatMap(({ group, wanted, healthy }) => {
    const needed = strategy === 'canary' ? Math.min(canaries, wanted) : wanted;
    return isExchanged(job, deployment, group) && healthy < needed ? [`${healthy} of ${needed} in group ${group}`] : [];
  });
}

export function deploymentMark(
  cluster: ClusterView,
  deployment: Deployment,
  job: Job,
): NonNullable<JobSummary['deployment']> {
  const { id, message, toVersion } = deployment;
  return { id, state: deploymentState(cluster, deployment, job), message, toVersion };
}

export function deploymentView(
  cluster: ClusterView,
  deployment: Deployment,
  job: Job | undefined = cluster.jobs.get(deployment.jobUid),
): DeploymentView {
  const { id, jobUid, jobName, role, cause, fromVersion, toVersion, message } = deployment;
  const target = targetOf(cluster, deployment, job);
  const state = deploymentState(cluster, deployment, job);
  return {
    id,
    job: { uid: jobUid, name: jobName, role },
    cause,
    strategy: (target?.spec.update ?? DEFAULT_UPDATE).strategy,
    fromVersion,
    toVersion,
    state,
    message,
    groups: isOver(deployment) || job === undefined ? [] : groupViews(cluster, job),
    createdAt: timeView(deployment.createdAtMs),
    createdBy: deployment.createdBy,
    startedAt: optionalTime(deployment.startedAtMs),
    progressAt: timeView(deployment.progressAtMs),
    deadline: state === 'running' ? timeView(deployment.progressAtMs + progressDeadlineMs(target?.spec)) : null,
    promotedAt: optionalTime(deployment.promotedAtMs),
    promotedBy: deployment.promotedBy,
    pausedBy: deployment.paused?.by ?? null,
    endedAt: optionalTime(deployment.endedAtMs),
    revertOf: deployment.revertOf,
    revertedBy: deployment.revertedBy,
  };
}

function progressDeadlineMs(spec: JobSpec | undefined): number {
  return (spec?.update ?? DEFAULT_UPDATE).progressDeadlineSeconds * 1000;
}

function groupViews(cluster: ClusterView, job: Job): DeploymentView['groups'] {
  const live = [...cluster.tasksOfJob(job.uid)].filter(({ state }) => !isTerminal(state));
  return groupsHealth(cluster, job).map(({ name, wanted }) => {
    const [old, present] = partition(
      live.filter(({ group }) => group === name),
      (task) => isOutdated(job, task),
    );
    const healthy = present.filter((task) => works(cluster, task)).length;
    return { group: name, wanted, new: present.length, healthy, old: old.length };
  });
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
