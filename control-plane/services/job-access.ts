/** The job that somebody names, as far as they may know of it, and the version of it that they mean. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { Job, JobVersion } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import type { Action } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { demandOf, jobResource } from './access.ts';
import type { ServiceContext } from './context.ts';

export function readableJob(ctx: ServiceContext, principal: Principal, key: JobKey): Job {
  return allowedJob(ctx, principal, key, 'job:read');
}

export function writableJob(ctx: ServiceContext, principal: Principal, key: JobKey): Job {
  return allowedJob(ctx, principal, key, 'job:write');
}

/** One whose tasks are replaced for as long as it stands, and that isn't to go. `what`: can't be done with others. */
export function writableService(ctx: ServiceContext, principal: Principal, key: JobKey, what: string): Job {
  const job = writableJob(ctx, principal, key);
  if (job.deleted) throw new Refusal('conflict', `job "${key.name}" is being removed; it can't be ${what} any more`);
  if (isLasting(job.spec.kind)) return job;
  throw new Refusal('conflict', `job "${key.name}" is a batch job; only services and system jobs can be ${what}`);
}

/** Throws `not-found`, and says which versions there are. */
export function readableVersion(ctx: ServiceContext, job: Job, number: number): JobVersion {
  const { snapshot } = ctx.mirror;
  const version = snapshot.version(job.uid, number);
  if (version !== undefined) return version;
  const oldest = Math.min(job.version, ...[...snapshot.versionsOfJob(job.uid)].map((each) => each.version));
  throw new Refusal(
    'not-found',
    `job "${job.spec.name}" has no version ${number} on record; it has those from ${oldest} to ${job.version}`,
  );
}

export function checkVersion(job: Job, ifVersion: number | null): void {
  if (ifVersion !== null && ifVersion !== job.version) {
    throw versionMismatch(job.spec, `is at version ${job.version}`, ifVersion);
  }
}

export function versionMismatch(key: JobKey, actual: string, wanted: number): Refusal {
  return new Refusal(
    'revision-mismatch',
    `job "${key.name}" in role "${key.role}" ${actual}, not at version ${wanted}; read it again and decide anew`,
    { faults: [{ path: 'header:If-Match', message: `the job ${actual}` }] },
  );
}

function allowedJob(ctx: ServiceContext, principal: Principal, key: JobKey, action: Action): Job {
  const absent = `there is no job "${key.name}" in role "${key.role}"`;
  demandOf(principal, { read: 'job:read', action, role: key.role, resource: jobResource(key.name), absent });
  const job = ctx.mirror.snapshot.jobByKey(key);
  if (job === undefined) throw new Refusal('not-found', absent);
  return job;
}
