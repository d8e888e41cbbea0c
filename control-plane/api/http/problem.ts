/** The one place where refusals become HTTP statuses, and where everything else that is thrown becomes a 500. */
import { Refusal, type RefusalCode } from '../../../shared/domain/errors.ts';
import type { Problem } from '../../../shared/protocol/views.ts';
import type { Logger } from '../../../shared/util/log.ts';
import { refusalOfFault } from '../../services/store-faults.ts';

interface Kind {
  readonly status: number;
  readonly title: string;
}

/** 422 would do for invalid requests as well; we keep it for the one that is valid, but not under this key. */
export const PROBLEM_KINDS: Readonly<Record<RefusalCode | 'internal', Kind>> = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  unauthenticated: { status: 401, title: 'A valid token is needed' },
  forbidden: { status: 403, title: 'The token does not allow this' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here' },
  'not-acceptable': { status: 406, title: 'None of the accepted types can be had' },
  'already-exists': { status: 409, title: 'It exists already' },
  conflict: { status: 409, title: 'The state of things does not allow this now' },
  'stale-epoch': { status: 409, title: 'The session is over' },
  'session-moved': { status: 409, title: 'The framework has subscribed anew' },
  'offer-gone': { status: 409, title: 'The offer does not stand any more' },
  'identity-mismatch': { status: 409, title: 'It is not the agent that this node had' },
  'node-gone': { status: 410, title: 'The node was declared gone' },
  'framework-gone': { status: 410, title: 'The framework was torn down' },
  'history-gone': { status: 410, title: 'The history is no longer known' },
  'history-changed': { status: 410, title: 'The history is not the one that was seen' },
  'revision-mismatch': { status: 412, title: 'It has changed meanwhile' },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body is of a type that is not understood' },
  'idempotency-mismatch': { status: 422, title: 'The idempotency key was used for another request' },
  'limit-exceeded': { status: 429, title: 'A limit has been reached' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  unavailable: { status: 503, title: 'Not possible at the moment' },
  internal: { status: 500, title: 'Something is broken in the control plane' },
};

/** A refusal that needs a header of its own beside what its code says. */
export interface ProblemHeaders {
  readonly allow?: string;
  readonly wwwAuthenticate?: string;
}

export class HttpRefusal extends Refusal {
  readonly headers: ProblemHeaders;

  constructor(code: RefusalCode, message: string, headers: ProblemHeaders) {
    super(code, message);
    this.headers = headers;
  }
}

/** What is thrown, as a response. What isn't a refusal is logged with its cause, and the caller gets only the request's id. */
export function problemResponse(error: unknown, requestId: string, log: Logger): Response {
  const problem = problemOf(error, requestId, log);
  const headers = new Headers({ 'content-type': 'application/problem+json' });
  if (problem.retryAfterSeconds !== undefined) headers.set('retry-after', String(Math.ceil(problem.retryAfterSeconds)));
  if (problem.code === 'unauthenticated') headers.set('www-authenticate', challengeOf(error));
  if (error instanceof HttpRefusal && error.headers.allow !== undefined) headers.set('allow', error.headers.allow);
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** What is thrown, as what the caller is told. */
export function problemOf(error: unknown, requestId: string, log: Logger): Problem {
  const refusal = error instanceof Refusal ? error : refusalOfFault(error);
  if (refusal === null) {
    log.error({ error, requestId }, 'a request failed in a way that it never should');
    return describe(
      'internal',
      `please report this with the request id ${requestId}; the log holds the cause`,
      requestId,
    );
  }
  if (refusal !== error) log.warn({ error, requestId }, 'a request failed on the store');
  return {
    ...describe(refusal.code, refusal.message, requestId),
    ...(refusal.faults.length > 0 && { faults: refusal.faults.map(({ path, message }) => ({ path, message })) }),
    ...(refusal.retryAfterSeconds !== null && { retryAfterSeconds: refusal.retryAfterSeconds }),
  };
}

function describe(code: RefusalCode | 'internal', detail: string, requestId: string): Problem {
  const { status, title } = PROBLEM_KINDS[code];
  return { type: `urn:berth:problem:${code}`, title, status, code, detail, requestId };
}

/** RFC 6750: without a token only how to get in, with a bad one also what is wrong with it. */
function challengeOf(error: unknown): string {
  return error instanceof HttpRefusal && error.headers.wwwAuthenticate !== undefined
    ? error.headers.wwwAuthenticate
    : 'Bearer realm="berth", error="invalid_token"';
}
