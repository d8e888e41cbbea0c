/**
 * The whole state at one revision, as deciding code sees it. The store's snapshot implements it; tests build it from
 * literals. Reading is all that it offers.
 */
import { byText } from '../util/order.ts';
import type { Deployment, DeploymentId, ImageFetch } from './deployment.ts';
import type { FinishedOperation } from './finished-operation.ts';
import type { Framework } from './framework.ts';
import type { FrameworkId, JobKey, JobUid, NodeId, RolePath, TaskId } from './ids.ts';
import type { Job, JobVersion } from './job.ts';
import type { Ledger } from './ledger.ts';
import type { MaintenanceWindow } from './maintenance.ts';
import type { Epoch, Node } from './node.ts';
import type { Role } from './role.ts';
import type { Settings } from './settings.ts';
import { isTerminal, type Task, type TaskTemplate } from './task.ts';

/** Which nodes and tasks have changed: for whoever works something out of all of them, time and again. */
export interface TouchLog {
  /** To ask from next time. */
  readonly mark: number;
  /** Null: it isn't known any more, so any may be another one. */
  since(mark: number): TouchedSince | null;
}

export interface TouchedSince {
  /** Whose record, ledger, session, lease or maintenance window may be another one, or gone. */
  readonly nodes: ReadonlySet<NodeId>;
  readonly tasks: ReadonlySet<TaskId>;
}

export interface ClusterView {
  readonly revision: number;
  /** Always the same one for a state that moves along. Absent: nobody has watched. */
  readonly touched?: TouchLog;
  readonly nodes: ReadonlyMap<NodeId, Node>;
  readonly epochs: ReadonlyMap<NodeId, Epoch>;
  readonly ledgers: ReadonlyMap<NodeId, Ledger>;
  readonly jobs: ReadonlyMap<JobUid, Job>;
  readonly tasks: ReadonlyMap<TaskId, Task>;
  /** Those that are coming or running, and those that are over and haven't been taken off yet. */
  readonly maintenance: ReadonlyMap<NodeId, MaintenanceWindow>;
  readonly deployments: ReadonlyMap<DeploymentId, Deployment>;
  readonly frameworks: ReadonlyMap<FrameworkId, Framework>;
  /** Those that have a record; any other one has no limit, no guarantee and the weight 1. */
  readonly roles: ReadonlyMap<RolePath, Role>;
  readonly settings: Settings;
  readonly incarnation: number;
  /** The number of the round that was claimed last; 0 before the first. */
  readonly roundNumber: number;
  /** Whether the node's lease is held, by a session that counts. */
  isAlive(node: NodeId): boolean;
  /** Whether a replica holds a stream to the framework, in its present session. */
  isConnected(framework: FrameworkId): boolean;
  jobByKey(key: JobKey): Job | undefined;
  version(job: JobUid, version: number): JobVersion | undefined;
  /** Every version of the job that is on record. */
  versionsOfJob(job: JobUid): Iterable<JobVersion>;
  /** Every task of the job that is on record, of all versions. */
  tasksOfJob(job: JobUid): Iterable<Task>;
  /** Every deployment of the job that is on record. */
  deploymentsOfJob(job: JobUid): Iterable<Deployment>;
  /** What the node is to have, or has, of images before tasks there are stopped for it. */
  imageFetchesOn(node: NodeId): Iterable<ImageFetch>;
  /** Every task on record that the framework has launched. */
  tasksOfFramework(framework: FrameworkId): Iterable<Task>;
  /** Those that it has given a name, and hasn't acknowledged. */
  operationsOf(framework: FrameworkId): Iterable<FinishedOperation>;
  /** Every task in the state `pending`. */
  pendingTasks(): Iterable<Task>;
  /** Jobs that have no outcome yet or are to be deleted. */
  unsettledJobs(): Iterable<Job>;
}

/** What the task is made from; undefined where the version of its job is on record no more. */
export function templateOf(cluster: Pick<ClusterView, 'version'>, task: Task): TaskTemplate | undefined {
  if (task.template !== null) return task.template;
  const spec = cluster.version(task.jobUid, task.jobVersion)?.spec;
  const group = spec?.groups.find(({ name }) => name === task.group);
  if (spec === undefined || group === undefined) return undefined;
  const { priority, replaceAfterSeconds, stopAfterDisconnectSeconds } = spec;
  return { group, priority, replaceAfterSeconds, stopAfterDisconnectSeconds };
}

/** What holds a place there and hasn't ended, but for what has been given up. */
export function liveTasksOn(cluster: ClusterView, ledger: Ledger): Task[] {
  return Object.values(ledger.entries)
    .filter((entry) => !entry.disowned)
    .flatMap((entry) => cluster.tasks.get(entry.task) ?? [])
    .filter((task) => !isTerminal(task.state))
    .sort((a, b) => byText(a.id, b.id));
}
