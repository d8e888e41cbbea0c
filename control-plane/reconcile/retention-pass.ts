/**
 * What may be forgotten: records of what has ended, once they are old or too many. Everything else about a cluster is bounded
 * by what runs in it; this alone grows with every job that ever ran.
 *
 * - A job that has its outcome goes as a whole, with its versions and tasks.
 * - A task goes alone when no job needs it: its job has been removed, or is at a later version. The tasks of the version that
 *   a job without an outcome is at all stay, since its attempts are counted from them.
 * - A framework that was torn down goes once no task of it is on record, and with it what it hasn't acknowledged of its operations. Ended tasks of one that lives, and hasn't acknowledged
 *   all that became of them, go after all others.
 * - Of each job only the newest versions are kept, and of its deployments that are over.
 * - A service has no outcome: of its ended tasks those stay that it still needs, and the others go like those that no job needs.
 *
 * That a node was declared gone is kept for longer than its agent could come back with a token of its own.
 *
 * Nothing goes whose place in a ledger still stands, and nothing that ended only just now, however much there is: those who
 * wait for an end must have had the time to read it.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Deployment } from '../../shared/domain/deployment.ts';
import type { JobUid, TaskId } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { outstandingUpdate } from '../../shared/domain/task-update.ts';
import { byText } from '../../shared/util/order.ts';
import { FORGET_RECORDS_MAX, type Forgettable, type PassAction } from './actions.ts';
import { chunks } from './bounds.ts';
import { endedAtMs } from './new-task.ts';
import { holdsPlace } from './places.ts';
import { neededTasks, neededVersions, surplusDeployments } from './service/kept-records.ts';

export interface RetentionPolicy {
  /** What has ended is kept for so long at the most. */
  readonly keepMs: number;
  /** Of jobs that have ended, at most so many are kept, … */
  readonly endedJobsMax: number;
  /** … and of tasks that have ended, at most so many; of either the oldest go first. */
  readonly endedTasksMax: number;
  /** Of each job, so many of its newest versions are kept, and the tasks of those. */
  readonly versionsMax: number;
}

export const RETENTION_DEFAULTS: RetentionPolicy = {
  keepMs: 7 * 24 * 3_600_000,
  endedJobsMax: 5000,
  endedTasksMax: 10_000,
  versionsMax: 100,
};

/** Its agent's own token ends after two weeks; one that has another way in is told for so long what became of its node. */
export const GONE_KEEP_MS = 90 * 24 * 3_600_000;

/** Whatever else is asked for, what has ended stays for so long. */
export const KEEP_MIN_MS = 300_000;

/** Actions of one run. It takes a share of a second; what is left comes with the next. */
export const RETENTION_ACTIONS_MAX = 20;

export interface RetentionInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly policy: RetentionPolicy;
}

export interface RetentionPlan {
  readonly actions: readonly PassAction[];
  /** There is more to forget at once. */
  readonly more: boolean;
}

/** Something that has ended and goes as a whole. */
interface Ended {
  /** Of what it is part of, to have an order that doesn't depend on that of the records. */
  readonly id: string;
  readonly endedAtMs: number;
  readonly job: Job | null;
  readonly tasks: readonly Task[];
  /** It goes even if it is young and there is room. */
  readonly isSurplus: boolean;
  /** Its framework hasn't acknowledged yet what became of it. */
  readonly isOwed: boolean;
}

export function planRetention(input: RetentionInput): RetentionPlan {
  const { cluster, policy } = input;
  const ended = [...endedJobs(input), ...unneededTasks(input)].sort(
    (a, b) => Number(a.isOwed) - Number(b.isOwed) || a.endedAtMs - b.endedAtMs || byText(a.id, b.id),
  );
  const records = [
    ...outOfRetention(input, ended).flatMap((one) => recordsOf(cluster, one)),
    ...[...cluster.jobs.values()]
      .sort((a, b) => byText(a.uid, b.uid))
      .flatMap((job) => [...oldVersions(cluster, job, policy), ...oldDeployments(cluster, job)]),
    ...endedFrameworks(input),
    ...longGone(input),
  ];
  const unique = new Map(records.map((record) => [recordKey(record), record]));
  const actions = chunks([...unique.values()], FORGET_RECORDS_MAX).map(
    (some) => ({ type: 'forget', records: some }) as const,
  );
  return { actions: actions.slice(0, RETENTION_ACTIONS_MAX), more: actions.length > RETENTION_ACTIONS_MAX };
}

/** Those that are too old, and of the others the first for as long as there are too many. */
function outOfRetention({ cluster, nowMs, policy }: RetentionInput, ended: readonly Ended[]): Ended[] {
  let jobs = [...cluster.jobs.values()].filter(isSettled).length;
  let tasks = [...cluster.tasks.values()].filter(({ state }) => isTerminal(state)).length;
  return ended.filter((one) => {
    const ageMs = nowMs - one.endedAtMs;
    const isTooMuch =
      (one.job !== null && jobs > policy.endedJobsMax) || (one.tasks.length > 0 && tasks > policy.endedTasksMax);
    if (ageMs < KEEP_MIN_MS || !(ageMs >= policy.keepMs || one.isSurplus || isTooMuch)) return false;
    if (one.job !== null) jobs -= 1;
    tasks -= one.tasks.length;
    return true;
  });
}

function isSettled(job: Job): boolean {
  return job.outcome !== null && !job.deleted;
}

function endedJobs({ cluster }: RetentionInput): Ended[] {
  return [...cluster.jobs.values()].flatMap((job) => {
    if (job.outcome === null || job.deleted) return [];
    const tasks = [...cluster.tasksOfJob(job.uid)].sort(byId);
    if (!tasks.every((task) => isOver(cluster, task))) return [];
    return [{ id: job.uid, endedAtMs: job.outcome.atMs, job, tasks, isSurplus: false, isOwed: false }];
  });
}

/** Ended tasks whose job has gone or is at a later version. Those of jobs that have ended go with their jobs. */
function unneededTasks({ cluster, nowMs, policy }: RetentionInput): Ended[] {
  const needed = new Map<JobUid, ReadonlySet<TaskId>>();
  const isNeededBy = (job: Job, task: Task) => {
    if (isSettled(job) || !isLasting(job.spec.kind)) return isSettled(job) || task.jobVersion >= job.version;
    const ofJob = needed.get(job.uid) ?? neededTasks(cluster, job);
    needed.set(job.uid, ofJob);
    return ofJob.has(task.id);
  };
  return [...cluster.tasks.values()].flatMap((task) => {
    const job = cluster.jobs.get(task.jobUid);
    if (!isOver(cluster, task) || (job !== undefined && isNeededBy(job, task))) return [];
    const isSurplus = job !== undefined && task.jobVersion <= job.version - policy.versionsMax;
    return [
      {
        id: task.id,
        endedAtMs: endedAtMs(task, nowMs),
        job: null,
        tasks: [task],
        isSurplus,
        isOwed: isOwed(cluster, task),
      },
    ];
  });
}

function isOwed({ frameworks }: ClusterView, task: Task): boolean {
  const framework = task.framework === null ? undefined : frameworks.get(task.framework.id);
  return framework?.teardown === null && outstandingUpdate(task) !== null;
}

function isOver(cluster: ClusterView, task: Task): boolean {
  return isTerminal(task.state) && !holdsPlace(cluster, task);
}

/** The job's own record comes last: until it goes, what belongs to it can be found. */
function recordsOf(cluster: ClusterView, { job, tasks }: Ended): Forgettable[] {
  const ofTasks = tasks.map(({ id }): Forgettable => ({ kind: 'task', id }));
  if (job === null) return ofTasks;
  const deployments = [...cluster.deploymentsOfJob(job.uid)].sort(byId).map(deploymentRecord);
  const versions = versionsOf(cluster, job.uid).map(versionRecord(job.uid));
  return [...ofTasks, ...deployments, ...versions, { kind: 'job', job: job.uid }];
}

/**
 * Versions beyond those that are kept, but for those that a task on record was made from or the next one would be, and what there is
 * to go back to.
 */
function oldVersions(cluster: ClusterView, job: Job, { versionsMax }: RetentionPolicy): Forgettable[] {
  if (job.version <= versionsMax || job.deleted) return [];
  const used = [...cluster.tasksOfJob(job.uid)].map((task) => task.jobVersion);
  const inUse = new Set([...used, ...neededVersions(cluster, job)]);
  return versionsOf(cluster, job.uid)
    .filter((version) => version <= job.version - versionsMax && !inUse.has(version))
    .map(versionRecord(job.uid));
}

function oldDeployments(cluster: ClusterView, job: Job): Forgettable[] {
  return job.deleted ? [] : surplusDeployments(cluster, job).map(deploymentRecord);
}

/** Kept for a while even if it never launched anything: whoever subscribes with its id is told that it is gone. */
function endedFrameworks({ cluster, nowMs }: RetentionInput): Forgettable[] {
  return [...cluster.frameworks.values()]
    .filter(({ id, teardown }) => {
      const isOld = teardown !== null && nowMs - teardown.atMs >= KEEP_MIN_MS;
      return isOld && [...cluster.tasksOfFramework(id)].length === 0;
    })
    .flatMap(({ id }): Forgettable[] => {
      // Its own record comes last: until it goes, what belongs to it can be found.
      const operations = [...cluster.operationsOf(id)];
      if (operations.length === 0) return [{ kind: 'framework', framework: id }];
      return operations.map(({ name }) => ({ kind: 'operation', framework: id, name }));
    })
    .sort((a, b) => byText(recordKey(a), recordKey(b)));
}

/** Under a name that nobody has joined with since, and where nothing is left to be given back. */
function longGone({ cluster, nowMs }: RetentionInput): Forgettable[] {
  return [...cluster.epochs]
    .filter(([node, { gone }]) => gone !== undefined && !cluster.ledgers.has(node) && nowMs - gone.atMs >= GONE_KEEP_MS)
    .map(([node]): Forgettable => ({ kind: 'gone-node', node }))
    .sort((a, b) => byText(recordKey(a), recordKey(b)));
}

function versionsOf(cluster: ClusterView, job: JobUid): number[] {
  return [...cluster.versionsOfJob(job)].map(({ version }) => version).sort((a, b) => a - b);
}

function versionRecord(job: JobUid): (version: number) => Forgettable {
  return (version) => ({ kind: 'version', job, version });
}

function deploymentRecord({ id, jobUid }: Deployment): Forgettable {
  return { kind: 'deployment', job: jobUid, id };
}

function recordKey(record: Forgettable): string {
  switch (record.kind) {
    case 'task':
      return `task ${record.id}`;
    case 'version':
      return `version ${record.job} ${record.version}`;
    case 'job':
      return `job ${record.job}`;
    case 'deployment':
      return `deployment ${record.id}`;
    case 'framework':
      return `framework ${record.framework}`;
    case 'operation':
      return `operation ${record.framework} ${record.name}`;
    case 'gone-node':
      return `gone node ${record.node}`;
  }
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return byText(a.id, b.id);
}
