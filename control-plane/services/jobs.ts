/**
 * What can be done with jobs. A change writes what is wanted and nothing more: passes create and stop the tasks, rounds
 * place them.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import { type JobKey, roleWithin } from '../../shared/domain/ids.ts';
import type { Job, JobSpec, JobVersion, StopRequest } from '../../shared/domain/job.ts';
import { specChanges } from '../../shared/domain/spec-changes.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { JobSummary, JobVersionView, JobView, Page, PlanView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Action } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { slotKey } from '../reconcile/batch-tasks.ts';
import { planDryRun } from '../scheduler/explain.ts';
import type { Compare, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { demandOf, demandToRun, mayRead } from './access.ts';
import { demandContact } from './contact-limit.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { explanationView } from './explanation-view.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { slotWaitsWith } from './slot-waits.ts';
import { demandRoom } from './store-room.ts';
import { jobSummary, jobVersionView, jobView } from './views.ts';

/** 50 bits: uids stand in every task id, so they are short; a clash would be refused by the version's compare. */
const UID_LENGTH = 10;

/** Old versions stay readable; beyond this many changes of one job are refused. */
const VERSIONS_MAX = 100_000;

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
}

/** Makes `spec` what is wanted under its name: a new job, the next version of one, or nothing if it is so already. */
export async function updateJob(
  ctx: ServiceContext,
  call: Call,
  spec: JobSpec,
  { ifVersion, onlyCreate }: UpdateOptions,
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
    if (job.stop === null && canonicalJson(job.spec) === canonicalJson(spec)) return unchanged(ctx, job);
    return draftNextVersion(ctx, call, job, spec);
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
    return draftChange(ctx, { ...job, stop: stopRequest(ctx, call, reason), updatedAtMs: ctx.clock.now() }, 200);
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
    return draftChange(ctx, { ...job, stop, deleted: true, updatedAtMs: ctx.clock.now() }, 202);
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
  const job = readableJob(ctx, principal, key);
  const version = ctx.mirror.snapshot.version(job.uid, number);
  if (version === undefined) {
    throw new Refusal('not-found', `job "${key.name}" has no version ${number}; the newest is ${job.version}`);
  }
  return jobVersionView(version);
}

/** What would be placed where if the job were submitted now, and why not. Writes nothing. */
export function planJob(ctx: ServiceContext, principal: Principal, spec: JobSpec): PlanView {
  demandToRun(principal, spec);
  demandContact(ctx, spec);
  const { snapshot } = ctx.mirror;
  const job = mayRead(principal, 'job:read', spec.role) ? snapshot.jobByKey(spec) : undefined;
  const waiting = job === undefined ? [] : slotWaitsWith(snapshot, job, spec);
  const taken = new Set(waiting.map(slotKey));
  const isTaken = (slot: Pick<Task, 'group' | 'index'>) => taken.has(slotKey(slot));
  const dryRun = planDryRun({ cluster: snapshot, nowMs: ctx.clock.now(), spec, isTaken });
  return {
    placements: dryRun.placements.map(({ group, index, node, why }) => ({ group, index, node, why })),
    unplaced: dryRun.unplaced.map(({ group, count, explanation }) => ({
      group,
      count,
      explanation: explanationView(explanation),
    })),
    waiting,
    leftOut: dryRun.leftOut,
    changes: job === undefined ? null : specChanges(job.spec, spec),
  };
}

function draftNewJob(ctx: ServiceContext, call: Call, spec: JobSpec): Draft<JobView> {
  demandRoom(ctx);
  const nowMs = ctx.clock.now();
  const job: Job = {
    uid: randomId(ctx.random, UID_LENGTH),
    version: 1,
    spec,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    createdBy: call.principal.subject,
    stop: null,
    deleted: false,
    outcome: null,
    templates: {},
    goodVersion: null,
    deployments: 0,
    suspended: null,
  };
  const version = putVersion(job, call, nowMs);
  return {
    status: 201,
    body: jobView(ctx.mirror.snapshot, job),
    compares: [{ key: keys.job(spec), modRevision: 0 }, version.compare],
    writes: [putRecord('jobs', keys.job(spec), job), version.write],
  };
}

function draftNextVersion(ctx: ServiceContext, call: Call, job: Job, spec: JobSpec): Draft<JobView> {
  demandRoom(ctx);
  if (job.version >= VERSIONS_MAX) {
    throw new Refusal(
      'limit-exceeded',
      `job "${spec.name}" has had ${VERSIONS_MAX} versions; delete it and start anew`,
    );
  }
  const nowMs = ctx.clock.now();
  const next: Job = { ...job, spec, version: job.version + 1, updatedAtMs: nowMs, stop: null, outcome: null };
  const version = putVersion(next, call, nowMs);
  const change = draftChange(ctx, next, 200);
  return {
    ...change,
    compares: [...change.compares, version.compare],
    writes: [...change.writes, version.write],
  };
}

function putVersion(job: Job, call: Call, nowMs: number): { compare: Compare; write: Write } {
  const key = keys.version(job.uid, job.version);
  const version: JobVersion = {
    jobUid: job.uid,
    version: job.version,
    spec: job.spec,
    createdAtMs: nowMs,
    createdBy: call.principal.subject,
    change: job.version === 1 ? 'created' : 'updated',
    templates: job.templates,
  };
  return { compare: { key, modRevision: 0 }, write: putRecord('versions', key, version) };
}

function draftChange(ctx: ServiceContext, job: Job, status: 200 | 202): Draft<JobView> {
  const key = keys.job(job.spec);
  return {
    status,
    body: jobView(ctx.mirror.snapshot, job),
    compares: [{ key, modRevision: ctx.mirror.snapshot.modRevision(key) }],
    writes: [putRecord('jobs', key, job)],
  };
}

function unchanged(ctx: ServiceContext, job: Job): Draft<JobView> {
  return { status: 200, body: jobView(ctx.mirror.snapshot, job), compares: [], writes: [] };
}

function stopRequest(ctx: ServiceContext, call: Call, reason: string): StopRequest {
  return { atMs: ctx.clock.now(), by: call.principal.subject, reason };
}

function checkVersion(job: Job, ifVersion: number | null): void {
  if (ifVersion !== null && ifVersion !== job.version) {
    throw versionMismatch(job.spec, `is at version ${job.version}`, ifVersion);
  }
}

function versionMismatch(key: JobKey, actual: string, wanted: number): Refusal {
  return new Refusal(
    'revision-mismatch',
    `job "${key.name}" in role "${key.role}" ${actual}, not at version ${wanted}; read it again and decide anew`,
    { faults: [{ path: 'header:If-Match', message: `the job ${actual}` }] },
  );
}

function readableJob(ctx: ServiceContext, principal: Principal, key: JobKey): Job {
  return allowedJob(ctx, principal, key, 'job:read');
}

function writableJob(ctx: ServiceContext, principal: Principal, key: JobKey): Job {
  return allowedJob(ctx, principal, key, 'job:write');
}

function allowedJob(ctx: ServiceContext, principal: Principal, key: JobKey, action: Action): Job {
  const absent = `there is no job "${key.name}" in role "${key.role}"`;
  demandOf(principal, { read: 'job:read', action, role: key.role, absent });
  const job = ctx.mirror.snapshot.jobByKey(key);
  if (job === undefined) throw new Refusal('not-found', absent);
  return job;
}
