/** 1. No accepted job is lost; one idempotency key makes one job. */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { Revision } from '../truth.ts';
import { isAskedFor, KEY_LABEL, type Past } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkJobs(revision: Revision, past: Past, now: Snapshot): Violation[] {
  return revision.changes.flatMap((change) => {
    if (change.kind === 'jobs') return [...checkGone(change, now), ...checkChanged(change)];
    return change.kind === 'versions' ? checkMade(change, past) : [];
  });
}

/** A record goes only after its deletion was asked for and nothing of the job is left. */
function checkGone({ before, after }: Extract<Change, { kind: 'jobs' }>, now: Snapshot): Violation[] {
  if (before === null || before.uid === after?.uid) return [];
  const name = `job ${before.spec.name} (${before.uid})`;
  const violations: Violation[] = [];
  if (!before.deleted) violations.push(violation(1, `${name} is gone, though nobody has deleted it`));
  for (const task of now.tasksOfJob(before.uid)) {
    if (!isTerminal(task.state)) violations.push(violation(1, `${name} is gone while its task ${task.id} is live`));
  }
  return [
    ...violations,
    ...placesOf(before, now).map((place) => violation(1, `${name} is gone while it holds ${place}`)),
  ];
}

function placesOf(job: Job, now: Snapshot): string[] {
  return [...now.ledgers.values()].flatMap((ledger) =>
    Object.values(ledger.entries)
      .filter((entry) => entry.jobUid === job.uid)
      .map((entry) => `a place on ${ledger.node} for ${entry.task}`),
  );
}

/** A job's versions are counted one by one, and its role and name are its own for good. */
function checkChanged({ before, after }: Extract<Change, { kind: 'jobs' }>): Violation[] {
  if (before === null || after === null || before.uid !== after.uid) return [];
  const name = `job ${before.spec.name} (${before.uid})`;
  const violations: Violation[] = [];
  if (after.version !== before.version && after.version !== before.version + 1) {
    violations.push(violation(1, `${name} went from version ${before.version} to ${after.version}`));
  }
  if (before.deleted && !after.deleted) violations.push(violation(1, `${name} was deleted, and now it isn't`));
  return violations;
}

/** A version never changes, and what was asked for under one key was made once. */
function checkMade({ id, before, after }: Extract<Change, { kind: 'versions' }>, past: Past): Violation[] {
  if (after === null) return [];
  if (before !== null) return [violation(1, `version ${id} was written again`)];
  const key = after.spec.labels[KEY_LABEL];
  const earlier = key === undefined || !isAskedFor(after) ? undefined : past.madeByIdempotencyKey.get(key);
  if (earlier === undefined) return [];
  const [first, second] = [earlier, { uid: after.jobUid, version: after.version }].map(
    ({ uid, version }) => `version ${version} of job ${uid}`,
  );
  return [violation(1, `the idempotency key ${key} made ${first}, and now ${second} as well`)];
}
