/** Whether what a job depends on is there: a deployment doesn't begin before. */
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { type Deployment, deploymentId } from '../../../shared/domain/deployment.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { isLasting } from '../../../shared/domain/service.ts';
import { membersOf } from './members.ts';

/** Those that aren't there yet. `what` follows the job: `is suspended`. */
export function missingDependencies(
  cluster: ClusterView,
  job: Job,
  nowMs: number,
): { readonly name: string; readonly key: JobKey; readonly what: string }[] {
  return (job.spec.dependsOn ?? []).flatMap((name) => {
    const key = dependencyKey(job, name);
    const what = whatLacks(cluster, key, nowMs);
    return what === null ? [] : [{ name, key, what }];
  });
}

/**
 * The first of them, in a sentence; null: all are there. It is stored, for all to read who may read the job: of a job in another role,
 * which they may not, it says no more than the job's own spec.
 */
export function missingDependency(cluster: ClusterView, job: Job, nowMs: number): string | null {
  const [first] = missingDependencies(cluster, job, nowMs);
  if (first === undefined) return null;
  return `waits for job ${first.name}${first.key.role === job.spec.role ? `, which ${first.what}` : ''}`;
}

/** A name in the job's own role, or `role:name`. */
export function dependencyKey({ spec }: Pick<Job, 'spec'>, name: string): JobKey {
  const colon = name.indexOf(':');
  return colon < 0 ? { role: spec.role, name } : { role: name.slice(0, colon), name: name.slice(colon + 1) };
}

function whatLacks(cluster: ClusterView, key: JobKey, nowMs: number): string | null {
  const job = cluster.jobByKey(key);
  if (job === undefined || job.deleted) return 'does not exist';
  if (!isLasting(job.spec.kind)) return lacksSuccess(job);
  if (job.stop !== null) return 'is stopped';
  if (job.suspended !== null) return 'is suspended';
  if (isRunning(cluster.deployments.get(deploymentId(job.uid, job.deployments)))) return 'is being rolled out';
  return lacksTasks(cluster, job, nowMs);
}

function lacksSuccess({ outcome }: Job): string | null {
  if (outcome === null) return 'has not ended';
  return outcome.state === 'succeeded' ? null : `ended as ${outcome.state}`;
}

function isRunning(deployment: Deployment | undefined): boolean {
  return deployment?.state === 'running';
}

function lacksTasks(cluster: ClusterView, job: Job, nowMs: number): string | null {
  const members = membersOf({ cluster, nowMs }, job, [...cluster.tasksOfJob(job.uid)]);
  const ready = members.filter(({ isReady, isEnding }) => isReady && !isEnding);
  if (job.spec.kind === 'system') {
    const waiting = members.filter(({ isReady }) => !isReady).length;
    return waiting === 0 ? null : `has ${waiting} tasks that are not ready`;
  }
  for (const { name, count } of job.spec.groups) {
    const there = ready.filter(({ task }) => task.group === name).length;
    if (there < count) return `has ${there} of ${count} tasks of group ${name} ready`;
  }
  return null;
}
