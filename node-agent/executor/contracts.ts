/**
 * What the agent needs from the world, in its own words. Adapters in the neighbouring folders bend to it; tests and the
 * simulator hand in others.
 */
import type { TaskId, VolumeId } from '../../shared/domain/ids.ts';
import type { GpuDevice } from '../../shared/domain/node.ts';
import type { CheckSpec } from '../../shared/domain/service.ts';
import type {
  AssignedTask,
  AssignmentPosition,
  AssignmentResponse,
  HeartbeatResponse,
  LogLine,
  MessageForTask,
  MessagesRequest,
  MessagesResponse,
  RegisterRequest,
  RegisterResponse,
  StatusesRequest,
  StatusesResponse,
  TaskIdentityResponse,
  TaskSecretsResponse,
} from '../../shared/protocol/agent.ts';
import type { ProbeOutcome } from '../core/checks.ts';
import type { GivenIdentity } from '../core/identity.ts';
import type { Boot, Container } from '../core/model.ts';
import type { JournalRecord } from '../core/records.ts';
import type { Retention } from '../core/retention.ts';
import type { GivenSecrets, TaskFile } from '../core/secrets.ts';

/** What a container is made of, beside what the agent itself knows. */
export interface ContainerRequest {
  readonly assigned: AssignedTask;
  readonly epoch: number;
  /** Which of the task's runs it is for. A task has one container at a time, whichever run it is of. */
  readonly run: number;
  /** Where bind mounts really lead, by their source, and where persistent volumes are, by their id. */
  readonly mountSources: ReadonlyMap<string, string>;
  /** Of an executor: the folder with the socket that it reaches the agent by, which no other task may see. */
  readonly endpoint?: string | undefined;
  /** What the run is given in confidence. Absent: nothing. */
  readonly secrets?: GivenSecrets | undefined;
  /** Tokens of the task about itself, which are exchanged while it runs. Absent: none. */
  readonly identity?: GivenIdentity | undefined;
}

export type RunResult =
  | { readonly type: 'started'; readonly container: Container }
  /** The engine doesn't have the image, although it was thought to. */
  | { readonly type: 'image-missing' }
  /** It can't be run as described. Nothing of it is left behind. */
  | {
      readonly type: 'refused';
      readonly reason: 'command-unusable' | 'engine-error' | 'refused-by-node' | 'executor-ended';
      readonly message: string;
    };

export type PullResult = { readonly type: 'pulled' } | { readonly type: 'failed'; readonly message: string };

export interface ExecResult {
  /** Null: it was ended before it came to an end by itself. */
  readonly exitCode: number | null;
  /** The beginning of what it wrote, to either stream; at most {@link EXEC_OUTPUT_LENGTH_MAX} characters. */
  readonly output: string;
}

export const EXEC_OUTPUT_LENGTH_MAX = 1000;

export interface LogRequest {
  readonly follow: boolean;
  readonly tail: number | null;
  readonly since: string | null;
}

/**
 * A container engine. Faults of the engine itself (away, hung) are thrown as {@link RuntimeFault}: then it is unknown
 * what has happened, and the agent lists again before it does anything else.
 */
export interface Runtime {
  /** Every container of this node, ended ones too. */
  list(): Promise<readonly Container[]>;
  /** Null: there is no such container. */
  inspect(container: string): Promise<Container | null>;
  /** Whether the image is there. May answer from memory; {@link run} notices when that was wrong. */
  hasImage(image: string): Promise<boolean>;
  pullImage(image: string, signal: AbortSignal): Promise<PullResult>;
  /**
   * Creates the container, waits for `beforeStart`, which is told its id, and starts it. Where `beforeStart` throws, so does this,
   * and the container is left as it was created.
   */
  run(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult>;
  /**
   * By its name. SIGTERM stands for the polite signal where the task's group names none: an engine may know of one that the image asks
   * for. Harmless where the container has ended or is gone.
   */
  signal(container: string, signal: string): Promise<void>;
  /**
   * Removes the container with its output. False: it runs, and was left alone, since it may have been started by an earlier
   * call that was still under way; only a kill ends a run. Harmless where it is gone.
   */
  remove(container: string): Promise<boolean>;
  /** Tells of ends as they happen, and of gaps in which some may have been missed. Keeps itself connected until closed. */
  watch(listener: RuntimeListener): Subscription;
  /** Lines in order, in batches as they arise; ends when the container has ended and everything is read, or on abort. */
  logs(container: string, request: LogRequest, signal: AbortSignal): AsyncIterable<readonly LogLine[]>;
  /**
   * Runs a command beside what runs in the container already, with the same user, environment and limits. Resolves when it has ended,
   * or soon after an abort, which ends what can be ended of it. Throws {@link RuntimeFault} also where the container doesn't run.
   */
  exec(container: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult>;
  /** Where a path of the node leads; null: nowhere. */
  resolvePath(path: string): Promise<string | null>;
}

/** A port of this node that a task listens on, and how to find out whether it does. */
export interface ProbeTarget {
  readonly spec: CheckSpec;
  readonly port: number;
}

/** Checks tasks by way of the network. Nothing is kept between probes. */
export interface Probes {
  /** Never throws: what goes wrong is the outcome. Resolves soon after an abort, and what it says then is no matter. */
  probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome>;
}

/** What executors are told beside their tasks, and what they say. */
export interface Executors {
  /**
   * Passes it on to the executor that the task is or is run by. `gone`: there is none. `crowded`: not now. The same one may be
   * handed over again.
   */
  deliver(message: MessageForTask): 'waits' | 'gone' | 'crowded';
  /** Whether it is taken is no matter any more. */
  withdraw(message: string): void;
  listen(listener: ExecutorsListener): Subscription;
}

export interface ExecutorsListener {
  /** The executor has taken a message. */
  onTaken(message: string): void;
  /** A task says something to its framework. False: it can't be taken now. */
  onSaid(message: { readonly task: string; readonly data: string }): boolean;
}

export interface RuntimeListener {
  /** The container has ended or is gone. `end`: how it has ended, where that is known already and need not be looked for. */
  onEnd(task: string, container: string, end?: ContainerEnd): void;
  /** Events may have been missed: list again. Also called once when watching begins. */
  onGap(): void;
}

/** It ran, and came to its end in no other way than by this exit code. `atMs`: on the wall clock. */
export interface ContainerEnd {
  readonly exitCode: number;
  readonly atMs: number;
}

export interface Subscription {
  close(): void;
}

/** The engine can't be reached or doesn't answer. `message` says what was being done. */
export class RuntimeFault extends Error {
  override readonly name = 'RuntimeFault';
}

/** A volume can't be made or deleted now. `message` says what was being done. */
export class VolumeFault extends Error {
  override readonly name = 'VolumeFault';
}

/** Persistent volumes: folders of this node that outlive tasks and agents. Faults of the disk are thrown as {@link VolumeFault}. */
export interface Volumes {
  /** The path of its folder, which is made where it is missing. */
  ensure(id: VolumeId): Promise<string>;
  /** Deletes it with all that is in it, and nothing that a link in it leads to. Harmless where it is gone. */
  remove(id: VolumeId): Promise<void>;
}

/** Files in memory can't be written or removed now. `message` says what was being done, and nothing of what is in them. */
export class TaskFilesFault extends Error {
  override readonly name = 'TaskFilesFault';
}

/**
 * What tasks are given in confidence, as files in the node's memory: no disk ever holds them, and the end of the machine is theirs.
 * A task may have several folders of them, each written by whoever gives it something. Faults are thrown as {@link TaskFilesFault}.
 */
export interface TaskFiles {
  /** Why the node can keep none; null: it can. */
  readonly refusal: string | null;
  /** Tasks that have some, whoever wrote them. */
  readonly held: ReadonlySet<TaskId>;
  /** Puts these files in the place of all that the task has in the folder. They are the agent's own. Returns the folder's path. */
  write(task: TaskId, folder: string, files: readonly TaskFile[]): Promise<string>;
  /**
   * Puts each of these in the place of the file of its name, in one step, with the same owner and mode. Who has the folder open, or
   * mounted, sees the new ones. False: the task has no such folder.
   */
  exchange(task: TaskId, folder: string, files: readonly TaskFile[]): Promise<boolean>;
  /** Null: the task has no such folder. */
  read(task: TaskId, folder: string): Promise<{ readonly folder: string; readonly files: readonly TaskFile[] } | null>;
  /** Everything of the task. Harmless where there is nothing. */
  remove(task: TaskId): Promise<void>;
}

/** The journal can't be written: nothing new may be begun. */
export class JournalFault extends Error {
  override readonly name = 'JournalFault';
}

/** The agent's memory across its own death. Records are kept in the order in which they were appended. */
export interface Journal {
  load(): Promise<readonly JournalRecord[]>;
  append(record: JournalRecord): void;
  /** Resolves when all that was appended before survives a power cut; throws {@link JournalFault} when it can't be written. */
  flush(): Promise<void>;
  /** Replaces everything that was appended so far, in one step. */
  compact(records: readonly JournalRecord[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * What stops containers when the node has been cut off for too long, even if this process is gone or held up: a dead-man outside of
 * it. It counts from the sending of the last heartbeat that the control plane confirmed, on a clock of the machine that never steps
 * and goes on while the machine is suspended.
 */
export interface Fence {
  /** Milliseconds on that clock. */
  nowMs(): number;
  /** A heartbeat that was sent at this time of {@link nowMs} has been confirmed: the node was not given up by then. */
  confirmed(sentAtMs: number): void;
  /** How long ago the last of those was sent; Infinity: none since the machine started, as far as is known. */
  contactAgeMs(): number;
  /** Why containers can't be stopped from outside on this node; null: they can. */
  refusal(): Promise<string | null>;
  /**
   * From when it resolves until it is let go of, the container is killed as soon as contact is older than `stopAfterMs`, and from then
   * on whenever it runs, even if contact is back: it may have been replaced meanwhile. Throws {@link FenceFault} where that can't be
   * had now.
   */
  arm(container: string, stopAfterMs: number): Promise<void>;
  isArmed(container: string): boolean;
  /** Lets go of all that aren't among these. */
  keepOnly(containers: ReadonlySet<string>): void;
  /** The dead-man has killed something of it. Known until it is let go of. */
  hasStopped(container: string): boolean;
  /** For a container that runs: why the dead-man can't reach it; null: it can. */
  escapeOf(container: string): Promise<string | null>;
}

/** The container can't be put under watch now, so it may not be started. */
export class FenceFault extends Error {
  override readonly name = 'FenceFault';
}

/** The control plane, as an agent calls it. Failed calls throw {@link ControlPlaneFault}. Tokens are the adapter's own affair. */
export interface ControlPlane {
  register(request: RegisterRequest, signal: AbortSignal): Promise<RegisterResponse>;
  /** Null: nothing differs from `query` within its `waitMs`. */
  assignment(epoch: number, query: AssignmentQuery, signal: AbortSignal): Promise<AssignmentResponse | null>;
  heartbeat(epoch: number, sentAtMs: number, signal: AbortSignal): Promise<HeartbeatResponse>;
  statuses(epoch: number, request: StatusesRequest, signal: AbortSignal): Promise<StatusesResponse>;
  messages(epoch: number, request: MessagesRequest, signal: AbortSignal): Promise<MessagesResponse>;
  /** What a task that is about to be started is given in confidence. */
  secrets(epoch: number, task: TaskId, signal: AbortSignal): Promise<TaskSecretsResponse>;
  /** Tokens about a task that runs here or is about to. */
  identity(epoch: number, task: TaskId, signal: AbortSignal): Promise<TaskIdentityResponse>;
  /** Resolves when everything is sent or nobody wants more of it. */
  stream(epoch: number, id: string, lines: AsyncIterable<readonly LogLine[]>, signal: AbortSignal): Promise<void>;
}

export interface AssignmentQuery {
  /** What the agent has; null: nothing yet, so answer at once. */
  readonly position: AssignmentPosition | null;
  readonly streamsVersion: string | null;
  readonly waitMs: number;
}

/**
 * `away`: not reached, or it can't answer now; try again later. `stale-epoch`: somebody else has raised the node's epoch;
 * register anew. `unauthenticated`: the token isn't accepted. `mismatch`: the node has another agent than this one. `gone`: the node was
 * declared gone. `refused`: it understood, and says no. `invalid`: what was sent can't be taken, now or ever.
 */
export type ControlPlaneFaultKind =
  | 'away'
  | 'stale-epoch'
  | 'unauthenticated'
  | 'mismatch'
  | 'gone'
  | 'refused'
  | 'invalid';

export class ControlPlaneFault extends Error {
  override readonly name = 'ControlPlaneFault';
  readonly kind: ControlPlaneFaultKind;

  constructor(kind: ControlPlaneFaultKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** What GPUs tasks may be given now; null: that can't be told now. `complaints`: what is wrong, for the agent's log. */
export type GpuSource = () => Promise<{
  readonly gpus: readonly GpuDevice[] | null;
  readonly complaints: readonly string[];
}>;

export interface AgentConfig {
  /** What is told to the control plane about this node. */
  readonly node: RegisterRequest['node'];
  /** Containers being created or started at a time. */
  readonly startConcurrency: number;
  readonly retention: Retention;
  readonly boot: Boot;
}
