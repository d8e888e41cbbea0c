/** What can be done with deployments: look at them, promote, pause, resume and abort. The pass of lasting jobs carries them out. */
import { type Deployment, type DeploymentId, isOver } from '../../shared/domain/deployment.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { type JobKey, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import type { DeploymentView } from '../../shared/protocol/deployments.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import type { Action } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { awaitsPromotion } from '../reconcile/service/job-facts.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { demandOf, demandToRun, jobResource, mayRead } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { readableJob, readableVersion } from './job-access.ts';
import { wishOfVersion } from './job-changes.ts';
import { changeFacts, demandVersion, dependencyCompares, serviceDraft } from './job-drafts.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { changedService } from './service-changes.ts';
import { deploymentNumber, deploymentState, deploymentView, lackingHealth } from './service-views.ts';

export function getDeployment(ctx: ServiceContext, principal: Principal, id: DeploymentId): DeploymentView {
  return deploymentView(ctx.mirror.snapshot, allowedDeployment(ctx, principal, id, 'job:read'));
}

export interface DeploymentFilter {
  /** The name or the uid of a job. */
  readonly job: string | null;
  /** This role and those below it. */
  readonly role: RolePath | null;
  readonly states: readonly DeploymentView['state'][] | null;
}

/** Deployments that the principal may read, the newest first. */
export function listDeployments(
  ctx: ServiceContext,
  principal: Principal,
  { job, role, states }: DeploymentFilter,
  page: PageRequest,
): Page<DeploymentView> {
  const { snapshot } = ctx.mirror;
  const visible = [...snapshot.deployments.values()].filter(
    (deployment) =>
      (job === null || deployment.jobName === job || deployment.jobUid === job) &&
      (role === null || roleWithin(deployment.role, role)) &&
      mayRead(principal, 'job:read', deployment.role, jobResource(deployment.jobName)) &&
      (states === null || states.includes(deploymentState(snapshot, deployment, snapshot.jobs.get(deployment.jobUid)))),
  );
  return pageThrough(visible, page, { keyOf: byCreation, view: (deployment) => deploymentView(snapshot, deployment) });
}

/** Those of one job, the newest first. */
export function listDeploymentsOf(
  ctx: ServiceContext,
  principal: Principal,
  key: JobKey,
  page: PageRequest,
): Page<DeploymentView> {
  const { snapshot } = ctx.mirror;
  const job = readableJob(ctx, principal, key);
  const view = (deployment: Deployment) => deploymentView(snapshot, deployment, job);
  return pageThrough(snapshot.deploymentsOfJob(job.uid), page, { keyOf: byNumber, view });
}

/** The newest first, and those of one moment by job. Neither time nor number ever changes, so a page goes on where the last one ended. */
function byCreation(deployment: Deployment): string {
  const { role, jobName, jobUid, createdAtMs } = deployment;
  return `${descending(createdAtMs)}:${role}:${jobName}:${jobUid}:${byNumber(deployment)}`;
}

/** Ids of one job aren't in the order of their numbers, and clocks may have been set back between two. */
function byNumber(deployment: Deployment): string {
  return descending(deploymentNumber(deployment));
}

/** Texts of one length whose order is the reverse of the numbers'. */
function descending(number: number): string {
  return String(Number.MAX_SAFE_INTEGER - number).padStart(16, '0');
}

/** What has been tried out is to follow everywhere. `force`: even if not all of it is healthy. */
export function promoteDeployment(
  ctx: ServiceContext,
  call: Call,
  id: DeploymentId,
  { force }: { readonly force: boolean },
): Promise<Answer<DeploymentView>> {
  return mutate(ctx, call, () => {
    const { deployment, job } = underWay(ctx, call.principal, id);
    if (deployment.promotedAtMs !== null) return asItIs(ctx, deployment);
    if (!awaitsPromotion(job, deployment)) {
      throw new Refusal(
        'conflict',
        `deployment ${id} has nothing to promote: its strategy, or what it changes, needs none`,
      );
    }
    if (!force) demandAllHealthy(ctx, deployment, job);
    const nowMs = ctx.clock.now();
    const by = call.principal.subject;
    const promoted = { promotedAtMs: nowMs, promotedBy: by, progressAtMs: nowMs, message: `promoted by ${by}` };
    return draftDeployment(ctx, { ...deployment, ...promoted });
  });
}

function demandAllHealthy(ctx: ServiceContext, deployment: Deployment, job: Job): void {
  const lacking = lackingHealth(ctx.mirror.snapshot, deployment, job);
  if (lacking.length === 0) return;
  throw new Refusal(
    'conflict',
    `deployment ${deployment.id} can't be promoted yet: of its new tasks are healthy ${lacking.join(', ')}; wait for the others, or say force=true`,
  );
}

/** It makes and stops nothing until it is resumed. */
export function pauseDeployment(ctx: ServiceContext, call: Call, id: DeploymentId): Promise<Answer<DeploymentView>> {
  return mutate(ctx, call, () => {
    const { deployment } = underWay(ctx, call.principal, id);
    if (deployment.paused !== null) return asItIs(ctx, deployment);
    const paused = { atMs: ctx.clock.now(), by: call.principal.subject };
    return draftDeployment(ctx, { ...deployment, paused });
  });
}

/** Its time to come further counts anew. */
export function resumeDeployment(ctx: ServiceContext, call: Call, id: DeploymentId): Promise<Answer<DeploymentView>> {
  return mutate(ctx, call, () => {
    const { deployment } = underWay(ctx, call.principal, id);
    if (deployment.paused === null) return asItIs(ctx, deployment);
    return draftDeployment(ctx, { ...deployment, paused: null, progressAtMs: ctx.clock.now() });
  });
}

/**
 * Ends it halfway. With `revert`, what was wanted before is the next version, with a deployment of its own. The answer shows the one
 * that was ended, which names the other.
 */
export function abortDeployment(
  ctx: ServiceContext,
  call: Call,
  id: DeploymentId,
  { revert }: { readonly revert: boolean },
): Promise<Answer<DeploymentView>> {
  return mutate(ctx, call, () => {
    const { deployment, job } = underWay(ctx, call.principal, id);
    if (revert) return draftTakenBack(ctx, call, deployment, job);
    const nowMs = ctx.clock.now();
    const rest = awaitsPromotion(job, deployment)
      ? `version ${deployment.toVersion} was not promoted: its tasks stay beside the old ones, and the next change, or a restart, is tried out in its place`
      : 'what has been exchanged stays so';
    const message = `aborted by ${call.principal.subject}; ${rest}`;
    return draftDeployment(ctx, { ...deployment, state: 'cancelled', endedAtMs: nowMs, message });
  });
}

function draftTakenBack(ctx: ServiceContext, call: Call, deployment: Deployment, job: Job): Draft<DeploymentView> {
  const { id, fromVersion } = deployment;
  if (fromVersion === null) {
    const message = `deployment ${id} has nothing to go back to: nothing of job "${job.spec.name}" was wanted before; abort it with revert=false, or suspend, stop or delete the job`;
    throw new Refusal('conflict', message);
  }
  const target = readableVersion(ctx, job, fromVersion);
  demandToRun(call.principal, target.spec);
  demandVersion(ctx, job);
  const wish = { ...wishOfVersion(ctx, job, target), revertOf: deployment };
  const change = changedService(job, wish, changeFacts(ctx, call, job, true));
  const ended = present(
    change.deployments.find((each) => each.id === id),
    `deployment ${id}, which is cancelled`,
  );
  const message = `aborted by ${call.principal.subject}; version ${change.job.version} takes it back to what version ${fromVersion} wanted`;
  const told = { ...ended, message };
  const deployments = change.deployments.map((each) => (each.id === id ? told : each));
  const compares = dependencyCompares(ctx, call.principal, target.spec, job.spec);
  const draft = serviceDraft(ctx, { ...change, deployments }, { status: 200, compares });
  return { ...draft, body: deploymentView(ctx.mirror.snapshot, told, job) };
}

function draftDeployment(ctx: ServiceContext, deployment: Deployment): Draft<DeploymentView> {
  const key = keys.deployment(deployment.id);
  return {
    status: 200,
    body: deploymentView(ctx.mirror.snapshot, deployment),
    compares: [{ key, modRevision: ctx.mirror.snapshot.modRevision(key) }],
    writes: [putRecord('deployments', key, deployment)],
  };
}

function asItIs(ctx: ServiceContext, deployment: Deployment): Draft<DeploymentView> {
  return { status: 200, body: deploymentView(ctx.mirror.snapshot, deployment), compares: [], writes: [] };
}

/** Throws `conflict` where it is over. */
function underWay(ctx: ServiceContext, principal: Principal, id: DeploymentId): { deployment: Deployment; job: Job } {
  const deployment = allowedDeployment(ctx, principal, id, 'job:write');
  const job = ctx.mirror.snapshot.jobs.get(deployment.jobUid);
  if (!isOver(deployment) && job !== undefined) return { deployment, job };
  throw new Refusal(
    'conflict',
    `deployment ${id} is over: it ${wordOf(deployment)}; nothing can be done with it any more`,
  );
}

function wordOf({ state }: Deployment): string {
  return state === 'cancelled' ? 'was cancelled' : state;
}

function allowedDeployment(ctx: ServiceContext, principal: Principal, id: DeploymentId, action: Action): Deployment {
  const absent = `there is no deployment "${id}"`;
  const deployment = ctx.mirror.snapshot.deployments.get(id);
  if (deployment === undefined) throw new Refusal('not-found', absent);
  const resource = jobResource(deployment.jobName);
  demandOf(principal, { read: 'job:read', action, role: deployment.role, resource, absent });
  return deployment;
}
