/**
 * The whole state at one revision, as deciding code sees it. The store's snapshot implements it; tests build it from
 * literals. Reading is all that it offers.
 */
import type { JobKey, JobUid, NodeId, TaskId } from './ids.ts';
import type { Job, JobVersion } from './job.ts';
import type { Ledger } from './ledger.ts';
import type { Epoch, Node } from './node.ts';
import type { Task } from './task.ts';

export interface ClusterView {
  readonly revision: number;
  readonly nodes: ReadonlyMap<NodeId, Node>;
  readonly epochs: ReadonlyMap<NodeId, Epoch>;
  readonly ledgers: ReadonlyMap<NodeId, Ledger>;
  readonly jobs: ReadonlyMap<JobUid, Job>;
  readonly tasks: ReadonlyMap<TaskId, Task>;
  /** Whether the node's lease is held, by a session that counts. */
  isAlive(node: NodeId): boolean;
  jobByKey(key: JobKey): Job | undefined;
  version(job: JobUid, version: number): JobVersion | undefined;
  /** Every version of the job that is on record. */
  versionsOfJob(job: JobUid): Iterable<JobVersion>;
  /** Every task of the job that is on record, of all versions. */
  tasksOfJob(job: JobUid): Iterable<Task>;
  /** Every task in the state `pending`. */
  pendingTasks(): Iterable<Task>;
  /** Jobs that have no outcome yet or are to be deleted. */
  unsettledJobs(): Iterable<Job>;
}
