/** 12. What is only tried out, and was never promoted nor rolled out otherwise, has no more tasks than are tried out. */
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { Revision } from '../truth.ts';
import { type Past, templateKey } from './past.ts';
import { hasEnded } from './tasks.ts';
import { type Violation, violation } from './violation.ts';

export function checkTrials({ changes }: Revision, past: Past, now: Snapshot): Violation[] {
  return changes.flatMap((change) =>
    change.kind === 'tasks' && change.before === null && change.after !== null
      ? checkMade(change.after, past, now)
      : [],
  );
}

function checkMade(task: Task, past: Past, now: Snapshot): Violation[] {
  const job = now.jobs.get(task.jobUid);
  const update = job?.spec.update;
  if (job?.spec.kind !== 'service' || update?.strategy !== 'canary' || past.released.has(templateKey(task))) return [];
  const same = [...now.tasksOfJob(task.jobUid)].filter(
    (one) => templateKey(one) === templateKey(task) && one.stop === null && !hasEnded(one) && !isLeaving(one, now),
  );
  if (same.length <= update.canaries) return [];
  const what = `${same.length} tasks of group ${task.group} of job ${task.jobName} are of version ${task.jobVersion}`;
  return [violation(12, `with ${task.id}, ${what}, which nobody has promoted, and ${update.canaries} are tried out`)];
}

function isLeaving({ node }: Task, now: Snapshot): boolean {
  return node !== null && (now.ledgers.get(node)?.drain ?? null) !== null;
}
