/**
 * What changes of services and system jobs write: the next version with its templates, the deployment that rolls it out, and the job's
 * record, all in one transaction. Pure. Nothing is made or stopped here: the pass of lasting jobs does that, one step at a time.
 *
 * One deployment of a job runs at a time. A further change while one does is refused, unless it is forced: then that one is
 * cancelled by the very transaction that makes the next.
 */
import {
  type Deployment,
  type DeploymentCause,
  deploymentId,
  isOver,
  type TemplateVersions,
} from '../../shared/domain/deployment.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { Job, JobSpec, JobVersion, StopRequest, VersionChange } from '../../shared/domain/job.ts';
import { nextTemplates } from '../../shared/domain/job-template.ts';

/** Who changes it, when, and what of it is under way. */
export interface ChangeFacts {
  readonly nowMs: number;
  readonly by: string;
  /** The job's deployment that isn't over; null: there is none. */
  readonly running: Deployment | null;
  /** The one that tries out what is wanted and that nobody has promoted, though it may be over; null: nothing is tried out. */
  readonly trial: Deployment | null;
  /** Whether one that runs is to make room. */
  readonly force: boolean;
}

export interface DraftedChange {
  readonly job: Job;
  /** Null: what is wanted of its tasks stays as it is. */
  readonly version: JobVersion | null;
  /** Those that are new or have changed. */
  readonly deployments: readonly Deployment[];
}

/** What is to be wanted from now on. */
export interface Wish {
  readonly spec: JobSpec;
  readonly change: Exclude<VersionChange, 'created'>;
  /** Of an earlier version: nobody has ever promoted it, and it was never rolled out with success, so it is no safe way back. */
  readonly isUntested?: boolean;
  /** Absent: those of now, but for the groups that are made from something else. */
  readonly templates?: TemplateVersions;
  /** The one that was ended halfway and is taken back. */
  readonly revertOf?: Deployment;
}

/** The job that nobody has heard of before, as version 1. */
export function createdService(job: Job, { nowMs, by }: Pick<ChangeFacts, 'nowMs' | 'by'>): DraftedChange {
  const made: Job = { ...job, templates: nextTemplates(null, job.spec, job.version), deployments: 1 };
  const deployment = newDeployment(made, { cause: 'created', from: null, nowMs, by });
  return { job: made, version: versionOf(made, 'created', { nowMs, by }), deployments: [deployment] };
}

/** Throws `conflict` while a deployment runs that isn't to make room. */
export function changedService(job: Job, wish: Wish, facts: ChangeFacts): DraftedChange {
  const { nowMs, by } = facts;
  const version = job.version + 1;
  const restart = wish.change === 'restarted';
  const templates = wish.templates ?? nextTemplates(job, wish.spec, version, { restart });
  const next: Job = { ...job, spec: wish.spec, version, templates, updatedAtMs: nowMs, stop: null, outcome: null };
  const reason = `version ${version} has taken its place`;
  const cancelled = cancellation(
    job,
    { ...facts, revertedBy: wish.revertOf === undefined ? null : nextId(job) },
    reason,
  );
  const written = versionOf(next, wish.change, { nowMs, by });
  // What is suspended is rolled out when it is resumed: until then a deployment could only run into its deadline.
  if (job.suspended !== null) return { job: next, version: written, deployments: cancelled };
  const counted: Job = { ...next, deployments: job.deployments + 1 };
  const isStopped = job.stop !== null || job.outcome !== null;
  const from = isStopped ? null : startOf(facts.trial ?? job);
  const cause = wish.isUntested === true ? 'updated' : wish.change;
  const deployment = newDeployment(counted, { cause, from, nowMs, by });
  const revertOf = wish.revertOf?.id ?? null;
  return { job: counted, version: written, deployments: [...cancelled, { ...deployment, revertOf }] };
}

/** What a rollout starts from. */
interface Start {
  readonly version: number | null;
  readonly templates: TemplateVersions;
}

/** Where something is still tried out beside the old tasks, the next one starts from what that one did: no change promotes it. */
function startOf(last: Job | Deployment): Start {
  if ('fromTemplates' in last) return { version: last.fromVersion, templates: last.fromTemplates };
  return { version: last.version, templates: last.templates };
}

/** Throws as {@link changedService} does. */
export function suspendedService(job: Job, reason: string, facts: ChangeFacts): DraftedChange {
  const { nowMs, by } = facts;
  const cancelled = cancellation(job, facts, `${by} has suspended the job`);
  const suspended = { atMs: nowMs, by, reason };
  return { job: { ...job, suspended, updatedAtMs: nowMs }, version: null, deployments: cancelled };
}

/**
 * What was wanted before is wanted again, by a deployment that begins with nothing; where something was tried out, that is tried out
 * beside what it stood beside.
 */
export function resumedService(
  job: Job,
  { nowMs, by, trial }: Pick<ChangeFacts, 'nowMs' | 'by' | 'trial'>,
): DraftedChange {
  const next: Job = { ...job, suspended: null, updatedAtMs: nowMs, deployments: job.deployments + 1 };
  const deployment = newDeployment(next, { cause: 'resumed', from: trial === null ? null : startOf(trial), nowMs, by });
  return { job: next, version: null, deployments: [deployment] };
}

/** Nothing of it is wanted any more, whatever was under way. */
export function endedService(
  job: Job,
  { stop, deleted }: { readonly stop: StopRequest; readonly deleted: boolean },
  facts: Omit<ChangeFacts, 'force'>,
): DraftedChange {
  const reason = deleted ? 'the job was deleted' : `${facts.by} has stopped the job`;
  const cancelled = cancellation(job, { ...facts, force: true }, reason);
  return { job: { ...job, stop, deleted, updatedAtMs: facts.nowMs }, version: null, deployments: cancelled };
}

/** Empty: none runs. */
function cancellation(
  job: Job,
  { running, force, nowMs, revertedBy = null }: ChangeFacts & { readonly revertedBy?: string | null },
  reason: string,
): Deployment[] {
  if (running === null) return [];
  if (!force) throw new Refusal('conflict', underWay(job, running));
  return [{ ...running, state: 'cancelled', endedAtMs: nowMs, message: `cancelled: ${reason}`, revertedBy }];
}

function underWay({ spec }: Job, { id, toVersion }: Deployment): string {
  return `deployment ${id} is rolling out version ${toVersion} of job "${spec.name}" in role "${spec.role}"; wait until it is over, or say force=true, which cancels it`;
}

function nextId(job: Job): string {
  return deploymentId(job.uid, job.deployments + 1);
}

interface Beginning {
  readonly cause: DeploymentCause;
  /** What was wanted before; null: nothing. */
  readonly from: Start | null;
  readonly nowMs: number;
  readonly by: string;
}

function newDeployment(job: Job, { cause, from, nowMs, by }: Beginning): Deployment {
  return {
    id: deploymentId(job.uid, job.deployments),
    jobUid: job.uid,
    role: job.spec.role,
    jobName: job.spec.name,
    cause,
    fromVersion: from?.version ?? null,
    toVersion: job.version,
    fromTemplates: from?.templates ?? {},
    state: 'running',
    createdAtMs: nowMs,
    createdBy: by,
    startedAtMs: null,
    progressAtMs: nowMs,
    healthyMost: 0,
    promotedAtMs: null,
    promotedBy: null,
    paused: null,
    endedAtMs: null,
    message: 'it has not begun yet',
    revertOf: null,
    revertedBy: null,
  };
}

function versionOf(
  { uid, version, spec, templates }: Job,
  change: VersionChange,
  { nowMs, by }: Pick<ChangeFacts, 'nowMs' | 'by'>,
): JobVersion {
  return { jobUid: uid, version, spec, createdAtMs: nowMs, createdBy: by, change, templates };
}

/** The deployment among those of a job that isn't over. */
export function runningOf(deployments: Iterable<Deployment>): Deployment | null {
  for (const deployment of deployments) if (!isOver(deployment)) return deployment;
  return null;
}
