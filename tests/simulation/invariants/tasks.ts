/**
 * 4. A task is placed at most once; terminal states are final, and states only go forward.
 * 5. An old epoch's writes are refused.
 */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Task, TaskState } from '../../../shared/domain/task.ts';
import type { Revision } from '../truth.ts';
import { entryChanges, type Past, slotOf } from './past.ts';
import { type Violation, violation } from './violation.ts';

type TaskChange = Extract<Change, { kind: 'tasks' }>;
type LedgerChange = Extract<Change, { kind: 'ledger' }>;

export function checkTasks(revision: Revision, past: Past, now: Snapshot): Violation[] {
  const changed = revision.changes.flatMap((change) => {
    if (change.kind === 'tasks') {
      return [...checkTransition(change), ...checkSlot(change, past), ...checkPlace(change.after, now)];
    }
    if (change.kind === 'ledger') return checkEntries(change, past, now);
    return change.kind === 'epochs' ? checkEpoch(change) : [];
  });
  return [...changed, ...checkSession(revision, past)];
}

/** Spelled out here by itself: the product's own table is among what is checked. */
export const RANKS: Readonly<Record<TaskState, number>> = {
  pending: 0,
  staging: 1,
  starting: 2,
  running: 3,
  finished: 4,
  failed: 4,
  killed: 4,
  error: 4,
  lost: 4,
};

/** What frameworks launch has a place at once, or ends. */
const BIRTHS: Readonly<Record<'batch' | 'framework', readonly TaskState[]>> = {
  batch: ['pending'],
  framework: ['staging', 'error'],
};

function acknowledgedOf({ framework }: Task): number {
  return framework?.acknowledged ?? 0;
}

/** That its framework has heard of the end changes nothing about it. */
function withoutAcknowledged(task: Task): string {
  return JSON.stringify({
    ...task,
    framework: task.framework === null ? null : { ...task.framework, acknowledged: 0 },
  });
}

export function hasEnded(task: Task | undefined): boolean {
  return task !== undefined && RANKS[task.state] === 4;
}

function checkTransition({ id, before, after }: TaskChange): Violation[] {
  if (after === null) return hasEnded(before ?? undefined) ? [] : [violation(4, `the live task ${id} is gone`)];
  if (before === null)
    return BIRTHS[after.framework === null ? 'batch' : 'framework'].includes(after.state)
      ? []
      : [violation(4, `${id} came to be as ${after.state}`)];
  const from = `${id} went from ${before.state} to ${after.state}`;
  if (acknowledgedOf(after) < acknowledgedOf(before)) {
    return [
      violation(
        4,
        `of ${id} ${acknowledgedOf(before)} transitions were acknowledged, and now ${acknowledgedOf(after)}`,
      ),
    ];
  }
  if (hasEnded(before) && withoutAcknowledged(before) !== withoutAcknowledged(after)) {
    return [violation(4, `${from}, though an end is final`)];
  }
  if (after.state !== before.state && RANKS[after.state] <= RANKS[before.state]) return [violation(4, from)];
  if (before.state === 'pending' && !['pending', 'staging', 'killed'].includes(after.state)) {
    return [violation(4, `${from} without a place`)];
  }
  if (before.node !== null && after.node !== before.node) {
    return [violation(4, `${id} was on ${before.node} and is on ${after.node ?? 'no node'}`)];
  }
  return checkHistory(before, after);
}

function checkHistory(before: Task, after: Task): Violation[] {
  const kept = after.history.slice(0, before.history.length);
  if (JSON.stringify(kept) !== JSON.stringify(before.history)) {
    return [violation(4, `the history of ${after.id} was rewritten`)];
  }
  if (after.history.at(-1)?.state === after.state) return [];
  return [violation(4, `the history of ${after.id} does not end with ${after.state}`)];
}

/** An attempt of a slot is one task: two replicas that both find it missing make the same one. */
function checkSlot({ id, before, after }: TaskChange, past: Past): Violation[] {
  if (before !== null || after === null) return [];
  const earlier = past.slots.get(slotOf(after));
  return earlier === undefined ? [] : [violation(4, `${slotOf(after)} is ${earlier}, and now ${id} as well`)];
}

/** What is live and placed holds its place. */
function checkPlace(task: Task | null, now: Snapshot): Violation[] {
  if (task === null || task.node === null || hasEnded(task)) return [];
  if (now.ledgers.get(task.node)?.entries[task.id] !== undefined) return [];
  return [violation(4, `${task.id} is ${task.state} on ${task.node}, where it holds no place`)];
}

function checkEntries(change: LedgerChange, past: Past, now: Snapshot): Violation[] {
  const { added, removed } = entryChanges(change);
  return [
    ...added.flatMap((task) => checkAdded(task, change.id, past, now)),
    ...removed.flatMap((id) => {
      const task = now.tasks.get(id);
      return hasEnded(task) ? [] : [violation(4, `${id} lost its place on ${change.id} while ${task?.state}`)];
    }),
  ];
}

function checkAdded(id: string, node: string, past: Past, now: Snapshot): Violation[] {
  const earlier = past.placements.get(id);
  if (earlier !== undefined) {
    return [violation(4, `${id} was placed on ${earlier.node} at revision ${earlier.revision}, and on ${node} again`)];
  }
  const task = now.tasks.get(id);
  const others = [...now.ledgers.values()].filter((ledger) => ledger.node !== node && ledger.entries[id] !== undefined);
  return [
    ...(task?.state === 'staging' && task.node === node
      ? []
      : [violation(4, `${id} got a place on ${node} while ${task?.state} on ${task?.node}`)]),
    ...others.map((other) => violation(4, `${id} holds places on ${node} and ${other.node}`)),
  ];
}

function checkEpoch({ id, before, after }: Extract<Change, { kind: 'epochs' }>): Violation[] {
  const [from, to] = [before?.epoch ?? 0, after?.epoch ?? 0];
  return to >= from ? [] : [violation(5, `the epoch of ${id} went from ${from} to ${to}`)];
}

/** An agent that registers and finds the session held by another process asks for a sign of life. */
function callsHolder(change: Change, node: string): boolean {
  return change.kind === 'epochs' && change.id === node && change.after?.epoch === change.before?.epoch;
}

/** Whatever an agent's call commits, but for its registration, belongs to the session that is current. */
function checkSession({ commit, changes, number }: Revision, past: Past): Violation[] {
  const session = commit?.origin.session ?? null;
  if (session === null || changes.some((change) => change.kind === 'nodes')) return [];
  if (session.epoch === 0 && changes.every((change) => callsHolder(change, session.node))) return [];
  const current = past.epochs.get(session.node) ?? 0;
  const foreign = changes.flatMap((change) => {
    const isForeign = change.kind === 'tasks' && change.after?.node !== session.node;
    return isForeign ? [violation(5, `${session.node} reported on ${change.id}, which is not its task`)] : [];
  });
  if (session.epoch === current) return foreign;
  const what = `at revision ${number} ${session.node} committed under epoch ${session.epoch}`;
  return [violation(5, `${what}, though its epoch is ${current}`), ...foreign];
}
