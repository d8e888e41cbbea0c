/**
 * What an agent knows: the tasks in its journal, and the containers that its engine shows. Everything here is plain data;
 * the deciding code reads it, the executor keeps it up to date.
 */
import type { TaskId, VolumeId } from '../../shared/domain/ids.ts';
import type { TerminalState } from '../../shared/domain/task.ts';
import type { AssignedTask, AssignmentPosition, TaskStatus } from '../../shared/protocol/agent.ts';

/**
 * A point in time, on both clocks. Durations are measured on the steady one, so that a machine whose wall clock is set
 * (edge boxes often start in 1970) neither kills early nor waits for ever; the wall clock is what survives a restart.
 */
export interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** The moment that a journal names by wall clock, as seen from `now`. A time that lies ahead counts as now. */
export function momentAt(wallMs: number, now: Moment): Moment {
  return { wallMs, steadyMs: now.steadyMs - Math.max(0, now.wallMs - wallMs) };
}

/**
 * `unassigned`: the task's ledger entry is gone while something of it runs. `disconnected`: the node has been cut off for longer than
 * the task may run on. `unguarded`: it must not run on while the node is cut off, and nothing here could see to that. `unhealthy`: a
 * check has found that it doesn't work.
 */
export type StopCause = 'stop-requested' | 'timed-out' | 'unassigned' | 'disconnected' | 'unguarded' | 'unhealthy';

/** What is to become of a task that doesn't work: another run of it here, or another task in its place. */
export interface Unhealthy {
  readonly reaction: 'restart' | 'replace';
  /** A sentence that names the check, and says what it found. */
  readonly message: string;
}

/** The machine's present life. */
export interface Boot {
  /** The kernel's own name for it, another one each time; null: there is none to be had. */
  readonly id: string | null;
  readonly startedAt: Moment;
}

/** The agent has begun to end a task. */
export interface LocalStop {
  /** Its grace counts from then: when the task was sent the polite signal, or when that began to be waited for. */
  readonly since: Moment;
  /** The polite signal is still to come, so long after `since`. Absent: it was sent. */
  readonly delayMs?: number | undefined;
  readonly graceMs: number;
  readonly cause: StopCause;
  readonly message: string;
}

/** A task that the journal knows. A task the journal doesn't know has never been touched by this agent. */
export interface LocalTask {
  readonly id: TaskId;
  /**
   * `starting`: the engine has not been asked to start anything, though a container may have been created. `launched`: it was about
   * to be asked, so something may have run even where nothing is left of it. `running`: it was started. `ended`: it never runs again.
   */
  readonly phase: 'starting' | 'launched' | 'running' | 'ended';
  /** Which of its runs the phase is about: 0 is the first. */
  readonly run: number;
  /** The boot in which that run was launched; null: it wasn't yet, or nobody knows. */
  readonly boot: string | null;
  /** Further runs after reboots up to now, since the last one that lasted. */
  readonly restarts: number;
  /** When further runs in place were decided, oldest first; of those before the last one only what counted then. */
  readonly again: readonly Moment[];
  /** What the run before came to, where the present one follows it in place; null: that is the first, or follows a reboot. */
  readonly why: string | null;
  /** Of the assignment that it was started from; null where the agent found the container and nothing else. */
  readonly incarnation: number | null;
  /** Of the session in which it was accepted; null as above. */
  readonly epoch: number | null;
  /**
   * What it was started from, so that the agent can start it without asking anybody. What this says of its state is of then.
   * Null where nothing is known of it, and once it has ended.
   */
  readonly origin: AssignedTask | null;
  readonly timeoutMs: number | null;
  readonly graceMs: number;
  /** It may run for so long after the last contact with the control plane; null: for ever. */
  readonly stopAfterMs: number | null;
  readonly startedAt: Moment | null;
  /** A check of the present run has failed, and something is to be done about it; null: not that anybody knows. */
  readonly unhealthy: Unhealthy | null;
  readonly stop: LocalStop | null;
  readonly endedAt: Moment | null;
  /** The last status that was made for it. */
  readonly status: TaskStatus | null;
  /** What the control plane hasn't answered yet, oldest first. */
  readonly unanswered: readonly TaskStatus[];
  /** For a disowned task: whether the control plane has been told that nothing of it runs. */
  readonly release: 'none' | 'pending' | 'answered';
}

export type LocalTasks = ReadonlyMap<TaskId, LocalTask>;

/** Ids of tasks that run without a container begin with this; those that engines give never do, since they are hexadecimal. */
export const PROCESS_ID_PREFIX = 'process-';
/** Those of tasks that an executor runs begin with this. */
export const HOSTED_ID_PREFIX = 'hosted-';

/** One of this node's containers, as the engine shows it, or a task without one as its runtime does. */
export interface Container {
  readonly id: string;
  readonly task: TaskId;
  /** Of the task, by its label. */
  readonly run: number;
  /** `created`: it has never run. */
  readonly state: 'created' | 'running' | 'exited';
  readonly exitCode: number | null;
  readonly outOfMemory: boolean;
  /** The engine's own words about a start that failed; empty otherwise. */
  readonly error: string;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  /** How it ended, where that isn't told by an exit code but by what ran it. */
  readonly ending?: Ending | undefined;
  /** Persistent volumes that it mounts. Absent: none. */
  readonly volumes?: readonly VolumeId[] | undefined;
}

export type Containers = ReadonlyMap<TaskId, Container>;

/** What the control plane wants here. */
export interface Assignment {
  readonly position: AssignmentPosition;
  readonly tasks: ReadonlyMap<TaskId, AssignedTask>;
  /** Of what is kept aside here: whose end somebody has asked for, and why. */
  readonly keptAsideStops: ReadonlyMap<TaskId, string>;
}

/** How a task came out, before it has a time. */
export interface Ending {
  readonly state: TerminalState;
  readonly reason: TaskStatus['reason'];
  readonly message: string;
  readonly exitCode: number | null;
}

/** Grace for a container of which nothing is known but that it isn't wanted. */
export const ORPHAN_GRACE_MS = 10_000;

/** Longest message of a status, in characters: an engine's own words can be pages. */
export const MESSAGE_LENGTH_MAX = 1000;

export function clipMessage(message: string): string {
  const flat = message.trim().replace(/\s*[\r\n]+\s*/g, ' ');
  return flat.length <= MESSAGE_LENGTH_MAX ? flat : `${flat.slice(0, MESSAGE_LENGTH_MAX - 1)}…`;
}
