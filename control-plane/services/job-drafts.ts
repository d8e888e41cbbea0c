/** What a change of a job writes, and under which compares: the last step before it is committed. */
import { isOver } from '../../shared/domain/deployment.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { Job, JobSpec, JobVersion } from '../../shared/domain/job.ts';
import type { JobView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import { trialOf } from '../reconcile/service/job-facts.ts';
import type { Compare, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { demand, jobResource, mayRead } from './access.ts';
import type { Call, ServiceContext } from './context.ts';
import { allDependencies, dependenciesOf } from './dependencies.ts';
import type { Draft } from './mutation.ts';
import { type ChangeFacts, type DraftedChange, runningOf } from './service-changes.ts';
import { demandRoom } from './store-room.ts';
import { jobView } from './views.ts';

/** Old versions stay readable; beyond this many changes of one job are refused. */
const VERSIONS_MAX = 100_000;

/** Throws where there is no room for one more version of the job. */
export function demandVersion(ctx: ServiceContext, job: Job): void {
  demandRoom(ctx);
  if (job.version < VERSIONS_MAX) return;
  const message = `job "${job.spec.name}" has had ${VERSIONS_MAX} versions; delete it and start anew`;
  throw new Refusal('limit-exceeded', message);
}

export function changeFacts(ctx: ServiceContext, call: Call, job: Job, force: boolean): ChangeFacts {
  const running = runningOf(ctx.mirror.snapshot.deploymentsOfJob(job.uid));
  const trial = trialOf(ctx.mirror.snapshot, job);
  return { nowMs: ctx.clock.now(), by: call.principal.subject, running, trial, force };
}

/** The draft of what was drafted of a service: job, version and deployments, all or nothing. */
export function serviceDraft(
  ctx: ServiceContext,
  { job, version, deployments }: DraftedChange,
  { status, compares = [] }: { readonly status: 200 | 201 | 202; readonly compares?: readonly Compare[] },
): Draft<JobView> {
  const { snapshot } = ctx.mirror;
  const key = keys.job(job.spec);
  const written = version === null ? null : putVersion(version);
  const rollouts = deployments.map((deployment) => ({ key: keys.deployment(deployment.id), deployment }));
  const latest = deployments.findLast((deployment) => !isOver(deployment)) ?? deployments.at(-1);
  return {
    status,
    body: jobView(snapshot, job, latest === undefined ? {} : { latest }),
    compares: [
      { key, modRevision: snapshot.modRevision(key) },
      ...(written === null ? [] : [written.compare]),
      ...rollouts.map((rollout) => ({ key: rollout.key, modRevision: snapshot.modRevision(rollout.key) })),
      ...compares,
    ],
    writes: [
      putRecord('jobs', key, job),
      ...(written === null ? [] : [written.write]),
      ...rollouts.map((rollout) => putRecord('deployments', rollout.key, rollout.deployment)),
    ],
  };
}

export function putVersion(version: JobVersion): { readonly compare: Compare; readonly write: Write } {
  const key = keys.version(version.jobUid, version.version);
  return { compare: { key, modRevision: 0 }, write: putRecord('versions', key, version) };
}

/** Draft of a change that the job's record alone says. */
export function jobDraft(ctx: ServiceContext, job: Job, status: 200 | 202): Draft<JobView> {
  const key = keys.job(job.spec);
  return {
    status,
    body: jobView(ctx.mirror.snapshot, job),
    compares: [{ key, modRevision: ctx.mirror.snapshot.modRevision(key) }],
    writes: [putRecord('jobs', key, job)],
  };
}

export function unchanged(ctx: ServiceContext, job: Job): Draft<JobView> {
  return { status: 200, body: jobView(ctx.mirror.snapshot, job), compares: [], writes: [] };
}

/**
 * What was decided from about the jobs that this one depends on. Throws where they lead back to it, or are in roles that the principal
 * may not read: whether those are up would show in what becomes of this one.
 */
export function dependencyCompares(
  ctx: ServiceContext,
  principal: Principal,
  spec: JobSpec,
  before: JobSpec | null = null,
): Compare[] {
  // What it depended on already closes no new circle, and whoever may change the job needn't see more than before.
  if (before !== null && canonicalJson(before.dependsOn ?? []) === canonicalJson(spec.dependsOn ?? [])) return [];
  for (const { role, name } of dependenciesOf(spec)) demand(principal, 'job:read', role, jobResource(name));
  const { snapshot } = ctx.mirror;
  const all = allDependencies(spec, {
    jobByKey: (key) => snapshot.jobByKey(key),
    nameOf: ({ role, name }) => {
      if (!mayRead(principal, 'job:read', role, jobResource(name))) return 'a job that you may not read';
      return role === spec.role ? name : `${role}:${name}`;
    },
  });
  return all.map((dependency) => {
    const key = keys.job(dependency);
    return { key, modRevision: snapshot.modRevision(key) };
  });
}
