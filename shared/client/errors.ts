/** The three ways in which a call can fail: Berth says no, nothing answers, or what answers isn't Berth. */
import type { Fault, RefusalCode } from '../domain/errors.ts';
import type { Problem } from '../protocol/views.ts';
import { tlsAdvice } from '../util/tls-advice.ts';

/** Berth answered with a problem document. The message is its `detail`: a sentence for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly problem: Problem;
  /** Set when the call was sent more than once, so that an earlier copy of it may have taken effect. */
  readonly repeated: boolean;

  constructor(problem: Problem, options: { repeated: boolean } = { repeated: false }) {
    super(problem.detail === '' ? problem.title : problem.detail);
    this.problem = problem;
    this.repeated = options.repeated;
  }

  get code(): RefusalCode | 'internal' {
    return this.problem.code;
  }

  get faults(): readonly Fault[] {
    return this.problem.faults ?? [];
  }
}

/** No answer came from the address, or only ones that say to come back later. A later call may succeed. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  readonly address: string;

  constructor(address: string, why: string, cause?: unknown) {
    super(`no answer from the control plane at ${address}: ${why}`, cause === undefined ? undefined : { cause });
    this.address = address;
  }
}

/** Something answered, but not in Berth's words: another server, a proxy's error page, or a version too new or too old. */
export class UnexpectedAnswerError extends Error {
  override readonly name = 'UnexpectedAnswerError';
  readonly address: string;

  constructor(address: string, what: string) {
    super(`${address} answered with something that isn't Berth's API: ${what}`);
    this.address = address;
  }
}

/** The deepest reason that the platform gives for a failed fetch, such as `connect ECONNREFUSED 127.0.0.1:7878`. */
export function networkReason(error: unknown): string {
  const inner = innermost(error);
  if (!(inner instanceof Error)) return String(inner);
  const code = errorCode(inner);
  const text = inner.message === '' ? (code ?? inner.name) : inner.message;
  const advice = tlsAdvice(code);
  const reason = code !== null && !text.includes(code) ? `${text} (${code})` : text;
  return advice === null ? reason : `${advice} (${code})`;
}

/** Whether the failure happened before a byte of the request left: a repetition can't be a second time then. */
export function wasNeverSent(error: unknown): boolean {
  const code = errorCode(innermost(error));
  return code !== null && UNSENT_CODES.includes(code);
}

const UNSENT_CODES: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'];

/** Chains of causes are short; the bound keeps a cyclic one from hanging us. */
const CAUSES_MAX = 8;

function innermost(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < CAUSES_MAX; depth += 1) {
    // Trying several addresses of one name fails with all their errors; the first is as good as any.
    const next =
      current instanceof AggregateError ? current.errors[0] : current instanceof Error ? current.cause : null;
    if (next === null || next === undefined) return current;
    current = next;
  }
  return current;
}

function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}
