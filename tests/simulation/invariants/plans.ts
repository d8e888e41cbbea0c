/**
 * 3. A round plans on a state that is at or past its own claim.
 * 9. Whoever comes first is served first.
 */
import { keys } from '../../../control-plane/store/keys.ts';
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import { type GroupSpec, type Job, templateVersion } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { Revision } from '../truth.ts';
import { isMet } from './ledgers.ts';
import { entryChanges, offerChanges, type Past } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkPlans(revision: Revision, past: Past, now: Snapshot): Violation[] {
  return revision.changes.flatMap((change) => {
    if (change.kind !== 'ledger') return [];
    const offered = offerChanges(change).added;
    const placed = entryChanges(change).added.filter((task) => change.after?.entries[task]?.framework === null);
    if (placed.length + offered.length === 0) return [];
    return [
      ...checkAge(change.id, [...placed, ...offered], past),
      ...placed.flatMap((task) => checkTurn(task, change, past, now)),
    ];
  });
}

/** A node that was gone before the claim gets nothing: nothing else in a placement tells when it was planned. */
function checkAge(node: string, placed: readonly string[], { gone, round }: Past): Violation[] {
  const goneSince = gone.get(node);
  if (goneSince === undefined || round === null || goneSince >= round.revision) return [];
  const when = `gone since revision ${goneSince}, by a round that was claimed at ${round.revision}`;
  return [violation(3, `${placed.join(', ')} got something of ${node}, which was ${when}`)];
}

/**
 * Room only shrinks while a round is planned. So whoever asks for no more than what was placed, of the same node, for a job of
 * the same role and a higher priority, had its turn before and must have found room. Between roles it is shares that count.
 */
function checkTurn(id: string, change: Extract<Change, { kind: 'ledger' }>, past: Past, now: Snapshot): Violation[] {
  const placed = wantOf(now.tasks.get(id), now);
  if (placed === null || isHeir(id, now)) return [];
  const attributes = now.nodes.get(change.id)?.attributes ?? {};
  const passedOver = [...now.pendingTasks()].filter((task) => {
    const waiting = wantOf(task, now);
    return (
      waiting !== null &&
      hasWaited(task, past, now) &&
      mayBeOn(task, change.id) &&
      waiting.job.spec.role === placed.job.spec.role &&
      waiting.job.spec.priority > placed.job.spec.priority &&
      isWithin(waiting.group, placed.group) &&
      waiting.constraints.every((constraint) => isMet(constraint, attributes))
    );
  });
  return passedOver.map((task) =>
    violation(9, `${id} got a place on ${change.id} before ${task.id}, whose turn it was`),
  );
}

/** A task of a system job is for one node alone. */
function mayBeOn({ target }: Task, node: string): boolean {
  return target === null || !target.required || target.node === node;
}

/** Others were displaced for it: what they leave is its own, whoever has come since. */
function isHeir(id: string, now: Snapshot): boolean {
  return [...now.tasks.values()].some(({ stop }) => stop?.displacedBy?.task === id);
}

interface Want {
  readonly job: Job;
  readonly group: GroupSpec;
  readonly constraints: readonly Constraint[];
}

/** Null for a task that its job no longer wants. */
function wantOf(task: Task | undefined, now: Snapshot): Want | null {
  const job = task === undefined ? undefined : now.jobs.get(task.jobUid);
  const group = job?.spec.groups.find(({ name }) => name === task?.group);
  if (task === undefined || job === undefined || group === undefined) return null;
  const isOver = job.deleted || job.stop !== null || job.outcome !== null || task.stop !== null;
  if (isOver || job.suspended !== null || templateVersion(job, task.group) !== task.jobVersion) return null;
  return { job, group, constraints: [...job.spec.constraints, ...group.constraints] };
}

/** It has been waiting, unchanged like its job, since before the round was claimed, and for no backoff. */
function hasWaited(task: Task, { round }: Past, now: Snapshot): boolean {
  const job = now.jobs.get(task.jobUid);
  if (round === null || job === undefined || task.notBeforeMs > 0) return false;
  return [keys.task(task.id), keys.job(job.spec)].every((key) => now.modRevision(key) < round.revision);
}

/** In everything that this workload asks for; ports are left to whoever needs none. */
function isWithin(small: GroupSpec, large: GroupSpec): boolean {
  const [a, b] = [small.resources, large.resources];
  const scalars = (['cpus', 'memMiB', 'diskMiB', 'gpus'] as const).every((name) => a[name] <= b[name]);
  const custom = Object.entries(a.custom).every(([name, amount]) => amount <= (b.custom[name] ?? 0));
  return scalars && custom && small.ports.length === 0;
}
