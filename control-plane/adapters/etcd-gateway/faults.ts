/** What can come of one HTTP exchange with a gateway besides an answer, and what it means in the words of the store's contract. */
import { InvariantError } from '../../../shared/util/assert.ts';
import { HistoryGoneError, LeaseGoneError, StoreFullError, StoreUnavailableError } from '../../store/contract.ts';
import { AnswerTooLongError, StoreRefusedError } from '../etcd-api/refusals.ts';
import { MalformedReplyError, Message } from './message.ts';

/** No answer came: the connection failed, or time ran out. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

/** gRPC's codes, as far as they matter here. */
export const CODES = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  outOfRange: 11,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** The gateway, or what stands before it, answered that it won't. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly status: number;
  /** gRPC's code; null: it wasn't etcd that answered. */
  readonly code: number | null;

  constructor(message: string, { status, code }: { status: number; code: number | null }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const SHOWN_CHARACTERS_MAX = 200;

/**
 * The error in a body, or null. gRPC gateways of the first kind (etcd 3.4 and 3.5) say `{"error":text,"message":text,"code":n}`,
 * and in a stream `{"error":{"grpc_code":n,"message":text,…}}`. Those of the second kind (3.6) leave the first text out, and
 * say `{"error":{"code":n,"message":text,"details":[]}}` in a stream.
 */
export function errorIn(body: Message, status: number): GatewayError | null {
  const nested = body.nested('error');
  const error = nested ?? body;
  const code = error.has('grpc_code') ? error.integer('grpc_code') : error.has('code') ? error.integer('code') : null;
  const isError = nested !== null || (code !== null && (body.has('error') || body.has('message')));
  if (!isError) return null;
  const message = error.text('message') || (nested === null ? body.text('error') : '');
  return new GatewayError(message || `HTTP status ${status}`, { status, code: code ?? CODES.unknown });
}

/** What a refused request is told by: a body of etcd's, or whatever a proxy says. */
export function errorOf(status: number, text: string): GatewayError {
  const known = parsed(text, status);
  if (known !== null) return known;
  const shown = text.trim().slice(0, SHOWN_CHARACTERS_MAX);
  return new GatewayError(`HTTP status ${status}${shown === '' ? '' : `: ${shown}`}`, { status, code: null });
}

function parsed(text: string, status: number): GatewayError | null {
  try {
    return errorIn(Message.parse(text), status);
  } catch (error) {
    if (error instanceof MalformedReplyError) return null;
    throw error;
  }
}

/** While users and roles are being changed, requests that were on their way are turned down. */
const OLD_REVISION = 'revision of auth store is old';
const NOBODY = 'user name is empty';

/** Whether the request was turned down, undone, for want of a token that holds. */
export function isStaleToken(error: unknown): boolean {
  if (!(error instanceof GatewayError) || error.code === null) return false;
  return error.code === CODES.unauthenticated || error.message.includes(OLD_REVISION) || error.message.includes(NOBODY);
}

/**
 * Whether a watch was ended because of the token that it was asked for with. Old versions say that the permission is denied,
 * whatever is wrong with a token.
 */
export function blamesToken(cancelReason: string): boolean {
  return ['permission denied', 'invalid auth token', OLD_REVISION, NOBODY].some((words) =>
    cancelReason.includes(words),
  );
}

/** Whether it speaks against a member that this came of a call to it. */
export function speaksAgainstHost(error: unknown): boolean {
  if (error instanceof UnreachableError || error instanceof MalformedReplyError) return true;
  if (!(error instanceof GatewayError)) return false;
  if (error.code === null) return error.status >= 500;
  return error.code === CODES.unavailable || error.code === CODES.deadlineExceeded;
}

/** The contract's error for `cause`, which came up while `doing`. Whatever isn't known counts as "outcome unknown". */
export function toStoreError(doing: string, cause: unknown): Error {
  if (isOurs(cause)) return cause;
  const message = `etcd: ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`;
  if (cause instanceof GatewayError) return ofGateway(message, cause);
  return new StoreUnavailableError(message, { cause });
}

const OURS = [
  AnswerTooLongError,
  HistoryGoneError,
  InvariantError,
  LeaseGoneError,
  StoreFullError,
  StoreRefusedError,
  StoreUnavailableError,
] as const;

function isOurs(cause: unknown): cause is Error {
  return OURS.some((kind) => cause instanceof kind);
}

/** These refusals have no code of their own. */
const UNCODED_REFUSALS = [
  NOBODY,
  'authentication is not enabled',
  'auth: permission denied',
  'authentication failed',
] as const;

function ofGateway(message: string, cause: GatewayError): Error {
  const { code } = cause;
  if (code === null) return ofProxy(message, cause);
  if (message.includes('requested lease not found')) return new LeaseGoneError(message, { cause });
  if (code === CODES.outOfRange) return new HistoryGoneError(message, { cause });
  if (code === CODES.resourceExhausted) return exhausted(message, cause);
  const isRefused = code === CODES.permissionDenied || code === CODES.unauthenticated;
  if (isRefused || UNCODED_REFUSALS.some((refusal) => message.includes(refusal))) {
    return new StoreRefusedError(message, { cause });
  }
  if (code === CODES.invalidArgument && !message.includes(OLD_REVISION)) return new InvariantError(message, { cause });
  return new StoreUnavailableError(message, { cause });
}

function exhausted(message: string, cause: Error): Error {
  if (message.includes('database space exceeded')) return new StoreFullError(message, { cause });
  if (message.includes('larger than max')) return new AnswerTooLongError(message, { cause });
  return new StoreUnavailableError(message, { cause });
}

/** What may pass by itself although it is the client's fault by its number. */
const PASSING_STATUSES: readonly number[] = [408, 425, 429];

/** Somebody between here and etcd answered in its place. What that one refuses, etcd hasn't seen. */
function ofProxy(message: string, cause: GatewayError): Error {
  const { status } = cause;
  if (status < 300 || status >= 500 || PASSING_STATUSES.includes(status)) {
    return new StoreUnavailableError(message, { cause });
  }
  return new StoreRefusedError(`${message}; ${remedyOf(status)}`, { cause });
}

function remedyOf(status: number): string {
  if (status < 400) return "redirects aren't followed: name the place that it points to as etcd's host";
  if (status === 401 || status === 403)
    return 'what stands before etcd wants other credentials: check the extra headers';
  if (status === 413) return 'what stands before etcd must let requests of 4 MiB pass';
  if (status === 404 || status === 405)
    return 'no JSON gateway answers there: check the host and --enable-grpc-gateway';
  return 'what stands before etcd refused the request';
}
