/**
 * What agents and the control plane say to each other. Types only, so that the agent carries no schema library; the
 * schemas that the server checks requests with are in `agent-schemas.ts` and are bound to these types.
 *
 * - `POST /v1/agent/register`   {@link RegisterRequest} → {@link RegisterResponse}. Bearer: a join token, or the node's own.
 * - `GET  /v1/agent/assignment` `?incarnation&generation&streams&waitMs` → 200 {@link AssignmentBody} when something differs
 *   from what the query says, 204 after `waitMs` without a change. Bearer: the node's token, as in all that follow.
 * - `POST /v1/agent/heartbeat`  {@link HeartbeatRequest} → {@link HeartbeatResponse}
 * - `POST /v1/agent/statuses`   {@link StatusesRequest} → {@link StatusesResponse}
 * - `POST /v1/agent/streams/:id` a body of newline-delimited {@link LogLine}, sent as it arises; answered when it has ended or
 *   nobody wants it any more.
 * - `POST /v1/agent/messages`   {@link MessagesRequest} → {@link MessagesResponse}
 * - `POST /v1/agent/tasks/:id/identity` → {@link TaskIdentityResponse}, for a task that runs or is about to, as often as its tokens age.
 * - `POST /v1/agent/tasks/:id/secrets` → {@link TaskSecretsResponse}, for a task that is about to be started.
 *
 * Every call carries the session's epoch in the header `Berth-Epoch`; `stale-epoch` (409) means: register anew. A registration may be
 * refused with `identity-mismatch` (409): the node has another agent, or had another memory; ask again now and then, and leave what
 * runs alone. Or with `node-gone` (410): the node was declared gone; end what runs, forget everything, join as a new one.
 */
import type { TaskGroup } from '../domain/job.ts';
import type { StopMark } from '../domain/ledger.ts';
import type { Node } from '../domain/node.ts';
import type { TaskHealth, TaskReason, TaskState } from '../domain/task.ts';
import type { IdentityToken } from '../domain/workload-identity.ts';

export const EPOCH_HEADER = 'Berth-Epoch';

export interface RegisterRequest {
  readonly node: Omit<Node, 'registeredAtMs'>;
  /** The highest assignment the agent has seen, so that a state that went backwards is noticed. */
  readonly seen: AssignmentPosition | null;
  /** Tasks of which something runs or waits to be reported. */
  readonly tasks: readonly string[];
  /** Other tasks whose end the agent remembers. */
  readonly ended?: readonly string[] | undefined;
  /** Absent in agents that know of none. */
  readonly stamp?: Stamp | undefined;
}

/**
 * Shows that an agent has the memory that this node's last one had. Each registration puts a new stamp in the place of the one
 * before, as refresh tokens do: a copy of the memory, or an older or empty one, is found out since it doesn't have the last stamp.
 */
export interface Stamp {
  /** Of the process, and kept in no memory: tells a copy that runs at the same time. */
  readonly instance: string;
  /** The one that the control plane has confirmed last; null: none yet. */
  readonly last: string | null;
  /** The epoch that it was confirmed with; 0: none yet. */
  readonly epoch: number;
  /** On disk before it is sent, and the same until it is confirmed. */
  readonly next: string;
}

export interface RegisterResponse {
  readonly nodeToken: string;
  readonly epoch: number;
  readonly incarnation: number;
  readonly heartbeatIntervalMs: number;
  readonly leaseTtlMs: number;
}

export interface AssignmentPosition {
  readonly incarnation: number;
  readonly generation: number;
  /** The revision of the state that it was made from. Not part of the order, but one that the state hasn't come to is telling. */
  readonly revision?: number | undefined;
}

/** What the node is to run, each task with its template. */
export interface AssignmentResponse {
  readonly position: AssignmentPosition;
  readonly tasks: readonly AssignedTask[];
  /** Changes whenever `streams` or `messages` do; sent back as `?streams=`. */
  readonly streamsVersion: string;
  readonly streams: readonly StreamRequest[];
  /** Frameworks' messages that the agent has not said to be taken. Absent where there are none. */
  readonly messages?: readonly MessageForTask[] | undefined;
  /** Persistent volumes that are to be deleted, once nothing uses them. Absent: none. */
  readonly removingVolumes?: readonly string[] | undefined;
  /** Images to be had before tasks here are stopped for others that need them; `streamsVersion` tells of changes. Absent: none. */
  readonly images?: readonly string[] | undefined;
  /** Of what the agent keeps aside: whose end somebody has asked for. */
  readonly keptAsideStops?: readonly KeptAsideStop[] | undefined;
}

/** What a framework says to a task of its own: to an executor, or to one that an executor runs. */
export interface MessageForTask {
  readonly id: string;
  readonly task: string;
  readonly data: string;
}

/** Of a message's data, in bytes of UTF-8. */
export const MESSAGE_BYTES_MAX = 65_536;

export interface KeptAsideStop {
  readonly task: string;
  readonly reason: string;
}

/**
 * The assignment as it is sent: a template goes once, however many tasks are made from it. `assignment.ts` takes one form to
 * the other.
 */
export interface AssignmentBody extends Omit<AssignmentResponse, 'tasks'> {
  /** By job, version and name; opaque to the agent. */
  readonly groups: Readonly<Record<string, TaskGroup>>;
  readonly tasks: readonly AssignedTaskBody[];
}

/** `group` names one of the templates beside it. */
export type AssignedTaskBody = Omit<AssignedTask, 'group'> & { readonly group: string };

/** One entry of the ledger, with the template that it refers to. */
export interface AssignedTask {
  readonly id: string;
  readonly jobUid: string;
  readonly jobName: string;
  readonly jobVersion: number;
  readonly role: string;
  readonly groupName: string;
  readonly index: number;
  readonly attempt: number;
  /** The last run that the control plane knows of. */
  readonly run: number;
  /** What the task's record says. Only one that is still `staging` may be started by an agent that doesn't know it. */
  readonly state: TaskState;
  /** What the framework that launched it calls it. Absent: a job's. */
  readonly name?: string | undefined;
  readonly group: TaskGroup;
  /** Where other tasks of its group were reached when it was placed, as `host:port` of the group's first port. Absent: none. */
  readonly peers?: readonly string[] | undefined;
  /**
   * The agent stops the task itself when the last heartbeat that was confirmed was sent so long ago, and never starts it without a
   * session; null: the task runs on while the node is cut off.
   */
  readonly stopAfterDisconnectMs: number | null;
  /** Host ports by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Ids of the GPUs that it holds; absent: none, or none that has a name. */
  readonly devices?: readonly string[] | undefined;
  readonly stop: StopMark | null;
  /** Given up while the node was away: stop it, then report it as released. */
  readonly disowned: boolean;
}

/** A client wants a task's output: dial out to `POST /v1/agent/streams/:id` with it. */
export interface StreamRequest {
  readonly id: string;
  readonly task: string;
  readonly follow: boolean;
  /** Only the last so many lines of what there is; null: all. */
  readonly tail: number | null;
  /** Only lines after this time, RFC 3339 with nanoseconds as {@link LogLine.at} gives it; null: from the start. */
  readonly since: string | null;
}

export interface LogLine {
  /** When the line was written, RFC 3339 with nanoseconds, as the engine says. Empty on the last line that only says why it ended. */
  readonly at: string;
  readonly stream: 'stdout' | 'stderr';
  /** Without the line's end. */
  readonly text: string;
  /** The line was too long for one piece and goes on in the next one of its stream, with the same time or a later one. */
  readonly continues?: boolean | undefined;
  /** Set on a last line when the output can't be had: why. */
  readonly error?: string | undefined;
}

export interface MessagesRequest {
  /** Ids of messages for tasks here that executors have taken, or that nobody is there for. At most {@link MESSAGES_MAX}. */
  readonly taken: readonly string[];
  /** What tasks say to their frameworks. At most {@link MESSAGES_MAX}. */
  readonly said: readonly SaidMessage[];
}

/** `id` is made by the agent: what it sends again is passed on once, as long as it waits. */
export interface SaidMessage {
  readonly id: string;
  readonly task: string;
  readonly data: string;
}

/** In one request. */
export const MESSAGES_MAX = 16;

export interface MessagesResponse {
  /**
   * One word for each that was said: `relayed`; `unknown` (no such task of a framework on this node); `crowded` (too many wait for the
   * framework: it was thrown away).
   */
  readonly results: readonly ('relayed' | 'unknown' | 'crowded')[];
}

/** Tokens of a task about itself: one for each use of its group, in its order. */
export interface TaskIdentityResponse {
  readonly tokens: readonly IdentityToken[];
}

/** What a task was promised in confidence. Kept in memory and nowhere else. */
export interface TaskSecretsResponse {
  /** Each that the task's group names, once. */
  readonly secrets: readonly OpenedSecret[];
  /** Those that can't be had, now or later: the task can't be started. */
  readonly missing: readonly MissingSecret[];
}

export interface OpenedSecret {
  readonly name: string;
  readonly role: string;
  readonly version: number;
  /** Its bytes, in base64. */
  readonly value: string;
}

export interface MissingSecret {
  readonly name: string;
  readonly role: string;
  /** A sentence without its full stop. */
  readonly why: string;
}

export interface HeartbeatRequest {
  readonly sentAtMs: number;
}

export interface HeartbeatResponse {
  /** A new token when the old one has less than half of its life left. */
  readonly nodeToken: string | null;
}

export interface TaskStatus {
  readonly task: string;
  /** Which of its runs this is about. */
  readonly run: number;
  readonly state: Extract<TaskState, 'starting' | 'running' | 'finished' | 'failed' | 'killed' | 'error' | 'lost'>;
  readonly atMs: number;
  readonly reason: TaskReason;
  readonly message: string;
  readonly exitCode: number | null;
}

/** What a task's checks say of its present run, each time that something of it changes. */
export interface HealthReport {
  readonly task: string;
  readonly health: TaskHealth;
}

/** What became of an image that was asked for. */
export interface ImageReport {
  readonly image: string;
  readonly state: 'ready' | 'failed';
  readonly message: string;
}

/** In one request, as of images. */
export const HEALTH_REPORTS_MAX = 100;
export const IMAGE_REPORTS_MAX = 50;

export interface StatusesRequest {
  /** At most {@link STATUSES_MAX}, in the order in which they came to be. */
  readonly statuses: readonly TaskStatus[];
  /** Disowned tasks of which nothing runs any more. */
  readonly released: readonly string[];
  /** Of those that were to be deleted: what is gone. Absent: none. */
  readonly removedVolumes?: readonly string[] | undefined;
  /** The latest of each task. One whose run isn't the task's present one is passed over. At most {@link HEALTH_REPORTS_MAX}. */
  readonly health?: readonly HealthReport[] | undefined;
  /** At most {@link IMAGE_REPORTS_MAX}. */
  readonly images?: readonly ImageReport[] | undefined;
}

export const STATUSES_MAX = 100;

export interface StatusesResponse {
  /** One word for each status: `committed`; `known` (that state or a later one stands); `unknown` (no such task on this node). All three end its retry. */
  readonly results: readonly ('committed' | 'known' | 'unknown')[];
}
