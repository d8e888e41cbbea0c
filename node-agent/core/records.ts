/**
 * The journal's records, and what they add up to. A task's state changes only by a record: the executor applies it to
 * memory and appends it to the journal in one go, so that a crash at any point is a replay away from where it was.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { TaskGroup } from '../../shared/domain/job.ts';
import { isTerminal, RESTARTS_KEPT_MAX } from '../../shared/domain/task.ts';
import type {
  AssignedTask,
  AssignedTaskBody,
  AssignmentPosition,
  Stamp,
  TaskStatus,
} from '../../shared/protocol/agent.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { withAgain } from './again.ts';
import {
  type LocalStop,
  type LocalTask,
  type Moment,
  momentAt,
  ORPHAN_GRACE_MS,
  type StopCause,
  type Unhealthy,
} from './model.ts';

/** Times are wall-clock milliseconds. */
export type JournalRecord =
  /** Hundreds of tasks are often made from one template, which may be large: it is written once, before the first of them. */
  | { readonly kind: 'template'; readonly key: string; readonly group: TaskGroup }
  /** Written before anything of the task exists in the engine. */
  | {
      readonly kind: 'starting';
      readonly task: TaskId;
      readonly incarnation: number;
      readonly timeoutMs: number | null;
      readonly graceMs: number;
      /** This and what follows is absent in journals from before there were such things. */
      readonly stopAfterMs?: number | null;
      readonly epoch?: number;
      /** `group` is the key of a template. */
      readonly origin?: AssignedTaskBody;
    }
  /**
   * `isSent`: the engine is about to be asked to start the task's container. Otherwise that is undone: the container was seen never to
   * have run, and is about to be removed. `boot`: the machine's present one.
   */
  | { readonly kind: 'launch'; readonly task: TaskId; readonly isSent: boolean; readonly boot: string | null }
  /** Its present run has ended with the machine, and it is to be started again as this one. */
  | { readonly kind: 'run'; readonly task: TaskId; readonly run: number }
  /** Its present run has ended by itself, as `why` says, and it is to be started again where it is as this one. */
  | { readonly kind: 'again'; readonly task: TaskId; readonly run: number; readonly atMs: number; readonly why: string }
  /** Its present run has lasted. */
  | { readonly kind: 'lasted'; readonly task: TaskId }
  /** A check has found that its present run doesn't work. */
  | ({ readonly kind: 'unhealthy'; readonly task: TaskId; readonly run: number } & Unhealthy)
  /** A status was made and waits to be answered. `running` and the terminal ones also say where the task stands. */
  | { readonly kind: 'status'; readonly status: TaskStatus }
  | {
      readonly kind: 'answered';
      readonly task: TaskId;
      readonly state: TaskStatus['state'];
      /** Absent in journals from before a task could have several that wait. */
      readonly run?: number;
    }
  | {
      readonly kind: 'stopping';
      readonly task: TaskId;
      readonly atMs: number;
      /** Until the polite signal. Absent: it is sent at once. */
      readonly delayMs?: number | undefined;
      readonly graceMs: number;
      readonly cause: StopCause;
      readonly message: string;
    }
  /** The polite signal is about to be sent after its delay. */
  | { readonly kind: 'signalled'; readonly task: TaskId; readonly atMs: number }
  | { readonly kind: 'release'; readonly task: TaskId; readonly answered: boolean }
  | { readonly kind: 'forgotten'; readonly task: TaskId }
  | { readonly kind: 'position'; readonly position: AssignmentPosition }
  | { readonly kind: 'stamp'; readonly stamp: StampState }
  /** The node was declared gone and nothing of it runs any more: it joins as a new one. */
  | { readonly kind: 'afresh' }
  /** A whole task at once: what a compacted journal consists of. */
  | { readonly kind: 'task'; readonly task: CompactTask };

/** A {@link LocalTask} with its moments reduced to wall-clock times, and its template to a key. */
export type CompactTask = Omit<LocalTask, TimedMember | 'origin' | 'stopAfterMs' | 'why' | 'unhealthy'> & {
  /** Absent in journals from before there was such a thing. */
  readonly stopAfterMs?: number | null;
  /** And these as well. */
  readonly againMs?: readonly number[];
  readonly why?: string | null;
  readonly unhealthy?: Unhealthy | null;
  readonly origin: AssignedTaskBody | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly stop: CompactStop | null;
};

type CompactStop = Omit<LocalStop, 'since'> & { readonly sinceMs: number };

type TimedMember = 'startedAt' | 'stop' | 'endedAt' | 'again';

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
  /** Those that tasks are made from that may yet be started, by their keys. */
  readonly templates: Map<string, TaskGroup>;
  position: AssignmentPosition | null;
  stamp: StampState;
}

export function emptyBook(): TaskBook {
  return { tasks: new Map(), templates: new Map(), position: null, stamp: NO_STAMP };
}

/** What goes on record before a task is started: its template, unless that is on record already, and the task itself. */
export function startingRecords(
  book: TaskBook,
  { group, ...assigned }: AssignedTask,
  { incarnation, epoch }: { readonly incarnation: number; readonly epoch: number },
): JournalRecord[] {
  const key = templateKey(incarnation, assigned);
  const { timeoutSeconds, killGraceSeconds } = group;
  return [
    ...(book.templates.has(key) ? [] : [{ kind: 'template', key, group } as const]),
    {
      kind: 'starting',
      task: assigned.id,
      incarnation,
      epoch,
      timeoutMs: timeoutSeconds === undefined ? null : timeoutSeconds * 1000,
      graceMs: killGraceSeconds * 1000,
      stopAfterMs: assigned.stopAfterDisconnectMs,
      origin: { ...assigned, group: key },
    },
  ];
}

/** A version of a job never changes, unless the state was restored from an older snapshot and the number given out again. */
function templateKey(
  incarnation: number | null,
  { jobUid, jobVersion, groupName }: Pick<AssignedTask, 'jobUid' | 'jobVersion' | 'groupName'>,
): string {
  return `${incarnation ?? 0}/${jobUid}/${jobVersion}/${groupName}`;
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
    case 'template':
      book.templates.set(record.key, record.group);
      break;
    case 'forgotten':
      replaceTask(book, record.task, null);
      break;
    case 'task':
      replaceTask(book, record.task.id, expand(record.task, book.templates, now));
      break;
    default: {
      const id = record.kind === 'status' ? record.status.task : record.task;
      const known = book.tasks.get(id);
      // An answer that comes after its task was forgotten must not bring it back.
      if (known === undefined && record.kind === 'answered') break;
      replaceTask(book, id, changed(known ?? unseen(id), record, book.templates, now));
    }
  }
}

/** A template goes with the last task that may be started from it. */
function replaceTask(book: TaskBook, id: TaskId, next: LocalTask | null): void {
  const before = templateOf(book.tasks.get(id));
  if (next === null) book.tasks.delete(id);
  else book.tasks.set(id, next);
  if (before === null || before === templateOf(next ?? undefined)) return;
  for (const task of book.tasks.values()) if (templateOf(task) === before) return;
  book.templates.delete(before);
}

/** Of a book that was just read: a crash may have come between a template and the task that it was written for. */
export function dropUnusedTemplates(book: TaskBook): void {
  const used = new Set([...book.tasks.values()].map(templateOf));
  for (const key of [...book.templates.keys()]) if (!used.has(key)) book.templates.delete(key);
}

function templateOf(task: LocalTask | undefined): string | null {
  return task?.origin ? templateKey(task.incarnation, task.origin) : null;
}

type TaskChange = Exclude<
  JournalRecord,
  { readonly kind: 'template' | 'position' | 'stamp' | 'afresh' | 'forgotten' | 'task' }
>;
type Templates = TaskBook['templates'];

function changed(task: LocalTask, record: TaskChange, templates: Templates, now: Moment): LocalTask {
  switch (record.kind) {
    case 'status':
      return withStatus(task, record.status, now);
    case 'answered':
      return withoutAnswered(task, record);
    case 'starting': {
      const { incarnation, epoch = null, timeoutMs, graceMs, stopAfterMs = null } = record;
      const origin = task.phase === 'ended' ? null : resolved(record.origin ?? null, templates);
      return { ...task, incarnation, epoch, timeoutMs, graceMs, stopAfterMs, origin };
    }
    case 'launch':
      return withLaunch(task, record.isSent, record.boot);
    case 'run':
      return withRun(task, record.run, { restarts: task.restarts + 1, why: null });
    case 'again': {
      const again = withAgain(task, momentAt(record.atMs, now));
      return withRun(task, record.run, { again, why: record.why });
    }
    case 'lasted':
      return { ...task, restarts: 0 };
    case 'unhealthy': {
      const { run, reaction, message } = record;
      return run === task.run ? { ...task, unhealthy: { reaction, message } } : task;
    }
    case 'stopping': {
      const { kind, task: id, atMs, ...how } = record;
      return { ...task, stop: { since: momentAt(atMs, now), ...how } };
    }
    case 'signalled': {
      if (task.stop === null) return task;
      const { delayMs, ...stop } = task.stop;
      return { ...task, stop: { ...stop, since: momentAt(record.atMs, now) } };
    }
    case 'release': {
      const release = record.answered ? 'answered' : 'pending';
      return { ...task, phase: 'ended', endedAt: task.endedAt ?? now, release, origin: null };
    }
    default:
      return unreachable(record);
  }
}

/** Null: the template is not on record, since its line was damaged. */
function resolved(origin: AssignedTaskBody | null, templates: Templates): AssignedTask | null {
  const group = origin === null ? undefined : templates.get(origin.group);
  return origin === null || group === undefined ? null : { ...origin, group };
}

/** The fewest records that add up to `book`. */
export function compactBook(book: TaskBook): JournalRecord[] {
  const templates = [...book.templates].map(([key, group]) => ({ kind: 'template', key, group }) as const);
  const tasks = [...book.tasks.values()].map((task) => ({ kind: 'task', task: compact(task) }) as const);
  const records: JournalRecord[] = [...templates, ...tasks];
  if (book.position !== null) records.push({ kind: 'position', position: book.position });
  if (book.stamp !== NO_STAMP) records.push({ kind: 'stamp', stamp: book.stamp });
  return records;
}

function unseen(id: TaskId): LocalTask {
  return {
    id,
    phase: 'starting',
    run: 0,
    boot: null,
    restarts: 0,
    again: [],
    why: null,
    incarnation: null,
    epoch: null,
    origin: null,
    timeoutMs: null,
    graceMs: ORPHAN_GRACE_MS,
    stopAfterMs: null,
    startedAt: null,
    unhealthy: null,
    stop: null,
    endedAt: null,
    status: null,
    unanswered: [],
    release: 'none',
  };
}

/**
 * Of one task: what a node that is cut off for days has to tell of a task that goes down again and again. The control plane keeps no
 * more of its further runs than the latest.
 */
export const UNANSWERED_MAX = 2 * RESTARTS_KEPT_MAX;

function withStatus(task: LocalTask, status: TaskStatus, now: Moment): LocalTask {
  const at = momentAt(status.atMs, now);
  const next = { ...task, status, unanswered: [...task.unanswered, status].slice(-UNANSWERED_MAX) };
  if (isTerminal(status.state)) return { ...next, phase: 'ended', endedAt: task.endedAt ?? at, origin: null };
  if (status.state === 'running' && task.phase !== 'ended') {
    return { ...next, phase: 'running', startedAt: task.startedAt ?? at };
  }
  return next;
}

function withLaunch(task: LocalTask, isSent: boolean, boot: string | null): LocalTask {
  if (task.phase !== (isSent ? 'starting' : 'launched')) return task;
  return isSent ? { ...task, phase: 'launched', boot } : { ...task, phase: 'starting', boot: null };
}

function withRun(task: LocalTask, run: number, change: Partial<LocalTask>): LocalTask {
  if (task.phase === 'ended' || run <= task.run) return task;
  const anew = { boot: null, startedAt: null, unhealthy: null, stop: null };
  return { ...task, ...change, ...anew, phase: 'starting', run };
}

function withoutAnswered(
  task: LocalTask,
  { state, run }: Extract<JournalRecord, { readonly kind: 'answered' }>,
): LocalTask {
  const isIt = (status: TaskStatus) => status.state === state && (run === undefined || status.run === run);
  const answered = task.unanswered.findIndex(isIt);
  return answered < 0 ? task : { ...task, unanswered: task.unanswered.filter((_, index) => index !== answered) };
}

function compact(task: LocalTask): CompactTask {
  const { startedAt, endedAt, stop, origin, again, ...rest } = task;
  return {
    ...rest,
    againMs: again.map(({ wallMs }) => wallMs),
    origin: origin && { ...origin, group: templateKey(task.incarnation, origin) },
    startedAtMs: startedAt?.wallMs ?? null,
    endedAtMs: endedAt?.wallMs ?? null,
    stop: stop && compactStop(stop),
  };
}

/** A journal of an older agent leaves members out. */
function expand(task: CompactTask, templates: Templates, now: Moment): LocalTask {
  const { startedAtMs, endedAtMs, stop, origin, stopAfterMs = null, againMs = [], why = null, ...more } = task;
  const { unhealthy = null, ...rest } = more;
  return {
    ...unseen(task.id),
    ...rest,
    stopAfterMs,
    unhealthy,
    why,
    again: againMs.map((atMs) => momentAt(atMs, now)),
    origin: resolved(origin ?? null, templates),
    startedAt: startedAtMs === null ? null : momentAt(startedAtMs, now),
    endedAt: endedAtMs === null ? null : momentAt(endedAtMs, now),
    stop: stop && expandStop(stop, now),
  };
}

function compactStop({ since, ...stop }: LocalStop): CompactStop {
  return { ...stop, sinceMs: since.wallMs };
}

function expandStop({ sinceMs, ...stop }: CompactStop, now: Moment): LocalStop {
  return { ...stop, since: momentAt(sinceMs, now) };
}
