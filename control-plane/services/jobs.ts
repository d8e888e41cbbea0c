/**
 * What can be done with jobs as a whole. A change writes what is wanted and nothing more: passes create and stop the tasks, rounds
 * place them. What is done to services that stand is in `job-changes.ts`.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import { type JobKey, roleWithin } from '../../shared/domain/ids.ts';
import type { Job, JobSpec, JobVersion, StopRequest } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { specChanges } from '../../shared/domain/spec-changes.ts';
import type { VersionChangesView } from '../../shared/protocol/job-changes.ts';
import type { JobSummary, JobVersionView, JobView, Page } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { demandToRun, mayRead } from './access.ts';
import { demandContact } from './contact-limit.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { checkVersion, readableJob, readableVersion, versionMismatch, writableJob } from './job-access.ts';
import {
  changeFacts,
  demandVersion,
  dependencyCompares,
  jobDraft,
  putVersion,
  serviceDraft,
  unchanged,
} from './job-drafts.ts';
import { secretCompares } from './job-secrets.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { changedService, createdService, endedService } from './service-changes.ts';
import { demandRoom } from './store-room.ts';
import { jobSummary, jobVersionView, jobView } from './views.ts';

/** 50 bits: uids stand in every task id, so they are short; a clash would be refused by the version's compare. */
const UID_LENGTH = 10;

/** Accepts a new job. Throws `already-exists` when its name is taken within its role. */
export async function submitJob(ctx: ServiceContext, call: Call, spec: JobSpec): Promise<Answer<JobView>> {
  demandToRun(call.principal, spec);
  demandContact(ctx, spec);
  return mutate(ctx, call, () => {
    const existing = ctx.mirror.snapshot.jobByKey(spec);
    if (existing !== undefined) throw new Refusal('already-exists', alreadyExists(existing));
    return draftNewJob(ctx, call, spec);
  });
}

function alreadyExists(job: Job): string {
  const remedy = job.deleted
    ? 'it is being removed: wait until that is done, or choose another name'
    : 'change it with PUT, delete it first, or choose another name';
  return `job "${job.spec.name}" already exists in role "${job.spec.role}"; ${remedy}`;
}

export interface UpdateOptions {
  /** The version that the caller has seen; anything else that stands is a `revision-mismatch`. */
  readonly ifVersion: number | null;
  /** Refuse if there is such a job already. */
  readonly onlyCreate: boolean;
  /** Whether a deployment that is under way is to make room; absent: it isn't. */
  readonly force?: boolean;
}

/** Makes `spec` what is wanted under its name: a new job, the next version of one, or nothing if it is so already. */
export async function updateJob(
  ctx: ServiceContext,
  call: Call,
  spec: JobSpec,
  { ifVersion, onlyCreate, force = false }: UpdateOptions,
): Promise<Answer<JobView>> {
  demandToRun(call.principal, spec);
  demandContact(ctx, spec);
  return mutate(ctx, call, () => {
    const job = ctx.mirror.snapshot.jobByKey(spec);
    if (job === undefined) {
      if (ifVersion !== null) throw versionMismatch(spec, 'does not exist', ifVersion);
      return draftNewJob(ctx, call, spec);
    }
    if (onlyCreate) throw new Refusal('revision-mismatch', alreadyExists(job));
    if (job.deleted) throw new Refusal('already-exists', alreadyExists(job));
    checkVersion(job, ifVersion);
    checkKind(job, spec);
    if (job.stop === null && canonicalJson(job.spec) === canonicalJson(spec)) return unchanged(ctx, job);
    return draftNextVersion(ctx, call, job, { spec, force });
  });
}

/** Asks for the end of all that runs of the job. Its record stays. */
export function stopJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { reason, ifVersion }: { reason: string; ifVersion: number | null },
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = writableJob(ctx, call.principal, key);
    checkVersion(job, ifVersion);
    if (job.stop !== null || job.outcome !== null) return unchanged(ctx, job);
    return draftEnd(ctx, call, job, { stop: stopRequest(ctx, call, reason), deleted: false });
  });
}

/** Stops the job and removes its record once nothing of it holds a place any more. */
export function deleteJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { ifVersion }: { ifVersion: number | null },
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = writableJob(ctx, call.principal, key);
    checkVersion(job, ifVersion);
    if (job.deleted) return { ...unchanged(ctx, job), status: 202 };
    const stop = job.stop ?? stopRequest(ctx, call, 'the job was deleted');
    return draftEnd(ctx, call, job, { stop, deleted: true });
  });
}

export function getJob(ctx: ServiceContext, principal: Principal, key: JobKey): JobView {
  return jobView(ctx.mirror.snapshot, readableJob(ctx, principal, key));
}

export interface JobFilter {
  /** This role and those below it. */
  readonly role: string | null;
  readonly states: readonly JobSummary['state'][] | null;
}

/** Jobs that the principal may read, by role and name. */
export function listJobs(
  ctx: ServiceContext,
  principal: Principal,
  { role, states }: JobFilter,
  page: PageRequest,
): Page<JobSummary> {
  const { snapshot } = ctx.mirror;
  const visible = [...snapshot.jobs.values()].filter(
    (job) =>
      (role === null || roleWithin(job.spec.role, role)) &&
      mayRead(principal, 'job:read', job.spec.role) &&
      (states === null || states.includes(jobSummary(snapshot, job).state)),
  );
  return pageThrough(visible, page, {
    keyOf: (job) => `${job.spec.role}:${job.spec.name}`,
    view: (job) => jobSummary(snapshot, job),
  });
}

/** The job's versions, newest last. */
export function listVersions(
  ctx: ServiceContext,
  principal: Principal,
  key: JobKey,
  page: PageRequest,
): Page<JobVersionView> {
  const job = readableJob(ctx, principal, key);
  const versions: JobVersion[] = [];
  for (let number = 1; number <= job.version; number++) {
    const version = ctx.mirror.snapshot.version(job.uid, number);
    if (version !== undefined) versions.push(version);
  }
  return pageThrough(versions, page, {
    keyOf: (version) => String(version.version).padStart(8, '0'),
    view: jobVersionView,
  });
}

export function getVersion(ctx: ServiceContext, principal: Principal, key: JobKey, number: number): JobVersionView {
  return jobVersionView(readableVersion(ctx, readableJob(ctx, principal, key), number));
}

/** What differs between two versions; `since` null: between it and the one before it that is on record. */
export function versionChanges(
  ctx: ServiceContext,
  principal: Principal,
  key: JobKey,
  { version, since }: { readonly version: number; readonly since: number | null },
): VersionChangesView {
  const job = readableJob(ctx, principal, key);
  const after = readableVersion(ctx, job, version);
  const before = readableVersion(ctx, job, since ?? version - 1);
  return { version, since: before.version, changes: specChanges(before.spec, after.spec) };
}

function draftNewJob(ctx: ServiceContext, call: Call, spec: JobSpec): Draft<JobView> {
  demandRoom(ctx);
  const nowMs = ctx.clock.now();
  const by = call.principal.subject;
  const secrets = secretCompares(ctx.mirror.snapshot, spec);
  const job: Job = {
    uid: randomId(ctx.random, UID_LENGTH),
    version: 1,
    spec,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    createdBy: by,
    stop: null,
    deleted: false,
    outcome: null,
    templates: {},
    goodVersion: null,
    deployments: 0,
    suspended: null,
  };
  if (isLasting(spec.kind)) {
    const compares = [...dependencyCompares(ctx, call.principal, spec), ...secrets];
    return serviceDraft(ctx, createdService(job, { nowMs, by }), { status: 201, compares });
  }
  const version = putVersion(batchVersion(job, call, nowMs));
  return {
    status: 201,
    body: jobView(ctx.mirror.snapshot, job),
    compares: [{ key: keys.job(spec), modRevision: 0 }, version.compare, ...secrets],
    writes: [putRecord('jobs', keys.job(spec), job), version.write],
  };
}

function draftNextVersion(
  ctx: ServiceContext,
  call: Call,
  job: Job,
  { spec, force }: { readonly spec: JobSpec; readonly force: boolean },
): Draft<JobView> {
  demandVersion(ctx, job);
  const secrets = secretCompares(ctx.mirror.snapshot, spec);
  if (isLasting(spec.kind)) {
    const compares = [...dependencyCompares(ctx, call.principal, spec, job.spec), ...secrets];
    const change = changedService(job, { spec, change: 'updated' }, changeFacts(ctx, call, job, force));
    return serviceDraft(ctx, change, { status: 200, compares });
  }
  const nowMs = ctx.clock.now();
  const next: Job = { ...job, spec, version: job.version + 1, updatedAtMs: nowMs, stop: null, outcome: null };
  const version = putVersion(batchVersion(next, call, nowMs));
  const change = jobDraft(ctx, next, 200);
  return {
    ...change,
    compares: [...change.compares, version.compare, ...secrets],
    writes: [...change.writes, version.write],
  };
}

function batchVersion({ uid, version, spec, templates }: Job, call: Call, nowMs: number): JobVersion {
  const change = version === 1 ? 'created' : 'updated';
  return { jobUid: uid, version, spec, createdAtMs: nowMs, createdBy: call.principal.subject, change, templates };
}

/** A deployment that is under way has nothing left to do. */
function draftEnd(
  ctx: ServiceContext,
  call: Call,
  job: Job,
  end: { readonly stop: StopRequest; readonly deleted: boolean },
): Draft<JobView> {
  const status = end.deleted ? 202 : 200;
  if (!isLasting(job.spec.kind)) return jobDraft(ctx, { ...job, ...end, updatedAtMs: ctx.clock.now() }, status);
  return serviceDraft(ctx, endedService(job, end, changeFacts(ctx, call, job, true)), { status });
}

/** What runs of the one kind has nothing that the other could go on with. */
function checkKind({ spec }: Job, wanted: JobSpec): void {
  if (spec.kind === wanted.kind) return;
  const message = `must be "${spec.kind}": a job keeps its kind; delete it first, or choose another name`;
  throw new Refusal('invalid-request', `the job is not valid: /kind ${message}`, {
    faults: [{ path: '/kind', message }],
  });
}

function stopRequest(ctx: ServiceContext, call: Call, reason: string): StopRequest {
  return { atMs: ctx.clock.now(), by: call.principal.subject, reason };
}
