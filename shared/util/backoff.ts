/** How long to wait before trying again: exponential, capped, with jitter that the caller's chance decides. */
export interface BackoffPolicy {
  /** Wait before the first retry, in milliseconds. */
  readonly baseMs: number;
  /** Each further wait is this many times the one before. */
  readonly factor: number;
  /** No wait is longer than this, in milliseconds. */
  readonly maxMs: number;
}

/** The wait before retry number `retry` (0 is the first), without jitter. */
export function backoffMs(policy: BackoffPolicy, retry: number): number {
  // Nothing, grown to infinity, is still nothing; the arithmetic would say NaN.
  if (policy.baseMs === 0) return 0;
  return Math.min(policy.maxMs, policy.baseMs * policy.factor ** Math.max(0, retry));
}

/**
 * The same wait, spread over its upper half: between 50 % and 100 % of it. `chance` is in [0, 1). Equal jitter keeps a
 * herd apart and still guarantees a pause.
 */
export function jitteredBackoffMs(policy: BackoffPolicy, retry: number, chance: number): number {
  const full = backoffMs(policy, retry);
  return Math.round(full / 2 + (full / 2) * chance);
}
