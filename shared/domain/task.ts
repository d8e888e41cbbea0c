/**
 * One instance of a group, and the states that it passes through. The table of transitions is the only place that says
 * what may follow what; terminal states are final.
 */
import type { FrameworkId, JobUid, NodeId, RolePath, TaskId } from './ids.ts';
import type { JobSpec, StopRequest, TaskGroup } from './job.ts';

export const TASK_STATES = [
  'pending',
  'staging',
  'starting',
  'running',
  'finished',
  'failed',
  'killed',
  'error',
  'lost',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/**
 * `finished`: exit code 0. `failed`: any other end of its own. `killed`: on request. `error`: it could not be started as
 * it was described. `lost`: nobody knows what became of it.
 */
export const TERMINAL_STATES = ['finished', 'failed', 'killed', 'error', 'lost'] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];

export function isTerminal(state: TaskState): state is TerminalState {
  return RANK[state] === 4;
}

/** States only ever rise in rank; all terminal states share the highest, so none follows another. */
const RANK: Readonly<Record<TaskState, number>> = {
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

/** Whether a task may go from one state to another. States may be skipped, never gone back to. */
export function mayFollow(from: TaskState, to: TaskState): boolean {
  return RANK[to] > RANK[from];
}

/** Where a task stands: its state, in which of its runs. */
export interface Standing {
  readonly state: TaskState;
  readonly run: number;
}

/**
 * Whether word of `to` is news to whoever knows of `from`. A later run may begin while an earlier one is on record as running;
 * of an earlier one nothing is news any more.
 */
export function isNewer(from: Standing, to: Standing): boolean {
  if (isTerminal(from.state) || to.run < from.run) return false;
  return mayFollow(to.run === from.run ? from.state : 'staging', to.state);
}

/**
 * Where a task stands, as {@link isNewer} takes it. Between two of its runs it stands as one that is being started, although its
 * record goes on to say that it runs: that its next run has begun is news then.
 */
export function standingOf(task: Pick<Task, 'state' | 'run' | 'restarts'>): Standing {
  return { state: isBetweenRuns(task) ? 'starting' : task.state, run: task.run };
}

/** One of its runs has ended, and the next one, which is `run` already, has not begun: nothing of it runs. */
export function isBetweenRuns({ state, run, restarts }: Pick<Task, 'state' | 'run' | 'restarts'>): boolean {
  return state === 'running' && run > begunRun({ restarts });
}

/** The last run that is on record as begun; 0 where that is the first, begun or not. */
export function begunRun({ restarts }: Pick<Task, 'restarts'>): number {
  return restarts.at(-1)?.run ?? 0;
}

/** Why a task changed its state: a stable word for programs. The sentence beside it is for people. */
export const TASK_REASONS = [
  'submitted',
  'retried',
  'placed',
  'launched',
  'launch-refused',
  'accepted',
  'pulling-image',
  'started',
  'restarted-in-place',
  'unhealthy',
  'restarted-after-reboot',
  'exited',
  'executor-ended',
  'out-of-memory',
  'timed-out',
  'stop-requested',
  'image-unavailable',
  'secret-unavailable',
  'command-unusable',
  'refused-by-node',
  'engine-error',
  'node-rebooted',
  'node-lost',
  'disconnected',
  'not-found-on-node',
  'state-restored',
] as const;
export type TaskReason = (typeof TASK_REASONS)[number];

export interface TaskTransition {
  readonly state: TaskState;
  readonly atMs: number;
  readonly reason: TaskReason;
  /** A sentence that says what happened and, if it went wrong, what to do. */
  readonly message: string;
}

/** The beginning of a further run. */
export interface TaskRestart {
  readonly run: number;
  readonly atMs: number;
  readonly reason: TaskReason;
  readonly message: string;
}

/** The latest so many are kept. */
export const RESTARTS_KEPT_MAX = 20;

/** What a task is made from: one group of its job's version, or what its framework launched it with. */
export interface TaskTemplate extends Pick<JobSpec, 'priority' | 'replaceAfterSeconds' | 'stopAfterDisconnectSeconds'> {
  readonly group: TaskGroup;
}

/** What a framework knows about a task that it has launched, and what the task's record keeps for it. */
export interface LaunchedTask {
  readonly id: FrameworkId;
  /** What the framework itself calls the task. */
  readonly name: string;
  /** How many transitions of the task's history it has acknowledged, from the first: `staging`, which is its own doing, counts. */
  readonly acknowledged: number;
  /** For the framework alone. */
  readonly labels: Readonly<Record<string, string>>;
  /** Kept and shown for whoever speaks for the framework; nothing is decided by them. */
  readonly annotations: Readonly<Record<string, string>>;
  /** The first task of the group that it was launched in: they end together. Null: it was launched by itself. */
  readonly together: TaskId | null;
}

/** What the agent next to the task has found out about it, in one of its runs. */
export interface TaskHealth {
  readonly run: number;
  /** Whether all checks for health pass; null: it hasn't been seen yet, or there are none. */
  readonly healthy: boolean | null;
  /** Whether all checks for readiness pass; true where there are none. */
  readonly ready: boolean;
  /** When either of the two last changed, on the node's clock. */
  readonly sinceMs: number;
  readonly checks: readonly CheckResult[];
}

export interface CheckResult {
  readonly name: string;
  /** Null: it has not been decided yet. */
  readonly passing: boolean | null;
  /** What the last probe said, shortened. */
  readonly message: string;
  readonly atMs: number;
}

/** Of a check's message, in characters. */
export const CHECK_MESSAGE_LENGTH_MAX = 300;

export interface TaskTarget {
  readonly node: NodeId;
  /** Only there, as the tasks of a system job; else it is one reason to choose it. */
  readonly required: boolean;
}

export interface Task {
  readonly id: TaskId;
  readonly jobUid: JobUid;
  readonly jobName: string;
  readonly jobVersion: number;
  readonly role: RolePath;
  readonly group: string;
  readonly index: number;
  /** 0 for the first; each retry is a new task with the next number. */
  readonly attempt: number;
  /** 0 for the first; each time that the task is started again in place it is the next one. */
  readonly run: number;
  /** How its further runs began, oldest first. They change nothing about its state. */
  readonly restarts: readonly TaskRestart[];
  readonly state: TaskState;
  /** Every transition so far, oldest first. */
  readonly history: readonly TaskTransition[];
  /** Not placed before this time: the backoff of a retry. */
  readonly notBeforeMs: number;
  /** Where it holds or held a place. */
  readonly node: NodeId | null;
  /** Host ports by name, once placed. */
  readonly ports: Readonly<Record<string, number>>;
  readonly exitCode: number | null;
  readonly stop: StopRequest | null;
  /** What its checks say; null: it has none, or they have said nothing yet. */
  readonly health: TaskHealth | null;
  /** Where it is to be placed; null: anywhere. */
  readonly target: TaskTarget | null;
  /** How many attempts of its slot before it have gone wrong in a row. */
  readonly failures: number;
  /** Null: it is of a job. */
  readonly framework: LaunchedTask | null;
  /** Of a task that a framework has launched; null: it stands in a version of the job. */
  readonly template: TaskTemplate | null;
}

/** The task after one more transition. The caller has checked {@link mayFollow}. */
export function advance(task: Task, transition: TaskTransition, change: Partial<Task> = {}): Task {
  return { ...task, ...change, state: transition.state, history: [...task.history, transition] };
}

/** The task in a further run, while it goes on to be running. */
export function restarted(task: Task, restart: TaskRestart): Task {
  return { ...task, run: restart.run, restarts: [...task.restarts, restart].slice(-RESTARTS_KEPT_MAX) };
}

/** When the task entered `state`, or null if it never did. */
export function enteredAtMs(task: Task, state: TaskState): number | null {
  return task.history.find((transition) => transition.state === state)?.atMs ?? null;
}

/** When the task was created. */
export function createdAtMs(task: Task): number {
  return task.history[0]?.atMs ?? 0;
}
