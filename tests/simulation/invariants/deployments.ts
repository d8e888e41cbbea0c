/** 12. One deployment of a job runs at a time; how it came out is final; what has failed is taken back once, and only to what was good. */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import { type Deployment, deploymentId } from '../../../shared/domain/deployment.ts';
import type { Revision } from '../truth.ts';
import type { Past } from './past.ts';
import { type Violation, violation } from './violation.ts';

type DeploymentChange = Extract<Change, { kind: 'deployments' }>;
type JobChange = Extract<Change, { kind: 'jobs' }>;

export function checkDeployments({ changes }: Revision, past: Past, now: Snapshot): Violation[] {
  return changes.flatMap((change) => {
    if (change.kind === 'deployments') {
      return [
        ...checkAlone(change, now),
        ...checkFinal(change, now),
        ...checkFailed(change, past, now),
        ...checkNumber(change, now),
      ];
    }
    return change.kind === 'jobs' ? checkGood(change, now) : [];
  });
}

function checkAlone({ after }: DeploymentChange, now: Snapshot): Violation[] {
  if (after?.state !== 'running') return [];
  const others = [...now.deploymentsOfJob(after.jobUid)].filter(
    ({ id, state }) => id !== after.id && state === 'running',
  );
  return others.map(({ id }) => violation(12, `deployment ${after.id} runs while ${id} does`));
}

function checkFinal({ id, before, after }: DeploymentChange, now: Snapshot): Violation[] {
  if (before === null) return [];
  if (before.state === 'running') {
    const isGone =
      after === null &&
      now.jobs.get(before.jobUid) !== undefined &&
      [...now.jobs.values()].some(({ uid }) => uid === before.jobUid);
    return isGone ? [violation(12, `deployment ${id} is gone while it runs`)] : [];
  }
  if (after === null || JSON.stringify(after) === JSON.stringify(before)) return [];
  return [violation(12, `deployment ${id} has ${before.state}, and now it says something else`)];
}

function checkFailed({ before, after }: DeploymentChange, past: Past, now: Snapshot): Violation[] {
  if (after === null) return [];
  const { id, revertOf } = after;
  if (before === null && revertOf !== null && past.reverted.has(revertOf)) {
    return [violation(12, `deployment ${revertOf} is taken back by ${id}, and was before`)];
  }
  if (before?.state !== 'running' || after.state !== 'failed') return [];
  const next = after.revertedBy === null ? undefined : now.deployments.get(after.revertedBy);
  const isTakenBack = next?.revertOf === id && next.state === 'running';
  const owed = isRevertOwed(after, past, now);
  if (isTakenBack === owed) return [];
  return [
    violation(
      12,
      `deployment ${id} has failed, and ${owed ? 'nothing takes it back' : `${after.revertedBy} takes it back`}`,
    ),
  ];
}

/** By what the version that failed says, and what was good before. */
function isRevertOwed({ jobUid, toVersion, revertOf }: Deployment, past: Past, now: Snapshot): boolean {
  const policy = now.version(jobUid, toVersion)?.spec.update;
  const good = past.good.get(jobUid);
  return policy?.autoRevert === true && revertOf === null && good !== undefined && good !== toVersion;
}

/** They are counted one by one, with their job. */
function checkNumber({ id, before, after }: DeploymentChange, now: Snapshot): Violation[] {
  if (before !== null || after === null) return [];
  const job = now.jobs.get(after.jobUid);
  const last = job === undefined ? null : deploymentId(job.uid, job.deployments);
  return last === id ? [] : [violation(12, `deployment ${id} came to be, and the last of its job is ${last}`)];
}

/** Whatever is called good was rolled out with success, at that very revision. */
function checkGood({ before, after }: JobChange, now: Snapshot): Violation[] {
  if (after === null || after.goodVersion === null || after.goodVersion === before?.goodVersion) return [];
  const deployment = now.deployments.get(deploymentId(after.uid, after.deployments));
  if (deployment?.state === 'succeeded' && deployment.toVersion === after.goodVersion) return [];
  const what = `version ${after.goodVersion} of job ${after.spec.name} (${after.uid}) is called good`;
  return [
    violation(
      12,
      `${what}, and deployment ${deployment?.id} of version ${deployment?.toVersion} is ${deployment?.state}`,
    ),
  ];
}
