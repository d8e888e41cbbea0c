/** 1. No accepted job is lost; one idempotency key makes one job. */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { Revision } from '../truth.ts';
import { isNewJob, KEY_LABEL, type Past } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkJobs(revision: Revision, past: Past, now: Snapshot): Violation[] {
  return revision.changes.flatMap((change) => {
    if (change.kind !== 'jobs') return [];
    return [...checkGone(change, now), ...checkNew(change, past)];
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

function checkNew(change: Extract<Change, { kind: 'jobs' }>, past: Past): Violation[] {
  const { after } = change;
  if (after === null || !isNewJob(change)) return [];
  const key = after.spec.labels[KEY_LABEL];
  const earlier = key === undefined ? undefined : past.jobsByIdempotencyKey.get(key);
  if (earlier === undefined) return [];
  return [violation(1, `the idempotency key ${key} made job ${earlier.uid}, and now job ${after.uid} as well`)];
}
