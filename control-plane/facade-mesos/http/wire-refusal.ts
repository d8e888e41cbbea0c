/** How the door says no: a status and a plain text in Mesos's words. The one place where Berth's refusals become such. */
import { Refusal, type RefusalCode } from '../../../shared/domain/errors.ts';
import type { Logger } from '../../../shared/util/log.ts';
import { refusalOfFault } from '../../services/store-faults.ts';

export type RefusalStatus = 400 | 401 | 403 | 404 | 405 | 406 | 408 | 409 | 413 | 415 | 429 | 431 | 500 | 501 | 503;

/** A refusal in Mesos's own words. */
export class WireRefusal extends Error {
  override readonly name = 'WireRefusal';
  readonly status: RefusalStatus;
  readonly headers: readonly (readonly [string, string])[];

  constructor(status: RefusalStatus, message: string, headers: readonly (readonly [string, string])[] = []) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** Mesos knows no 410, 412 or 422, and its clients give up on what they don't know. */
const STATUSES: Readonly<Record<RefusalCode, RefusalStatus>> = {
  'invalid-request': 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 400,
  'method-not-allowed': 405,
  'not-acceptable': 406,
  'unsupported-media-type': 415,
  'payload-too-large': 413,
  'already-exists': 409,
  conflict: 409,
  'revision-mismatch': 409,
  'idempotency-mismatch': 409,
  'stale-epoch': 409,
  'session-moved': 400,
  'offer-gone': 400,
  'identity-mismatch': 409,
  'node-gone': 400,
  'framework-gone': 400,
  'history-gone': 409,
  'history-changed': 409,
  'limit-exceeded': 429,
  'request-timeout': 408,
  'headers-too-large': 431,
  unavailable: 503,
};

/** What is thrown, in the door's words. What nobody meant to throw is logged with its cause. */
export function wireRefusalOf(error: unknown, log: Logger): WireRefusal {
  if (error instanceof WireRefusal) return error;
  const refusal = error instanceof Refusal ? error : refusalOfFault(error);
  if (refusal === null) {
    log.error({ error }, 'a call of a Mesos client failed in a way that it never should');
    return new WireRefusal(500, 'Something is broken in the control plane; its log holds the cause');
  }
  if (refusal !== error) log.warn({ error }, 'a call of a Mesos client failed on the store');
  const { retryAfterSeconds } = refusal;
  const retry = retryAfterSeconds === null ? [] : [['retry-after', String(Math.ceil(retryAfterSeconds))] as const];
  return new WireRefusal(STATUSES[refusal.code], refusal.message, retry);
}

export function refusalResponse({ status, message, headers }: WireRefusal): Response {
  const answer = new Response(message, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
  for (const [name, value] of headers) answer.headers.append(name, value);
  return answer;
}
