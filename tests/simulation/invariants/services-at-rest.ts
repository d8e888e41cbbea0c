/** 10. What services and system jobs come to once nothing goes wrong any more. */
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { type Deployment, deploymentId } from '../../../shared/domain/deployment.ts';
import { type Job, type JobVersion, templateVersion } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { isReady } from '../../../shared/domain/task-health.ts';
import { behaviourOf, isLocalImage, isPullable } from '../behaviour.ts';
import { mayTry } from './past.ts';
import { hasEnded } from './tasks.ts';

export function unsettledOfService(job: Job, now: Snapshot): string[] {
  const name = `job ${job.spec.name} (${job.uid})`;
  const live = [...now.tasksOfJob(job.uid)].filter((task) => !hasEnded(task));
  if (job.deleted) return [`${name} is deleted and still there`];
  if (job.stop !== null && job.outcome === null) return [`${name} is to stop and has no outcome`];
  if (job.stop !== null || job.suspended !== null) {
    return live.map((task) => `${name} is to have no tasks, and ${task.id} is ${task.state}`);
  }
  const last = now.deployments.get(deploymentId(job.uid, job.deployments));
  if (last === undefined) return [`${name} has no deployment`];
  if (last.state === 'running')
    return mayWait(last, job) ? [] : [`deployment ${last.id} of ${name} is under way: ${last.message}`];
  if (last.state !== 'succeeded' || !isGood(now.version(job.uid, job.version))) return [];
  const outdated = live.filter(
    (task) => task.jobVersion !== templateVersion(job, task.group) && !mayStay(job, task, now),
  );
  return [
    ...outdated.map((task) => `${task.id} is of an outdated version`),
    ...(job.spec.kind === 'system' ? unsettledOnNodes(job, live, now) : unsettledGroups(job, live, now)),
  ];
}

/** The task of a system job on a node that takes nothing new: one that went would leave nothing there. */
function mayStay({ spec }: Job, { node, target }: Task, now: Snapshot): boolean {
  return spec.kind === 'system' && !takesNew(node ?? target?.node ?? '', now);
}

function takesNew(node: string, now: Snapshot): boolean {
  const ledger = now.ledgers.get(node);
  const isOpen = ledger?.eligible === true && ledger.drain === null;
  return isOpen && now.isAlive(node) && now.maintenance.get(node) === undefined;
}

/** For somebody who resumes or promotes it, or for what it depends on. */
function mayWait(deployment: Deployment, { spec }: Job): boolean {
  const { paused, startedAtMs, promotedAtMs } = deployment;
  if (paused !== null) return true;
  if (startedAtMs === null) return (spec.dependsOn ?? []).length > 0;
  return mayTry(deployment, { spec }) && spec.update?.autoPromote === false && promotedAtMs === null;
}

/** Whether its tasks can work at all. */
export function isGood(version: JobVersion | undefined): boolean {
  if (version === undefined) return false;
  return version.spec.groups.every((group) => {
    const { lifeMs, isUnusable, failsChecksAfterMs } = behaviourOf(group);
    const works = lifeMs === null && !isUnusable && failsChecksAfterMs === undefined;
    return works && (isLocalImage(group.image) || isPullable(group.image));
  });
}

/** As many as are wanted are at work, or wait for room, which is looked at elsewhere. */
function unsettledGroups(job: Job, live: readonly Task[], now: Snapshot): string[] {
  return job.spec.groups.flatMap((group) => {
    const tasks = live.filter((task) => task.group === group.name);
    const [leaving, staying] = [
      tasks.filter((task) => isLeaving(task, now)),
      tasks.filter((task) => !isLeaving(task, now)),
    ];
    const waiting = staying.filter(({ state }) => state === 'pending');
    const ready = staying.filter((task) => task.stop === null && isReady(task, group));
    // Where a move off a node waits for room, what is to be moved may stand in for what isn't there yet.
    const isEnough =
      staying.length === group.count ||
      (waiting.length > 0 && staying.length < group.count && staying.length + leaving.length >= group.count);
    const told = `group ${group.name} of job ${job.spec.name} (${job.uid})`;
    return [
      ...(ready.length + waiting.length === staying.length && isEnough
        ? []
        : [`of ${group.count} of ${told} ${ready.length} are at work and ${waiting.length} wait for room`]),
      ...(waiting.length > 0 ? [] : leaving.map((task) => `${task.id} of ${told} is still on ${task.node}`)),
    ];
  });
}

function isLeaving({ node }: Task, now: Snapshot): boolean {
  return node !== null && (now.ledgers.get(node)?.drain ?? null) !== null;
}

/** One on each node that takes tasks; nobody asks for more than a node's attributes here. */
function unsettledOnNodes(job: Job, live: readonly Task[], now: Snapshot): string[] {
  const open = [...now.ledgers.values()].filter(({ node }) => takesNew(node, now));
  return job.spec.groups.flatMap((group) =>
    open.flatMap(({ node }) => {
      const there = live.filter((task) => task.group === group.name && (task.node ?? task.target?.node) === node);
      const [only] = there;
      const isSettled = there.length === 1 && only !== undefined && (only.state === 'pending' || isReady(only, group));
      const told = there.map(({ id, state }) => `${id} is ${state}`).join(', ');
      return isSettled ? [] : [`${node} is to have one task of group ${group.name} of job ${job.spec.name}: ${told}`];
    }),
  );
}

/** Images that nodes were to fetch for deployments that are over. */
export function strayFetches(now: Snapshot): string[] {
  return [...now.nodes.keys()].flatMap((node) =>
    [...now.imageFetchesOn(node)]
      .filter(({ deployment }) => now.deployments.get(deployment)?.state !== 'running')
      .map(({ image, deployment }) => `${node} is to fetch ${image} for deployment ${deployment}, which is over`),
  );
}
