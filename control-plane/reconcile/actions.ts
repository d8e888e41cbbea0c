/**
 * What passes decide. Each action is one transaction of its own and carries the values that it puts; whoever commits it
 * compares the revisions of everything that the action names, in the snapshot that it was decided from.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Deployment, DeploymentId, ImageFetch } from '../../shared/domain/deployment.ts';
import type { FrameworkId, JobUid, NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Job, JobOutcome, JobVersion, StopRequest } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { RestingJobs } from './service/resting-jobs.ts';

export interface PassInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  /**
   * A missing lease counts against its node only from this time on: before, heartbeats may have been lost because the store
   * or the whole control plane was away.
   */
  readonly leasesCountFromMs: number;
  /**
   * For how long this replica itself has seen each unreachable node marked as such, without a break and on its own steady clock. The
   * mark's time comes from another replica's wall clock, which may be wrong or be set; where a second copy must not start too
   * early, only this counts. A node that is missing has been seen for no time at all.
   */
  readonly unreachableForMs: ReadonlyMap<NodeId, number>;
  /**
   * For how long this replica itself has known of each end that nobody saw (`isUnseenEnd`), on its own steady clock. One that is missing
   * has been known for no time at all.
   */
  readonly unseenEndsForMs: ReadonlyMap<TaskId, number>;
  /** What is kept from pass to pass, so that not every service is looked at each time. Absent: nothing is. */
  readonly resting?: RestingJobs | undefined;
}

/** What passes have to know beside the state and the time. */
export type PassFacts = Omit<PassInput, 'cluster' | 'nowMs'>;

export interface PassPlan {
  readonly actions: readonly PassAction[];
  /** When to look again even if nothing changes; null: only when something does. */
  readonly wakeAtMs: number | null;
}

export type PassAction =
  /** Compares that none of the tasks exists and that the job and its last deployment are as they were seen. At most {@link ACTION_TASKS_MAX} tasks. */
  | { readonly type: 'create-tasks'; readonly job: JobUid; readonly tasks: readonly Task[] }
  /** A pending task ends as killed; one that holds a place gets a stop mark in its node's ledger. */
  | {
      readonly type: 'stop-task';
      readonly task: TaskId;
      readonly stop: StopRequest;
      /** The most between signal and kill. Absent: as its template says. */
      readonly graceMsMax?: number | undefined;
      /** What the stop relies on: these tasks, the job and its last deployment have to be as they were seen. Absent: nothing. */
      readonly relies?: { readonly job: JobUid; readonly tasks: readonly TaskId[] } | undefined;
    }
  | { readonly type: 'conclude-job'; readonly job: JobUid; readonly outcome: JobOutcome }
  /**
   * Where a deployment stands, or how it came out, with what its end makes of the job. One that is taken back puts the version that
   * does so, and its own deployment, which compare as absent. Compares the deployment and the job.
   */
  | {
      readonly type: 'put-deployment';
      readonly deployment: Deployment;
      readonly job?: Job;
      readonly revert?: { readonly version: JobVersion; readonly next: Deployment };
    }
  /** Compares that the node isn't asked for the image yet, and the deployment that it is for. */
  | { readonly type: 'put-image-fetch'; readonly fetch: ImageFetch }
  | { readonly type: 'remove-image-fetch'; readonly node: NodeId; readonly image: string }
  /** Nothing of the job holds a place any more: its record, versions and deployments go. Its tasks' records stay. */
  | { readonly type: 'remove-job'; readonly job: JobUid }
  | { readonly type: 'mark-unreachable'; readonly node: NodeId; readonly sinceMs: number }
  | { readonly type: 'mark-reachable'; readonly node: NodeId }
  /** Raises the node's epoch, ends the tasks as lost, and turns their entries into disowned ones with a stop mark. */
  | {
      readonly type: 'give-up-tasks';
      readonly node: NodeId;
      readonly tasks: readonly TaskId[];
      readonly atMs: number;
      readonly message: string;
    }
  /** Pending tasks end as lost. Compares the tasks and the node's epoch, which says that they run there. */
  | {
      readonly type: 'lose-tasks';
      readonly node: NodeId;
      readonly tasks: readonly TaskId[];
      readonly atMs: number;
      readonly message: string;
    }
  /**
   * Of a node that was declared gone: the tasks end as lost and their entries go; with the last live one goes the ledger. Compares
   * the tasks, the ledger and the node's epoch.
   */
  | {
      readonly type: 'clear-node';
      readonly node: NodeId;
      readonly tasks: readonly TaskId[];
      readonly atMs: number;
      readonly message: string;
    }
  /** What the node's agent keeps for roles, as far as it is not in use. Compares the ledger and the node's record. */
  | { readonly type: 'set-reservations'; readonly node: NodeId; readonly atMs: number }
  /** Notes that the node is out of service from now on. Compares its ledger, and puts it again. */
  | { readonly type: 'begin-maintenance'; readonly node: NodeId; readonly window: string; readonly atMs: number }
  | { readonly type: 'end-maintenance'; readonly node: NodeId; readonly window: string }
  /** Compares the framework, and the record of its stream. */
  | { readonly type: 'mark-disconnected'; readonly framework: FrameworkId; readonly sinceMs: number }
  | { readonly type: 'mark-connected'; readonly framework: FrameworkId }
  | { readonly type: 'tear-down'; readonly framework: FrameworkId; readonly stop: StopRequest }
  /** Compares every task, and the job of everything that has one on record. At most {@link FORGET_RECORDS_MAX} records. */
  | { readonly type: 'forget'; readonly records: readonly Forgettable[] };

/** A record that nothing needs any more. */
export type Forgettable =
  | { readonly kind: 'task'; readonly id: TaskId }
  | { readonly kind: 'version'; readonly job: JobUid; readonly version: number }
  | { readonly kind: 'job'; readonly job: JobUid }
  /** One that is over. */
  | { readonly kind: 'deployment'; readonly job: JobUid; readonly id: DeploymentId }
  /** Of a framework that was torn down. */
  | { readonly kind: 'operation'; readonly framework: FrameworkId; readonly name: string }
  /** One that was torn down. */
  | { readonly kind: 'framework'; readonly framework: FrameworkId }
  /** That a node was declared gone. */
  | { readonly kind: 'gone-node'; readonly node: NodeId };

/** Keeps each action within one transaction. */
export const ACTION_TASKS_MAX = 100;

/** The same, where each record may need two compares. */
export const FORGET_RECORDS_MAX = 60;
