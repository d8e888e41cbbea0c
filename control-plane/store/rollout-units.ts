/** What rollouts come to as writes under compares. */
import type { Deployment, ImageFetch } from '../../shared/domain/deployment.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Job, JobVersion } from '../../shared/domain/job.ts';
import type { Compare } from './contract.ts';
import { keys } from './keys.ts';
import { putRecord } from './records.ts';
import type { Snapshot } from './snapshot.ts';
import type { Unit } from './units.ts';

function seen(snapshot: Snapshot, key: string): Compare {
  return { key, modRevision: snapshot.modRevision(key) };
}

/**
 * A deployment as it stands from now on, and what its end makes of the job. Where it is taken back, the version that does so comes in the
 * same transaction, with its own deployment: neither may exist yet. The job is compared in any case, since a deployment is about
 * one version of it. Null: either isn't on record any more.
 */
export function deploymentUnit(snapshot: Snapshot, { deployment, job, revert }: DeploymentChange): Unit | null {
  const before = snapshot.jobs.get(deployment.jobUid);
  if (before === undefined || snapshot.deployments.get(deployment.id) === undefined) return null;
  const [jobKey, key] = [keys.job(before.spec), keys.deployment(deployment.id)];
  const reverting = revert === undefined ? NO_CHANGE : revertChange(revert);
  return {
    compares: [seen(snapshot, key), seen(snapshot, jobKey), ...reverting.compares],
    writes: [
      putRecord('deployments', key, deployment),
      ...(job === undefined ? [] : [putRecord('jobs', jobKey, job)]),
      ...reverting.writes,
    ],
  };
}

export interface DeploymentChange {
  readonly deployment: Deployment;
  readonly job?: Job;
  readonly revert?: { readonly version: JobVersion; readonly next: Deployment };
}

const NO_CHANGE: Unit = { compares: [], writes: [] };

function revertChange({ version, next }: { readonly version: JobVersion; readonly next: Deployment }): Unit {
  const [versionKey, nextKey] = [keys.version(version.jobUid, version.version), keys.deployment(next.id)];
  return {
    compares: [versionKey, nextKey].map((key) => ({ key, modRevision: 0 })),
    writes: [putRecord('versions', versionKey, version), putRecord('deployments', nextKey, next)],
  };
}

/** A node is asked for an image, unless it has been already or the deployment has changed. */
export function imageFetchUnit(snapshot: Snapshot, fetch: ImageFetch): Unit {
  const key = keys.imageFetch(fetch.node, fetch.image);
  return {
    compares: [{ key, modRevision: 0 }, seen(snapshot, keys.deployment(fetch.deployment))],
    writes: [putRecord('fetches', key, fetch)],
  };
}

/** Null: the node isn't asked for it any more. */
export function imageFetchEndUnit(snapshot: Snapshot, node: NodeId, image: string): Unit | null {
  const key = keys.imageFetch(node, image);
  if (snapshot.modRevision(key) === 0) return null;
  return { compares: [seen(snapshot, key)], writes: [{ type: 'delete', key }] };
}

/** What a stop relies on has to be as it was seen. */
export function relying(snapshot: Snapshot, unit: Unit | null, relied: readonly string[]): Unit | null {
  if (unit === null || relied.length === 0) return unit;
  const compared = new Set(unit.compares.map(({ key }) => key));
  const more = [...new Set(relied)].filter((key) => !compared.has(key)).map((key) => seen(snapshot, key));
  return { ...unit, compares: [...unit.compares, ...more] };
}
