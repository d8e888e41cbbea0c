/**
 * 11. What Berth itself stops of a service leaves as much of it at work as was promised, and what it makes is no more than was
 * allowed; of a slot there is one present task.
 */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import { type Deployment, deploymentId } from '../../../shared/domain/deployment.ts';
import { type GroupSpec, type Job, templateVersion } from '../../../shared/domain/job.ts';
import { isLasting, type UpdatePolicy } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { isReady } from '../../../shared/domain/task-health.ts';
import type { Revision } from '../truth.ts';
import { mayTry, type Past } from './past.ts';
import { hasEnded } from './tasks.ts';
import { type Violation, violation } from './violation.ts';

type TaskChange = Extract<Change, { kind: 'tasks' }>;

export function checkServices({ changes }: Revision, past: Past, now: Snapshot): Violation[] {
  return changes.flatMap((change) => {
    if (change.kind !== 'tasks' || change.after === null) return [];
    const set = setOf(change.after, now);
    if (set === null) return [];
    if (change.before === null) return checkMade(change.after, set, past, now);
    return isOwnStop(change, set.job) && wasReady(change.before, now) ? checkStop(change.after, set, now) : [];
  });
}

/** Tasks that are exchanged for each other: a group of a job, or one side of it while the new ones stand beside the old. */
interface Exchanged {
  readonly job: Job;
  readonly policy: UpdatePolicy;
  readonly isBeside: boolean;
  /** The least and the most that are wanted, where both the version before and the present one have a say. */
  readonly counts: readonly [number, number];
  /** Live ones. */
  readonly tasks: readonly Task[];
}

/** Null: the task is none of a lasting job, or of a group that nobody wants any more. */
function setOf(task: Task, now: Snapshot): Exchanged | null {
  const job = now.jobs.get(task.jobUid);
  const group = job?.spec.groups.find(({ name }) => name === task.group);
  if (job === undefined || group === undefined || !isLasting(job.spec.kind) || job.spec.update === undefined)
    return null;
  const live = [...now.tasksOfJob(job.uid)].filter((each) => each.group === task.group && !hasEnded(each));
  const policy = job.spec.update;
  const deployment = now.deployments.get(deploymentId(job.uid, job.deployments));
  const before = deployment?.state === 'running' ? groupBefore(deployment, task.group, now) : null;
  if (job.spec.kind === 'system') {
    // A node that is being emptied may have to be without it at any time, and where nobody is reached none is counted on.
    const kept = live.filter((each) => !isLeaving(each, now) && isReached(each, now));
    const nodes = new Set(kept.flatMap(({ node, target }) => node ?? target?.node ?? []));
    return { job, policy, isBeside: false, counts: [nodes.size, now.nodes.size], tasks: live };
  }
  if (deployment === undefined || before === null) {
    return { job, policy, isBeside: false, counts: [group.count, group.count], tasks: live };
  }
  // Those that there are already count for what is to come.
  const staying = live.filter((each) => each.id !== task.id && each.stop === null && !isLeaving(each, now));
  const isNew = isPresent(task, job);
  if (isBeside(job, deployment, task.group)) {
    const wanted = policy.strategy === 'canary' ? Math.min(policy.canaries, group.count) : group.count;
    const old = staying.filter((each) => !isPresent(each, job)).length;
    const counts = isNew ? ([wanted, wanted] as const) : keptUp(before.count, group.count, old);
    const tasks = live.filter((each) => isPresent(each, job) === isNew);
    return { job, policy, isBeside: true, counts, tasks };
  }
  const counts =
    deployment.startedAtMs === null
      ? keptUp(before.count, group.count, staying.length)
      : ([group.count, group.count] as const);
  return { job, policy, isBeside: false, counts, tasks: live };
}

/** Of what is kept up as it was: no fewer than before, if as many are wanted still, and no more than there are of what is wanted. */
function keptUp(before: number, wanted: number, there: number): readonly [number, number] {
  return [Math.min(before, wanted), Math.max(before, Math.min(wanted, there))];
}

function groupBefore({ jobUid, fromVersion }: Deployment, name: string, now: Snapshot): GroupSpec | null {
  const version = fromVersion === null ? undefined : now.version(jobUid, fromVersion);
  return version?.spec.groups.find((group) => group.name === name) ?? null;
}

function isBeside({ spec, templates }: Job, deployment: Deployment, group: string): boolean {
  const { startedAtMs, paused, promotedAtMs, fromTemplates } = deployment;
  const waits = startedAtMs !== null && paused === null && promotedAtMs === null;
  return (
    waits &&
    mayTry(deployment, { spec }) &&
    fromTemplates[group] !== undefined &&
    fromTemplates[group] !== templates[group]
  );
}

function isPresent(task: Task, job: Job): boolean {
  return task.jobVersion === templateVersion(job, task.group);
}

/**
 * Whether Berth decided it for the sake of an exchange: not what a user stops, and not what others displace, what a drain's deadline ends,
 * or what is wanted no more at all.
 */
function isOwnStop({ before, after }: TaskChange, job: Job): boolean {
  const stop = after?.stop ?? null;
  if (stop === null || before === null || before.stop !== null) return false;
  if (job.deleted || job.stop !== null || job.suspended !== null || stop.displacedBy !== undefined) return false;
  if (stop.by !== 'berth') return stop.reason.endsWith('is moved off it');
  return !stop.reason.includes('is not to have a task of group');
}

function wasReady(task: Task, now: Snapshot): boolean {
  const group = now.version(task.jobUid, task.jobVersion)?.spec.groups.find(({ name }) => name === task.group);
  return group !== undefined && isReached(task, now) && isReady(task, group);
}

function isReached({ node, target }: Task, now: Snapshot): boolean {
  const at = node ?? (target?.required === true ? target.node : null);
  return at === null || (now.epochs.get(at)?.unreachableSinceMs ?? null) === null;
}

/** Spelled out here by itself, in thousandths: the product's arithmetic is among what is checked. */
function checkStop({ id, group, stop }: Task, set: Exchanged, now: Snapshot): Violation[] {
  const [count] = set.counts;
  const promised = Math.ceil((Math.round(set.policy.minHealthy * 1000) * count) / 1000);
  const least = isStopFirst(set, now) ? Math.max(0, Math.min(promised, count - 1)) : promised;
  const ready = set.tasks.filter((task) => task.stop === null && wasReady(task, now)).length;
  if (ready >= least) return [];
  const what = `${ready} of group ${group} of job ${set.job.spec.name} at work, of ${count}, and at least ${least} were promised`;
  return [violation(11, `the stop of ${id} (${stop?.reason}) leaves ${what}`)];
}

function checkMade(task: Task, set: Exchanged, past: Past, now: Snapshot): Violation[] {
  const others = set.tasks.filter((other) => other.id !== task.id && other.stop === null && isPresent(other, set.job));
  const rivals = others.filter((other) => (isSystem(set) ? isBesideOn(task, other) : isRival(task, other, now)));
  return [
    ...(isPresent(task, set.job) ? rivals : []).map((other) =>
      violation(11, `${task.id} was made, and ${other.id} has its slot`),
    ),
    ...checkRoom(task, set, past, now),
  ];
}

function isSystem({ job }: Exchanged): boolean {
  return job.spec.kind === 'system';
}

function isBesideOn(task: Task, other: Task): boolean {
  return task.target?.node === (other.node ?? other.target?.node);
}

function isRival(task: Task, other: Task, now: Snapshot): boolean {
  return other.index === task.index && !isLeaving(other, now);
}

function isLeaving({ node }: Task, now: Snapshot): boolean {
  return node !== null && (now.ledgers.get(node)?.drain ?? null) !== null;
}

/**
 * What is to go and has no place counts for nothing, nor does what ends where nobody reaches it: or reached it, since whoever makes
 * others for it may not know yet that its node is back.
 */
function checkRoom({ id, group }: Task, set: Exchanged, { parted }: Past, now: Snapshot): Violation[] {
  const [, count] = set.counts;
  const [over, healthy] = [1 + set.policy.maxOver, set.policy.minHealthy].map(
    (share) => Math.round(share * 1000) * count,
  );
  const [most, least] = [Math.floor((over ?? 0) / 1000), Math.ceil((healthy ?? 0) / 1000)];
  const others = set.tasks.filter((task) => task.id !== id);
  const room = isStopFirst({ ...set, tasks: others }, now) ? count : Math.max(most, least >= most ? least + 1 : most);
  const live = set.tasks.filter((task) => {
    if (task.stop !== null) return isReached(task, now) && !parted.has(task.node ?? '');
    return task.state !== 'pending' || isPresent(task, set.job) || set.isBeside;
  });
  if (live.length <= room) return [];
  return [
    violation(
      11,
      `with ${id} there are ${live.length} live tasks of group ${group} of job ${set.job.spec.name}, and ${room} are allowed`,
    ),
  ];
}

/** Two can't be in one place at a time, so an old one goes before its successor comes. */
function isStopFirst(set: Exchanged, now: Snapshot): boolean {
  const isFenced = ({ jobUid, jobVersion }: Task) =>
    now.version(jobUid, jobVersion)?.spec.stopAfterDisconnectSeconds !== undefined;
  return isSystem(set) || set.job.spec.stopAfterDisconnectSeconds !== undefined || set.tasks.some(isFenced);
}
