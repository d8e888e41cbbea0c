/**
 * What the checks have to remember of the past: facts only, each from the moment when it happened. Checks read it; it is
 * brought up to date after they have run, so that to them it is everything up to the revision before.
 */

import type { Change } from '../../../control-plane/store/snapshot.ts';
import type { Deployment, DeploymentId } from '../../../shared/domain/deployment.ts';
import type { FrameworkId, JobUid, NodeId, OfferId, TaskId } from '../../../shared/domain/ids.ts';
import type { JobVersion } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { SimulatedContainer } from '../simulated-engine.ts';
import type { Revision } from '../truth.ts';

export interface MadeVersion {
  readonly uid: JobUid;
  readonly version: number;
  /** At which it was made. */
  readonly revision: number;
}

export type StartedContainer = Pick<
  SimulatedContainer,
  'id' | 'task' | 'run' | 'life' | 'mayRestart' | 'restartsInPlace'
>;

export interface Past {
  /** The revision at which a job came to be, by its uid. Never forgotten. */
  readonly jobsMade: Map<JobUid, number>;
  /** What was made under an idempotency key: a version of a job. */
  readonly madeByIdempotencyKey: Map<string, MadeVersion>;
  /** Where a task was placed, and at which revision. */
  readonly placements: Map<TaskId, { readonly node: NodeId; readonly revision: number }>;
  /** The task that fills an attempt of a slot, by {@link slotOf}. */
  readonly slots: Map<string, TaskId>;
  /** At which revision the lease of a node that isn't alive has ended. */
  readonly gone: Map<NodeId, number>;
  /** The claim of the present round: its number, who made it, and at which revision. */
  round: { readonly number: number; readonly owner: string; readonly revision: number } | null;
  readonly epochs: Map<NodeId, number>;
  /** Nodes that couldn't be reached at some time. */
  readonly parted: Set<NodeId>;
  /** The container that was started last, by task. */
  readonly starts: Map<TaskId, { readonly node: NodeId; readonly container: StartedContainer; readonly atMs: number }>;
  /** The present session of a framework. */
  readonly sessions: Map<FrameworkId, number>;
  /** Offers that were ever made. Never forgotten. */
  readonly offers: Set<OfferId>;
  /** The last version of a job that was good. */
  readonly good: Map<JobUid, number>;
  /** Deployments that another one takes back. */
  readonly reverted: Set<DeploymentId>;
  /** What versions of jobs want, by {@link versionKey}. Never forgotten. */
  readonly versions: Map<string, JobVersion>;
  /** What was rolled out otherwise than for a trial, or was promoted, by {@link templateKey}. Never forgotten. */
  readonly released: Set<string>;
}

export function emptyPast(): Past {
  return {
    jobsMade: new Map(),
    madeByIdempotencyKey: new Map(),
    placements: new Map(),
    slots: new Map(),
    gone: new Map(),
    round: null,
    epochs: new Map(),
    parted: new Set(),
    starts: new Map(),
    sessions: new Map(),
    offers: new Set(),
    good: new Map(),
    reverted: new Set(),
    versions: new Map(),
    released: new Set(),
  };
}

/** The label by which a version of a job tells under which idempotency key it was asked for. */
export const KEY_LABEL = 'simulated-key';

/** Adds one revision to the past. */
export function remember(past: Past, revision: Revision): void {
  for (const change of revision.changes) rememberChange(past, change);
  // The version of a deployment may come with it, in any order.
  for (const change of revision.changes) if (change.kind === 'deployments') rememberReleased(past, change.after);
}

function rememberChange(past: Past, change: Change): void {
  switch (change.kind) {
    case 'jobs':
      if (change.after !== null && isNewJob(change)) past.jobsMade.set(change.after.uid, change.revision);
      if (change.after !== null && change.after.goodVersion !== null) {
        past.good.set(change.after.uid, change.after.goodVersion);
      }
      return;
    case 'deployments':
      if (change.after !== null && change.after.revertOf !== null) past.reverted.add(change.after.revertOf);
      return;
    case 'versions':
      rememberVersion(past, change);
      return;
    case 'tasks':
      if (change.before === null && change.after !== null) past.slots.set(slotOf(change.after), change.id);
      return;
    case 'alive':
      if (change.after === null) past.gone.set(change.id, change.revision);
      else past.gone.delete(change.id);
      return;
    case 'ledger':
      for (const task of entryChanges(change).added) {
        past.placements.set(task, { node: change.id, revision: change.revision });
      }
      for (const offer of Object.keys(change.after?.offers ?? {})) past.offers.add(offer);
      return;
    case 'frameworks':
      if (change.after !== null) past.sessions.set(change.id, change.after.session);
      return;
    case 'rounds':
      past.round = change.after === null ? null : { ...change.after, revision: change.revision };
      return;
    case 'epochs':
      if (change.after !== null) past.epochs.set(change.id, change.after.epoch);
      if (change.after !== null && change.after.unreachableSinceMs !== null) past.parted.add(change.id);
      return;
    default:
      return;
  }
}

function rememberReleased({ versions, released }: Past, deployment: Deployment | null): void {
  if (deployment === null) return;
  const { jobUid, toVersion, fromTemplates, promotedAtMs, state } = deployment;
  const version = versions.get(versionKey(jobUid, toVersion));
  if (version === undefined) return;
  const isAll = promotedAtMs !== null || state === 'succeeded' || !mayTry(deployment, version);
  for (const [group, jobVersion] of Object.entries(version.templates)) {
    if (isAll || !Object.hasOwn(fromTemplates, group)) released.add(templateKey({ jobUid, group, jobVersion }));
  }
}

/**
 * Whether it tries out what it exchanges. A restart makes all anew, unless it comes while something is tried out: then it starts from what
 * that stands beside.
 */
export function mayTry({ cause, fromVersion, toVersion }: Deployment, { spec }: Pick<JobVersion, 'spec'>): boolean {
  if ((spec.update?.strategy ?? 'rolling') === 'rolling' || fromVersion === null || cause === 'reverted') return false;
  return cause !== 'restarted' || fromVersion < toVersion - 1;
}

function versionKey(jobUid: JobUid, version: number): string {
  return `${jobUid} v${version}`;
}

/** What the task is made from. */
export function templateKey({ jobUid, group, jobVersion }: Pick<Task, 'jobUid' | 'group' | 'jobVersion'>): string {
  return `${jobUid} v${jobVersion} ${group}`;
}

function rememberVersion(past: Past, { after, revision }: Extract<Change, { kind: 'versions' }>): void {
  if (after !== null) past.versions.set(versionKey(after.jobUid, after.version), after);
  const key = after?.spec.labels[KEY_LABEL];
  if (after === null || key === undefined || !isAskedFor(after)) return;
  past.madeByIdempotencyKey.set(key, { uid: after.jobUid, version: after.version, revision });
}

/** Others than these are made from what an earlier version wanted, label and all. */
export function isAskedFor({ change }: JobVersion): boolean {
  return change === 'created' || change === 'updated';
}

/** Which attempt of what the task is. */
export function slotOf({ jobUid, jobVersion, group, index, attempt }: Task): string {
  return `${jobUid} v${jobVersion} ${group}/${index} attempt ${attempt}`;
}

export function isNewJob({ before, after }: Extract<Change, { kind: 'jobs' }>): boolean {
  return after !== null && after.uid !== before?.uid;
}

export function offerChanges({ before, after }: Extract<Change, { kind: 'ledger' }>): {
  readonly added: readonly OfferId[];
  readonly removed: readonly OfferId[];
} {
  const earlier = before?.offers ?? {};
  const later = after?.offers ?? {};
  return {
    added: Object.keys(later).filter((offer) => !Object.hasOwn(earlier, offer)),
    removed: Object.keys(earlier).filter((offer) => !Object.hasOwn(later, offer)),
  };
}

export function entryChanges({ before, after }: Extract<Change, { kind: 'ledger' }>): {
  readonly added: readonly TaskId[];
  readonly removed: readonly TaskId[];
} {
  const earlier = before?.entries ?? {};
  const later = after?.entries ?? {};
  return {
    added: Object.keys(later).filter((task) => !Object.hasOwn(earlier, task)),
    removed: Object.keys(earlier).filter((task) => !Object.hasOwn(later, task)),
  };
}
