/**
 * Every way in which Berth says no on purpose. The codes are stable and closed; HTTP statuses are assigned to them in one
 * file of the API. Anything else that is thrown is a bug or a fault of the world.
 */
export const REFUSAL_CODES = [
  'invalid-request',
  'unauthenticated',
  'forbidden',
  'not-found',
  'method-not-allowed',
  'not-acceptable',
  'unsupported-media-type',
  'payload-too-large',
  'already-exists',
  'conflict',
  'revision-mismatch',
  'idempotency-mismatch',
  'stale-epoch',
  'session-moved',
  'offer-gone',
  'identity-mismatch',
  'node-gone',
  'framework-gone',
  'history-gone',
  'history-changed',
  'limit-exceeded',
  'headers-too-large',
  'request-timeout',
  'unavailable',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** One thing that is wrong with what was sent. */
export interface Fault {
  /** Where: a JSON pointer into the body (`/groups/0/count`), `query:limit`, or `header:If-Match`. */
  readonly path: string;
  /** What is wrong there and what to write instead. */
  readonly message: string;
}

/** An expected refusal. `message` says what happened, to which id, and what the reader can do about it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly faults: readonly Fault[];
  /** Seconds after which the same call may succeed; null if repeating it is useless. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: RefusalCode,
    message: string,
    options: { faults?: readonly Fault[]; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}
