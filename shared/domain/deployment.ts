/** A rollout of one version of a service, and where it stands. */
import type { JobUid, NodeId, RolePath } from './ids.ts';

export type DeploymentId = string;

/** Its number among those of its job. */
export function deploymentId(jobUid: JobUid, number: number): DeploymentId {
  return `${jobUid}-d${number}`;
}

/** What has been changed. `moved` and the like need no deployment: nothing is wanted that wasn't wanted before. */
export const DEPLOYMENT_CAUSES = ['created', 'updated', 'scaled', 'restarted', 'resumed', 'reverted'] as const;
export type DeploymentCause = (typeof DEPLOYMENT_CAUSES)[number];

/** `cancelled`: another change has taken its place, or somebody has ended it. The last three are final. */
export const DEPLOYMENT_STATES = ['running', 'succeeded', 'failed', 'cancelled'] as const;
export type DeploymentState = (typeof DEPLOYMENT_STATES)[number];

/** Numbers of the versions in which the groups' templates last changed, by group: its tasks carry them as their job's version. */
export type TemplateVersions = Readonly<Record<string, number>>;

export interface Deployment {
  readonly id: DeploymentId;
  readonly jobUid: JobUid;
  readonly role: RolePath;
  readonly jobName: string;
  readonly cause: DeploymentCause;
  /** What was wanted before; null: nothing. */
  readonly fromVersion: number | null;
  readonly toVersion: number;
  /** Of the version before: tasks of these are the old ones, as long as they aren't the present ones as well. */
  readonly fromTemplates: TemplateVersions;
  readonly state: DeploymentState;
  readonly createdAtMs: number;
  readonly createdBy: string;
  /** It had what it depends on, and began; null: it waits for that. */
  readonly startedAtMs: number | null;
  /** When a further task last came to count, or it was resumed or promoted: the progress deadline counts from there. */
  readonly progressAtMs: number;
  /** The most tasks that have counted at a time. */
  readonly healthyMost: number;
  /** When its canaries, or its whole new set, were promoted; null: not yet, or there is nothing to promote. */
  readonly promotedAtMs: number | null;
  readonly promotedBy: string | null;
  /** It makes and stops nothing until it is resumed. */
  readonly paused: { readonly atMs: number; readonly by: string } | null;
  readonly endedAtMs: number | null;
  /** Where it stands, or how it came out, in a sentence. */
  readonly message: string;
  /** The failed one that this one takes back. */
  readonly revertOf: DeploymentId | null;
  /** The one that takes this failed one back. */
  readonly revertedBy: DeploymentId | null;
}

/** An image that a node is to have before a task there is stopped for one that needs it. */
export interface ImageFetch {
  readonly node: NodeId;
  readonly image: string;
  /** Whose it is: with its end the record goes. */
  readonly deployment: DeploymentId;
  readonly state: 'wanted' | 'ready' | 'failed';
  readonly message: string;
  readonly atMs: number;
}

export function isOver({ state }: Pick<Deployment, 'state'>): boolean {
  return state !== 'running';
}
