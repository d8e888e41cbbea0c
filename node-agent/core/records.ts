/**
 * The journal's records, and what they add up to. A task's state changes only by a record: the executor applies it to
 * memory and appends it to the journal in one go, so that a crash at any point is a replay away from where it was.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { AssignmentPosition, Stamp, TaskStatus } from '../../shared/protocol/agent.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { type LocalTask, type Moment, momentAt, ORPHAN_GRACE_MS, type StopCause } from './model.ts';

/** Times are wall-clock milliseconds. */
export type JournalRecord =
  /** Written before anything of the task exists in the engine. */
  | {
      readonly kind: 'starting';
      readonly task: TaskId;
      readonly incarnation: number;
      readonly timeoutMs: number | null;
      readonly graceMs: number;
      /** Absent in journals from before there was such a thing. */
      readonly stopAfterMs?: number | null;
    }
  /**
   * `isSent`: the engine is about to be asked to start the task's container. Otherwise that is undone: the container was seen never to
   * have run, and is about to be removed.
   */
  | { readonly kind: 'launch'; readonly task: TaskId; readonly isSent: boolean }
  /** A status was made and waits to be answered. `running` and the terminal ones also say where the task stands. */
  | { readonly kind: 'status'; readonly status: TaskStatus }
  | { readonly kind: 'answered'; readonly task: TaskId; readonly state: TaskStatus['state'] }
  | {
      readonly kind: 'stopping';
      readonly task: TaskId;
      readonly atMs: number;
      readonly graceMs: number;
      readonly cause: StopCause;
      readonly message: string;
    }
  | { readonly kind: 'release'; readonly task: TaskId; readonly answered: boolean }
  | { readonly kind: 'forgotten'; readonly task: TaskId }
  | { readonly kind: 'position'; readonly position: AssignmentPosition }
  | { readonly kind: 'stamp'; readonly stamp: StampState }
  /** The node was declared gone and nothing of it runs any more: it joins as a new one. */
  | { readonly kind: 'afresh' }
  /** A whole task at once: what a compacted journal consists of. */
  | { readonly kind: 'task'; readonly task: CompactTask };

/** A {@link LocalTask} with its moments reduced to wall-clock times. */
export type CompactTask = Omit<LocalTask, 'startedAt' | 'stop' | 'endedAt' | 'stopAfterMs'> & {
  /** Absent in journals from before there was such a thing. */
  readonly stopAfterMs?: number | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly stop: (Omit<NonNullable<LocalTask['stop']>, 'since'> & { readonly sinceMs: number }) | null;
};

/** Where the agent stands with the stamps that it registers with: {@link Stamp} says what they are for. */
export interface StampState {
  readonly last: string | null;
  /** Of the session that `last` was confirmed in. */
  readonly epoch: number;
  /** It may have been sent; null: none is made yet. */
  readonly next: string | null;
}

const NO_STAMP: StampState = { last: null, epoch: 0, next: null };

/** What a journal adds up to. Changed in place by {@link applyRecord}, its one writer. */
export interface TaskBook {
  readonly tasks: Map<TaskId, LocalTask>;
  position: AssignmentPosition | null;
  stamp: StampState;
}

export function emptyBook(): TaskBook {
  return { tasks: new Map(), position: null, stamp: NO_STAMP };
}

export function applyRecord(book: TaskBook, record: JournalRecord, now: Moment): void {
  switch (record.kind) {
    case 'position':
      book.position = record.position;
      break;
    case 'stamp':
      book.stamp = record.stamp;
      break;
    case 'afresh':
      book.position = null;
      book.stamp = NO_STAMP;
      break;
    case 'forgotten':
      book.tasks.delete(record.task);
      break;
    case 'task':
      book.tasks.set(record.task.id, expand(record.task, now));
      break;
    default: {
      const id = record.kind === 'status' ? record.status.task : record.task;
      const known = book.tasks.get(id);
      // An answer that comes after its task was forgotten must not bring it back.
      if (known === undefined && record.kind === 'answered') break;
      book.tasks.set(id, changed(known ?? unseen(id), record, now));
    }
  }
}

type TaskChange = Exclude<JournalRecord, { readonly kind: 'position' | 'stamp' | 'afresh' | 'forgotten' | 'task' }>;

function changed(task: LocalTask, record: TaskChange, now: Moment): LocalTask {
  switch (record.kind) {
    case 'status':
      return withStatus(task, record.status, now);
    case 'answered':
      return withoutAnswered(task, record.state);
    case 'starting': {
      const { incarnation, timeoutMs, graceMs, stopAfterMs = null } = record;
      return { ...task, incarnation, timeoutMs, graceMs, stopAfterMs };
    }
    case 'launch':
      return withLaunch(task, record.isSent);
    case 'stopping': {
      const { graceMs, cause, message } = record;
      return { ...task, stop: { since: momentAt(record.atMs, now), graceMs, cause, message } };
    }
    case 'release': {
      const release = record.answered ? 'answered' : 'pending';
      return { ...task, phase: 'ended', endedAt: task.endedAt ?? now, release };
    }
    default:
      return unreachable(record);
  }
}

/** The fewest records that add up to `book`. */
export function compactBook(book: TaskBook): JournalRecord[] {
  const records: JournalRecord[] = [...book.tasks.values()].map((task) => ({ kind: 'task', task: compact(task) }));
  if (book.position !== null) records.push({ kind: 'position', position: book.position });
  if (book.stamp !== NO_STAMP) records.push({ kind: 'stamp', stamp: book.stamp });
  return records;
}

function unseen(id: TaskId): LocalTask {
  return {
    id,
    phase: 'starting',
    incarnation: null,
    timeoutMs: null,
    graceMs: ORPHAN_GRACE_MS,
    stopAfterMs: null,
    startedAt: null,
    stop: null,
    endedAt: null,
    status: null,
    unanswered: [],
    release: 'none',
  };
}

function withStatus(task: LocalTask, status: TaskStatus, now: Moment): LocalTask {
  const at = momentAt(status.atMs, now);
  const next = { ...task, status, unanswered: [...task.unanswered, status] };
  if (isTerminal(status.state)) return { ...next, phase: 'ended', endedAt: task.endedAt ?? at };
  if (status.state === 'running' && task.phase !== 'ended') {
    return { ...next, phase: 'running', startedAt: task.startedAt ?? at };
  }
  return next;
}

function withLaunch(task: LocalTask, isSent: boolean): LocalTask {
  if (task.phase !== (isSent ? 'starting' : 'launched')) return task;
  return { ...task, phase: isSent ? 'launched' : 'starting' };
}

function withoutAnswered(task: LocalTask, state: TaskStatus['state']): LocalTask {
  const answered = task.unanswered.findIndex((status) => status.state === state);
  return answered < 0 ? task : { ...task, unanswered: task.unanswered.filter((_, index) => index !== answered) };
}

function compact(task: LocalTask): CompactTask {
  const { startedAt, endedAt, stop, ...rest } = task;
  return {
    ...rest,
    startedAtMs: startedAt?.wallMs ?? null,
    endedAtMs: endedAt?.wallMs ?? null,
    stop: stop && {
      sinceMs: stop.since.wallMs,
      graceMs: stop.graceMs,
      cause: stop.cause,
      message: stop.message,
    },
  };
}

function expand(task: CompactTask, now: Moment): LocalTask {
  const { startedAtMs, endedAtMs, stop, stopAfterMs = null, ...rest } = task;
  return {
    ...rest,
    stopAfterMs,
    startedAt: startedAtMs === null ? null : momentAt(startedAtMs, now),
    endedAt: endedAtMs === null ? null : momentAt(endedAtMs, now),
    stop: stop && {
      since: momentAt(stop.sinceMs, now),
      graceMs: stop.graceMs,
      cause: stop.cause,
      message: stop.message,
    },
  };
}
