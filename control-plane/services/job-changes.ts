/**
 * What is done to services and system jobs that stand: more or fewer tasks, all of them anew, none for a while, an earlier version
 * again, no longer waiting. Each writes what is wanted; the pass of lasting jobs carries it out.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { Job, JobSpec, JobVersion } from '../../shared/domain/job.ts';
import { changedTemplates, revertedTemplates } from '../../shared/domain/job-template.ts';
import { DEFAULT_UPDATE } from '../../shared/domain/service.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { COUNT_MAX, TASKS_PER_JOB_MAX } from '../../shared/protocol/job.ts';
import type { JobView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { trialOf } from '../reconcile/service/job-facts.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { demandToRun } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { checkVersion, readableVersion, writableService } from './job-access.ts';
import { changeFacts, demandVersion, dependencyCompares, serviceDraft, unchanged } from './job-drafts.ts';
import { secretCompares } from './job-secrets.ts';
import { type Draft, mutate } from './mutation.ts';
import { changedService, resumedService, suspendedService, type Wish } from './service-changes.ts';

export interface ChangeOptions {
  /** The version that the caller has seen; anything else that stands is a `revision-mismatch`. */
  readonly ifVersion: number | null;
  /** Whether a deployment that is under way is to make room. */
  readonly force: boolean;
}

export interface ScaleWish {
  /** Null: the only one. */
  readonly group: string | null;
  readonly to: { readonly count: number } | { readonly by: number };
}

export function scaleJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { group, to, ...options }: ScaleWish & ChangeOptions,
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = serviceToChange(ctx, call, key, { what: 'scaled', ...options });
    const spec = scaledSpec(job.spec, { group, to });
    if (canonicalJson(spec) === canonicalJson(job.spec)) return unchanged(ctx, job);
    return draftWish(ctx, call, job, { wish: { spec, change: 'scaled' }, ...options });
  });
}

/** Every task is exchanged for one that is made from the same, at the pace of a deployment. */
export function restartJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  options: ChangeOptions,
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = serviceToChange(ctx, call, key, { what: 'restarted', ...options });
    return draftWish(ctx, call, job, { wish: { spec: job.spec, change: 'restarted' }, ...options });
  });
}

/** Nothing of it is to run until it is resumed. */
export function suspendJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { reason, ...options }: ChangeOptions & { readonly reason: string },
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = serviceToChange(ctx, call, key, { what: 'suspended', ...options });
    if (job.suspended !== null) return unchanged(ctx, job);
    const change = suspendedService(job, reason, changeFacts(ctx, call, job, options.force));
    return serviceDraft(ctx, change, { status: 200 });
  });
}

export function resumeJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { ifVersion }: Pick<ChangeOptions, 'ifVersion'>,
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = serviceToChange(ctx, call, key, { what: 'resumed', ifVersion });
    if (job.suspended === null) return unchanged(ctx, job);
    demandToRun(call.principal, job.spec);
    return serviceDraft(ctx, resumedService(job, changeFacts(ctx, call, job, false)), { status: 200 });
  });
}

/** What an earlier version wanted is wanted again, by the next one. Its tasks that still run count as they are. */
export function revertJob(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { version, ...options }: ChangeOptions & { readonly version: number | null },
): Promise<Answer<JobView>> {
  return mutate(ctx, call, () => {
    const job = serviceToChange(ctx, call, key, { what: 'reverted', ...options });
    const target = version === null ? versionToRevertTo(ctx, job) : readableVersion(ctx, job, version);
    const wish = wishOfVersion(ctx, job, target);
    if (isAsItIs(job, wish)) return unchanged(ctx, job);
    return draftWish(ctx, call, job, { wish: { ...wish, isUntested: isUntested(ctx, job, target) }, ...options });
  });
}

/** Whether the wish is for just what runs, though another version may have wanted it first. */
function isAsItIs(job: Job, { spec, templates }: Wish): boolean {
  return canonicalJson([spec, templates]) === canonicalJson([job.spec, job.templates]);
}

/**
 * Whether some group of the version would be made from what nobody has promoted, and what was never rolled out with success, as far as
 * deployments on record tell. What its tasks are made from counts, not its number.
 */
function isUntested(ctx: ServiceContext, job: Job, { spec }: JobVersion): boolean {
  const { snapshot } = ctx.mirror;
  // It tries nothing out, so there is nothing that it would go round.
  if ((spec.update ?? DEFAULT_UPDATE).strategy === 'rolling') return false;
  const tested = [...snapshot.deploymentsOfJob(job.uid)].flatMap(({ state, promotedAtMs, toVersion }) =>
    state === 'succeeded' || promotedAtMs !== null ? [toVersion] : [],
  );
  const stood = trialOf(snapshot, job)?.fromVersion ?? null;
  const numbers = new Set([...tested, ...[job.goodVersion, stood].filter((version) => version !== null)]);
  const specs = [...numbers].flatMap((version) => snapshot.version(job.uid, version)?.spec ?? []);
  return spec.groups.some(({ name }) => specs.every((one) => changedTemplates(one, spec).includes(name)));
}

/** Tasks of the earlier version that run are present ones again. */
export function wishOfVersion(ctx: ServiceContext, job: Job, version: JobVersion): Wish {
  const live = [...ctx.mirror.snapshot.tasksOfJob(job.uid)].filter(({ state }) => !isTerminal(state));
  const templates = revertedTemplates(version, { number: job.version + 1, present: job, live });
  return { spec: version.spec, change: 'reverted', templates };
}

function versionToRevertTo(ctx: ServiceContext, job: Job): JobVersion {
  const { snapshot } = ctx.mirror;
  const good = job.goodVersion === null ? undefined : snapshot.version(job.uid, job.goodVersion);
  if (good !== undefined && good.version !== job.version) return good;
  const wanted = canonicalJson(job.spec);
  const before = [...snapshot.versionsOfJob(job.uid)]
    .filter(({ version, spec }) => version < job.version && canonicalJson(spec) !== wanted)
    .sort((a, b) => b.version - a.version);
  const [latest] = before;
  if (latest !== undefined) return latest;
  const message = `job "${job.spec.name}" has no earlier version on record that is another one, so there is nothing to revert to`;
  throw new Refusal('conflict', message);
}

/** Tasks in one transaction: each is compared and written. */
const RETRIED_MAX = 50;
/** Transactions, so that all tasks of the largest job fit. */
const RETRIES_MAX = Math.ceil(TASKS_PER_JOB_MAX / RETRIED_MAX) + 1;

/** Tasks that wait after others of their place have gone wrong wait no longer, and count as the first. */
export async function retryJob(ctx: ServiceContext, call: Call, key: JobKey): Promise<Answer<JobView>> {
  const part = { ...call, idempotency: null };
  for (let round = 1; round < RETRIES_MAX; round++) {
    const { body, revision } = await mutate(ctx, part, () => draftRetry(ctx, call, key));
    if (!body.more) break;
    // The next part is drafted from what this one has written.
    await ctx.mirror.waitFor(revision, { timeoutMs: RETRY_CATCH_UP_MS });
  }
  return mutate(ctx, call, () => {
    const job = writableService(ctx, call.principal, key, 'retried');
    return unchanged(ctx, job);
  });
}

const RETRY_CATCH_UP_MS = 2000;

function draftRetry(ctx: ServiceContext, call: Call, key: JobKey): Draft<{ readonly more: boolean }> {
  const { snapshot } = ctx.mirror;
  const job = writableService(ctx, call.principal, key, 'retried');
  const waiting = [...snapshot.tasksOfJob(job.uid)].filter((task) => waitsInVain(task, ctx.clock.now()));
  const part = waiting.slice(0, RETRIED_MAX);
  return {
    status: 200,
    body: { more: waiting.length > part.length },
    compares: part.map(({ id }) => ({ key: keys.task(id), modRevision: snapshot.modRevision(keys.task(id)) })),
    writes: part.map((task) => putRecord('tasks', keys.task(task.id), { ...task, notBeforeMs: 0, failures: 0 })),
  };
}

function waitsInVain({ state, stop, notBeforeMs, failures }: Task, nowMs: number): boolean {
  return state === 'pending' && stop === null && (notBeforeMs > nowMs || failures > 0);
}

function serviceToChange(
  ctx: ServiceContext,
  call: Call,
  key: JobKey,
  { what, ifVersion }: { readonly what: string; readonly ifVersion: number | null },
): Job {
  const job = writableService(ctx, call.principal, key, what);
  checkVersion(job, ifVersion);
  if (job.stop === null) return job;
  throw new Refusal(
    'conflict',
    `job "${key.name}" was stopped, so it can't be ${what}; apply it again, which starts it`,
  );
}

function draftWish(
  ctx: ServiceContext,
  call: Call,
  job: Job,
  { wish, force }: { readonly wish: Wish; readonly force: boolean },
): Draft<JobView> {
  demandToRun(call.principal, wish.spec);
  demandVersion(ctx, job);
  const secrets = wish.change === 'scaled' ? [] : secretCompares(ctx.mirror.snapshot, wish.spec);
  const compares = [...dependencyCompares(ctx, call.principal, wish.spec, job.spec), ...secrets];
  return serviceDraft(ctx, changedService(job, wish, changeFacts(ctx, call, job, force)), { status: 200, compares });
}

/** The spec with another count. Throws `invalid-request` where that can't be. */
export function scaledSpec(spec: JobSpec, { group: name, to }: ScaleWish): JobSpec {
  if (spec.kind === 'system') {
    throw new Refusal(
      'conflict',
      `job "${spec.name}" is a system job: each node that may have it has one task of each group`,
    );
  }
  const group = groupToScale(spec, name);
  const count = 'count' in to ? to.count : group.count + to.by;
  const path = 'count' in to ? '/count' : '/by';
  if (count < 0)
    throw unfit(path, `must be at least ${-group.count}: group "${group.name}" has ${group.count} tasks now`);
  const total = spec.groups.reduce((sum, each) => sum + (each === group ? count : each.count), 0);
  if (count > COUNT_MAX) throw unfit(path, `asks for ${count} tasks; a group may have ${COUNT_MAX}`);
  if (total > TASKS_PER_JOB_MAX)
    throw unfit(path, `asks for ${total} tasks in all; a job may have ${TASKS_PER_JOB_MAX}`);
  return { ...spec, groups: spec.groups.map((each) => (each === group ? { ...each, count } : each)) };
}

function groupToScale(spec: JobSpec, name: string | null) {
  const names = spec.groups.map((group) => `"${group.name}"`).join(', ');
  const [only, ...others] = spec.groups;
  if (name === null && only !== undefined && others.length === 0) return only;
  if (name === null) throw unfit('/group', `is required: the job has ${names}`);
  const group = spec.groups.find((each) => each.name === name);
  if (group === undefined) throw unfit('/group', `the job has no group "${name}"; it has ${names}`);
  return group;
}

function unfit(path: string, message: string): Refusal {
  return new Refusal('invalid-request', `the request is not valid: ${path} ${message}`, {
    faults: [{ path, message }],
  });
}
