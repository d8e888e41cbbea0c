/**
 * What an agent and an executor say to each other: HTTP/1.1 on a unix socket, whose path the executor finds in
 * `BERTH_EXECUTOR_SOCKET`.
 *
 * - `GET /events`: newline-delimited JSON, one {@link ExecutorEvent} a line, for as long as the executor reads. It begins with all
 *   that the executor has not confirmed, and then goes on as things arise. A second one ends the first. Whatever comes may have come
 *   before: a launch of a task that it has, a kill of one that is about to end, a message with the same id.
 * - `POST /status` {@link HostedStatus}: how a task stands. The first word about a task confirms its launch, one of its end its kill.
 *   204: noted, also where it was noted before. 404 and 410: the task is not wanted here, or has ended; end what runs of it.
 * - `POST /confirm` `{"message": id}`: a message has been taken. 204.
 * - `POST /message` `{"data": text, "task": id}` to the framework; `task` is left out where it comes from the executor itself. 202: it
 *   will be passed on. 429: too many wait; try again in a while.
 *
 * All that is refused is answered with `{"message": a sentence}`.
 */
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { GroupResources } from '../../../shared/domain/job.ts';

export interface Launch {
  readonly type: 'launch';
  /** Berth's id of the task: what it is called on this socket. */
  readonly task: TaskId;
  /** What the framework calls it. */
  readonly name: string;
  /** Which of its runs it is, counted from 0. */
  readonly run: number;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string | null;
  /** What it may use. To hold it to that is up to the executor. */
  readonly resources: GroupResources;
  /** Host ports by name. */
  readonly ports: Readonly<Record<string, number>>;
}

/** `isForced`: its grace is over. */
export interface Kill {
  readonly type: 'kill';
  readonly task: TaskId;
  readonly isForced: boolean;
}

export interface MessageEvent {
  readonly type: 'message';
  readonly id: string;
  /** The task that it is for; null: the executor itself. */
  readonly task: TaskId | null;
  readonly data: string;
}

export type ExecutorEvent = Launch | Kill | MessageEvent;

/** `failed`: it ended badly. `error`: it can't be started as it is described. */
export const HOSTED_STATES = ['running', 'finished', 'failed', 'error'] as const;
export type HostedState = (typeof HOSTED_STATES)[number];

export interface HostedStatus {
  readonly task: TaskId;
  readonly state: HostedState;
  readonly message: string;
  readonly exitCode: number | null;
}

export interface HostedMessage {
  /** Null: of the executor itself. */
  readonly task: TaskId | null;
  readonly data: string;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

export function statusIn(body: string): Parsed<HostedStatus> {
  const fields = fieldsOf(body);
  if (fields === null) return no('must be a JSON object');
  const { task, state, message = '', exitCode = null } = fields;
  if (typeof task !== 'string') return no('`task` must be the id of a task, as its launch gave it');
  const known = HOSTED_STATES.find((each) => each === state);
  if (known === undefined) return no(`\`state\` must be one of ${HOSTED_STATES.join(', ')}`);
  if (typeof message !== 'string') return no('`message` must be a text');
  if (exitCode !== null && !isExitCode(exitCode)) return no('`exitCode` must be a whole number from 0 to 255, or null');
  return { ok: true, value: { task, state: known, message, exitCode } };
}

export function messageIn(body: string, bytesMax: number): Parsed<HostedMessage> {
  const fields = fieldsOf(body);
  if (fields === null) return no('must be a JSON object');
  const { task = null, data } = fields;
  if (task !== null && typeof task !== 'string') return no('`task` must be the id of a task, or left out');
  if (typeof data !== 'string') return no('`data` must be a text');
  if (new TextEncoder().encode(data).length > bytesMax) return no(`\`data\` is longer than ${bytesMax} bytes`);
  return { ok: true, value: { task, data } };
}

export function confirmationIn(body: string): Parsed<string> {
  const message = fieldsOf(body)?.['message'];
  return typeof message === 'string' ? { ok: true, value: message } : no('`message` must be the id of a message');
}

function no(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}

function isExitCode(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}
