/**
 * How often something may happen: a bucket holds a number of tokens, each time takes one, and they come back at a steady rate until it
 * is full. So a caller that has been quiet may do much at once, and in the long run no more than the rate. Pure.
 */

export interface BucketRate {
  readonly perSecond: number;
  /** What a full bucket holds; at least 1. */
  readonly burst: number;
}

export interface Bucket {
  readonly tokens: number;
  /** When it held so many, on a clock that never steps back. */
  readonly atMs: number;
}

export type Take =
  | { readonly allowed: true; readonly bucket: Bucket }
  /** After so long there is one again, unless somebody else takes it. */
  | { readonly allowed: false; readonly bucket: Bucket; readonly retryAfterMs: number };

/** Takes one, if there is one. Null: a bucket that nobody has taken from. */
export function takeToken(before: Bucket | null, rate: BucketRate, nowMs: number): Take {
  const bucket = filled(before, rate, nowMs);
  if (bucket.tokens >= 1) return { allowed: true, bucket: { ...bucket, tokens: bucket.tokens - 1 } };
  return { allowed: false, bucket, retryAfterMs: Math.ceil(((1 - bucket.tokens) * 1000) / rate.perSecond) };
}

/** What was taken for nothing. */
export function giveTokenBack(before: Bucket | null, rate: BucketRate, nowMs: number): Bucket {
  const { tokens, atMs } = filled(before, rate, nowMs);
  return { tokens: Math.min(rate.burst, tokens + 1), atMs };
}

function filled(before: Bucket | null, { perSecond, burst }: BucketRate, nowMs: number): Bucket {
  if (before === null) return { tokens: burst, atMs: nowMs };
  const elapsedMs = Math.max(0, nowMs - before.atMs);
  return { tokens: Math.min(burst, before.tokens + (elapsedMs * perSecond) / 1000), atMs: before.atMs + elapsedMs };
}
