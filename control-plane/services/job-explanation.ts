/** "Why isn't it running?": what keeps a job from being as it is wanted, for places and for all else. Nothing is written. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { templateOf } from '../../shared/domain/cluster.ts';
import type { Deployment } from '../../shared/domain/deployment.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { JobKey, RolePath, TaskId } from '../../shared/domain/ids.ts';
import { type Job, type JobSpec, templateVersion } from '../../shared/domain/job.ts';
import { DEFAULT_UPDATE, isLasting } from '../../shared/domain/service.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { isReady, isUnhealthy } from '../../shared/domain/task-health.ts';
import type { HoldCode, JobExplanationView, WaitingTasksView } from '../../shared/protocol/explanation.ts';
import { byText } from '../../shared/util/order.ts';
import type { Principal } from '../auth/principal.ts';
import { missingDependencies } from '../reconcile/service/dependencies.ts';
import { awaitsPromotion } from '../reconcile/service/job-facts.ts';
import { explainJob, type WaitingTasks } from '../scheduler/explain-job.ts';
import type { Hold } from '../scheduler/wanted.ts';
import { demandOf, mayRead } from './access.ts';
import type { ServiceContext } from './context.ts';
import { isUnreachable } from './framework-views.ts';
import { deploymentState, lackingHealth, latestDeployment } from './service-views.ts';
import { slotWaits } from './slot-waits.ts';
import { optionalTime, timeView } from './views.ts';

type HoldView = JobExplanationView['holds'][number];

/** Tasks named of a group that waits, and of those that don't work. */
const TASKS_NAMED_MAX = 10;

/** `task`: only this one of its tasks; null: all of them. */
export function explainJobNow(
  ctx: ServiceContext,
  principal: Principal,
  key: JobKey,
  { task: id }: { readonly task: TaskId | null },
): JobExplanationView {
  const absent = `there is no job "${key.name}" in role "${key.role}"`;
  demandOf(principal, { read: 'job:read', action: 'job:read', role: key.role, absent });
  const { snapshot } = ctx.mirror;
  const job = snapshot.jobByKey(key);
  if (job === undefined) throw new Refusal('not-found', absent);
  const task = id === null ? null : taskOf(snapshot, job, id);
  const mayReadRole = (role: RolePath) => mayRead(principal, 'job:read', role);
  return explanationOfJob(snapshot, job, { nowMs: ctx.clock.now(), task, mayReadRole });
}

function taskOf(cluster: ClusterView, job: Job, id: TaskId): Task {
  const task = cluster.tasks.get(id);
  if (task?.jobUid === job.uid) return task;
  throw new Refusal(
    'not-found',
    `job "${job.spec.name}" has no task "${id}"; "berth job show" lists those that it has`,
  );
}

interface Question {
  readonly nowMs: number;
  /** Null: all of the job's tasks. */
  readonly task: Task | null;
  /** Whether whoever asks may know of the jobs of the role. */
  readonly mayReadRole: (role: RolePath) => boolean;
}

/** Pure. */
export function explanationOfJob(
  cluster: ClusterView,
  job: Job,
  { nowMs, task, mayReadRole }: Question,
): JobExplanationView {
  const { waiting, more, held } = explainJob({ cluster, nowMs, job, task });
  const all = [...cluster.tasksOfJob(job.uid)].sort((a, b) => byText(a.id, b.id));
  const tasks = task === null ? all : [task];
  const holds = [
    ...jobHolds(job),
    ...deploymentHolds(cluster, job, { nowMs, mayReadRole }),
    ...slotHolds(cluster, job),
    ...volumeHolds(waiting),
    ...[...held].flatMap(([hold, count]) => taskHold(hold, count)),
    ...healthHolds(cluster, job, tasks),
    ...unreachableHolds(cluster, job, tasks),
    ...endHolds(job, task === null ? all : all.filter((one) => isSameSlot(one, task))),
  ];
  const groups = waiting.map(waitingView);
  const { uid, version, spec } = job;
  return {
    job: { uid, name: spec.name, role: spec.role, version },
    summary: summaryOf(job, tasks, { groups, holds, isAll: task === null }),
    holds,
    groups,
    more,
  };
}

function isSameSlot(a: Task, b: Task): boolean {
  return a.group === b.group && a.index === b.index;
}

function jobHolds({ stop, deleted, outcome, suspended }: Job): HoldView[] {
  if (outcome !== null) return [hold('job-ended', `The job has ended: ${outcome.state}.`)];
  if (deleted || stop !== null) {
    return [
      hold('job-stopped', `The job is to stop, as ${stop?.by ?? 'somebody'} asked (${stop?.reason ?? 'deleted'}).`),
    ];
  }
  if (suspended === null) return [];
  const message = `The job has been suspended by ${suspended.by} since ${timeView(suspended.atMs)} (${suspended.reason}); "berth job resume" ends that.`;
  return [hold('job-suspended', message)];
}

/** Of the last one alone: those before it are over. */
function deploymentHolds(cluster: ClusterView, job: Job, asked: Omit<Question, 'task'>): HoldView[] {
  const last = latestDeployment(cluster, job);
  if (last === null) return [];
  const { id, message, paused } = last;
  switch (deploymentState(cluster, last, job)) {
    case 'failed':
      return [hold('deployment-failed', `Deployment ${id} has failed: ${message}`)];
    case 'cancelled':
      return haltedHolds(job, last);
    case 'paused': {
      const since = timeView(paused?.atMs ?? last.createdAtMs);
      return [
        hold('deployment-paused', `Deployment ${id} has been paused by ${paused?.by ?? 'somebody'} since ${since}.`),
      ];
    }
    case 'waiting':
      return [
        hold('deployment-waiting', `Deployment ${id} has not begun: ${message}`),
        ...dependencyHolds(cluster, job, asked),
      ];
    case 'awaiting-promotion': {
      const what = `Deployment ${id} (${job.spec.update?.strategy ?? 'rolling'}) goes on once it is promoted: ${message}`;
      return [hold('awaiting-promotion', `${what}; "berth deployment promote ${job.spec.name}" does that.`)];
    }
    case 'running':
      return trialHolds(cluster, job, last);
    default:
      return [];
  }
}

function trialHolds(cluster: ClusterView, job: Job, deployment: Deployment): HoldView[] {
  const lacking = awaitsPromotion(job, deployment) ? lackingHealth(cluster, deployment, job) : [];
  if (lacking.length === 0) return [];
  const { strategy, autoPromote } = job.spec.update ?? DEFAULT_UPDATE;
  const then = autoPromote ? 'goes on by itself' : 'can be promoted';
  const what = `Deployment ${deployment.id} (${strategy}) ${then} once all that it tries out is healthy`;
  return [hold('awaiting-health', `${what}, which is so of ${lacking.join(', ')}.`)];
}

/** Whatever it had come to by then is kept up, which may be more tasks than are wanted, or others. */
function haltedHolds({ stop, outcome, suspended, version }: Job, { id, message, toVersion }: Deployment): HoldView[] {
  if (stop !== null || outcome !== null || suspended !== null || toVersion !== version) return [];
  const what = `Deployment ${id} was cancelled (${message}), and what runs is kept as it is`;
  return [
    hold(
      'deployment-cancelled',
      `${what}; the next change rolls out what is wanted then, "berth job revert" the last good version.`,
    ),
  ];
}

/** What stands in the way of each job that this one depends on. */
function dependencyHolds(cluster: ClusterView, job: Job, { nowMs, mayReadRole }: Omit<Question, 'task'>): HoldView[] {
  return missingDependencies(cluster, job, nowMs).map(({ key, what }) => {
    const shown = mayReadRole(key.role) ? what : 'you may not read';
    return hold('dependency', `It depends on job "${key.name}" in role "${key.role}", which ${shown}.`);
  });
}

/** What has to have ended before there may be a task in its place, since two must never run at a time. */
function slotHolds(cluster: ClusterView, job: Job): HoldView[] {
  return isLasting(job.spec.kind) ? slotWaits(cluster, job).map(({ message }) => hold('never-two', message)) : [];
}

function volumeHolds(waiting: readonly WaitingTasks[]): HoldView[] {
  const messages = new Set(waiting.flatMap(({ volumesAway }) => volumesAway));
  return [...messages].map((message) => hold('volume-away', message));
}

/** What the job as a whole says has been said. */
function taskHold(reason: Hold, count: number): HoldView[] {
  const tasks = count === 1 ? '1 pending task' : `${count} pending tasks`;
  if (reason === 'superseded') return [hold('superseded', `${tasks} of an older version get no place any more.`)];
  if (reason === 'stop-requested') return [hold('stop-requested', `${tasks} are to be stopped, so they get no place.`)];
  return [];
}

function healthHolds(cluster: ClusterView, job: Job, tasks: readonly Task[]): HoldView[] {
  if (!isLasting(job.spec.kind)) return [];
  return tasks
    .flatMap((task): HoldView[] => {
      const group = templateOf(cluster, task)?.group;
      // What is to end anyway holds nothing up by its health.
      if (task.state !== 'running' || task.stop !== null || group === undefined || isReady(task, group)) return [];
      const code = isUnhealthy(task) ? 'unhealthy' : 'not-ready';
      const what = code === 'unhealthy' ? 'runs, and is not healthy' : 'runs, and is not ready yet';
      return [{ code, task: task.id, message: `${task.id} on ${task.node} ${what}: ${checksOf(task)}` }];
    })
    .slice(0, TASKS_NAMED_MAX);
}

function checksOf({ health, run }: Task): string {
  if (health === null || health.run !== run) return 'its checks have said nothing yet.';
  const failing = health.checks.filter(({ passing }) => passing !== true);
  if (failing.length === 0) return 'its checks pass, and have to go on doing so.';
  return failing
    .map(({ name, passing, message }) => `check "${name}" ${passing === null ? 'is undecided' : 'fails'}: ${message}`)
    .join('; ');
}

/** They count as live, so that nothing seems to be lacking, while nobody is sent to them any more. */
function unreachableHolds(cluster: ClusterView, { spec }: Job, tasks: readonly Task[]): HoldView[] {
  const seconds = spec.replaceAfterSeconds;
  const then = seconds === 'never' ? 'never given up' : `given up as lost ${seconds} s after that at the earliest`;
  const away = Map.groupBy(
    tasks.filter((task) => isUnreachable(cluster, task)),
    ({ node }) => node,
  );
  return [...away].map(([node, { length }]) => {
    const [are, what] = length === 1 ? ['is', '1 task'] : ['are', `${length} tasks`];
    const where = `${what} ${are} on node ${node}, which is unreachable`;
    return hold(
      'unreachable',
      `${where}: its agent sends no heartbeats. Unless it comes back, ${length === 1 ? 'it is' : 'they are'} ${then}.`,
    );
  });
}

/** How the last task of each group that wants more has ended, where it went wrong: one sentence for each group. */
function endHolds(job: Job, tasks: readonly Task[]): HoldView[] {
  return job.spec.groups.flatMap(({ name }) => {
    const present = tasks.filter((task) => task.group === name && task.jobVersion === templateVersion(job, name));
    const waits = present.some(({ state }) => !isTerminal(state) && state !== 'running');
    const ended = present.filter(({ state }) => state === 'failed' || state === 'error' || state === 'lost');
    const last = ended.toSorted((a, b) => endOf(b).atMs - endOf(a).atMs)[0];
    if (last === undefined || !waits) return [];
    const { reason, message } = endOf(last);
    const code = reason === 'image-unavailable' || reason === 'secret-unavailable' ? reason : 'task-failed';
    return [
      {
        code,
        task: last.id,
        message: `${last.id} has ended${last.node === null ? '' : ` on ${last.node}`}: ${message}`,
      },
    ];
  });
}

function endOf({ history }: Task): { readonly atMs: number; readonly reason: string; readonly message: string } {
  return history.at(-1) ?? { atMs: 0, reason: '', message: '' };
}

function hold(code: HoldCode, message: string): HoldView {
  return { code, task: null, message };
}

function waitingView(waits: WaitingTasks): WaitingTasksView {
  const { funnel, feasibility } = waits;
  const { nearest } = funnel;
  return {
    group: waits.group,
    version: waits.version,
    waiting: waits.tasks.length,
    tasks: waits.tasks.slice(0, TASKS_NAMED_MAX).map(({ id }) => id),
    notBefore: optionalTime(waits.notBeforeMs),
    displaces: [...waits.displaces],
    nodesTotal: funnel.nodesTotal,
    nodesLeft: funnel.nodesLeft,
    funnel: funnel.rows.map((row) => ({ ...row, reasons: [...row.reasons] })),
    nearest: nearest === null ? null : { node: nearest.node, missing: [...nearest.missing], message: nearest.message },
    constraints: [...feasibility.constraints],
    most: feasibility.most,
    impossible: feasibility.impossible,
    summary: waitsInWords(waits),
  };
}

function waitsInWords({
  tasks,
  group,
  notBeforeMs,
  displaces,
  volumesAway,
  funnel,
  feasibility,
}: WaitingTasks): string {
  const wait = `${tasks.length} ${tasks.length === 1 ? 'task of group' : 'tasks of group'} "${group}" ${tasks.length === 1 ? 'waits' : 'wait'}`;
  const nodes = funnel.nodesTotal === 1 ? '1 node' : `${funnel.nodesTotal} nodes`;
  if (notBeforeMs !== null) return `${wait} until ${timeView(notBeforeMs)}, since tasks before have failed.`;
  if (displaces.length > 0) return `${wait} for ${displaces.join(', ')} to make room.`;
  if (volumesAway.length > 0) return `${wait} for volumes: ${volumesAway.join(' ')}`;
  const { impossible, tooMany } = feasibility;
  if (impossible !== null) {
    const vain = tooMany < tasks.length ? `${tooMany} of them` : 'and';
    return `${wait}, ${vain} in vain: ${impossible}`;
  }
  if (funnel.nodesTotal === 0) return `${wait}: no node has joined the cluster.`;
  if (funnel.nodesLeft > 0) return `${wait} for their turn: ${funnel.nodesLeft} of ${nodes} would take one.`;
  const nearest = funnel.nearest === null ? '' : ` The nearest, ${funnel.nearest.message}.`;
  return `${wait}: none of ${nodes} takes one.${nearest}`;
}

function summaryOf(
  { spec }: Job,
  tasks: readonly Task[],
  {
    groups,
    holds,
    isAll,
  }: { readonly groups: readonly WaitingTasksView[]; readonly holds: readonly HoldView[]; readonly isAll: boolean },
): string {
  const [first] = groups;
  const [held] = holds;
  if (first !== undefined) return first.summary;
  if (held !== undefined) return held.message;
  const running = tasks.filter(({ state }) => state === 'running').length;
  const live = tasks.filter(({ state }) => !isTerminal(state)).length;
  const lacking = isAll && (spec.kind === 'service' || tasks.length === 0) ? wantedOf(spec) - live : 0;
  if (lacking > 0)
    return `${lacking} of ${wantedOf(spec)} tasks are not made yet; that takes moments where nothing else has to end first.`;
  if (live > running) return `Nothing waits for a place; ${live - running} of ${live} tasks are about to start.`;
  if (live > 0)
    return `Nothing waits: ${running === 1 ? '1 task runs' : `${running} tasks run`}${isLasting(spec.kind) ? ', and all of them are ready' : ''}.`;
  return 'Nothing of it runs, and nothing waits for a place.';
}

function wantedOf({ groups }: JobSpec): number {
  return groups.reduce((sum, { count }) => sum + count, 0);
}
