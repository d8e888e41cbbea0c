/**
 * How much one caller may ask of this replica: requests in a second, and streams and long waits that it has open at a time. Whoever has
 * no valid token counts by address, so that signatures aren't checked for as long as somebody sends bad ones; a token that is
 * known here already costs no check, and is let in from there all the same.
 *
 * Replicas know nothing of each other's counts: the limits hold for each by itself. On Workers that is for each isolate, of which a
 * platform runs as many as it likes.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { type Bucket, type BucketRate, giveTokenBack, takeToken } from '../../shared/util/token-bucket.ts';
import type { Principal } from './principal.ts';
import type { Verifier } from './verify.ts';

export interface CallerRate extends BucketRate {
  /** Streams and long waits that are open at a time. */
  readonly lastingMax: number;
}

export type RatePolicy = Readonly<Record<Principal['kind'], CallerRate>> & {
  /** Of callers at one address that have shown no valid token. */
  readonly stranger: BucketRate;
};

/**
 * A user's are far above what a pipeline, a person or a framework asks for, and far below what a replica can answer. An agent
 * reports, beats and sends output; a join token may be shared by a fleet that boots; peers carry what clients of theirs ask for.
 */
export const RATE_DEFAULTS: RatePolicy = {
  user: { perSecond: 500, burst: 2_000, lastingMax: 1_000 },
  node: { perSecond: 200, burst: 1_000, lastingMax: 600 },
  join: { perSecond: 200, burst: 2_000, lastingMax: 10 },
  peer: { perSecond: 5_000, burst: 20_000, lastingMax: 20_000 },
  stranger: { perSecond: 20, burst: 500 },
};

/** Callers that are remembered; beyond that, the one that was heard of longest ago begins anew. */
const CALLERS_MAX = 20_000;

export interface RateLimitOptions {
  /** Null: nothing is ever refused. */
  readonly policy: RatePolicy | null;
  readonly clock: Clock;
  readonly callersMax?: number;
}

export class RateLimits {
  readonly #policy: RatePolicy | null;
  readonly #principals: Buckets;
  /** Apart from the others, so that no flood of addresses makes a principal's count forgotten. */
  readonly #strangers: Buckets;
  /** How many streams and long waits each has open; none is kept for who has none. */
  readonly #lasting = new Map<string, number>();

  constructor({ policy, clock, callersMax = CALLERS_MAX }: RateLimitOptions) {
    this.#policy = policy;
    this.#principals = new Buckets(clock, callersMax);
    this.#strangers = new Buckets(clock, callersMax);
  }

  /** Counts a request of that principal. Throws `limit-exceeded`. `address` parts those who share one, such as `anonymous`. */
  countRequest(principal: Principal, address: string | null): void {
    if (this.#policy === null) return;
    const { perSecond, ...rest } = this.#policy[principal.kind];
    const waitMs = this.#principals.take(keyOf(principal, address), { perSecond, ...rest });
    if (waitMs === 0) return;
    const who = `${principal.kind} "${principal.subject}"`;
    throw tooMany(`${who} sends more than ${perSecond} requests a second to this replica`, waitMs);
  }

  /** Counts one without a valid token, before anything is done about it. Throws `limit-exceeded`. The result takes it back. */
  countStranger(address: string | null): () => void {
    if (this.#policy === null) return nothing;
    const key = networkOf(address);
    const { stranger } = this.#policy;
    const waitMs = this.#strangers.take(key, stranger);
    if (waitMs > 0) throw tooMany(`too many requests without a valid token come from ${address ?? 'here'}`, waitMs);
    return () => this.#strangers.giveBack(key, stranger);
  }

  /** Counts what lasts. Throws `limit-exceeded`; the result is to be called at its end. */
  holdLasting(principal: Principal, address: string | null): () => void {
    if (this.#policy === null) return nothing;
    const key = keyOf(principal, address);
    const { lastingMax } = this.#policy[principal.kind];
    const open = this.#lasting.get(key) ?? 0;
    if (open >= lastingMax) {
      throw tooMany(
        `${principal.kind} "${principal.subject}" has ${lastingMax} streams and waiting calls open on this replica; end some first`,
        LASTING_RETRY_MS,
      );
    }
    this.#lasting.set(key, open + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#lasting.get(key) ?? 1) - 1;
      if (left > 0) this.#lasting.set(key, left);
      else this.#lasting.delete(key);
    };
  }
}

const nothing = () => {};

/** Nobody knows when something else ends. */
const LASTING_RETRY_MS = 5_000;

/** The verifier, as a caller from that address gets it. */
export function guarded(verifier: Verifier, limits: RateLimits, address: string | null): Verifier {
  return {
    async verify(token) {
      let takeBack = nothing;
      const countCheck = () => {
        takeBack = limits.countStranger(address);
      };
      const verified = await verifier.verify(token, countCheck).catch((error: unknown) => {
        // That an issuer's keys can't be had is not the caller's doing.
        if (!(error instanceof Refusal && error.code === 'unauthenticated')) takeBack();
        throw error;
      });
      takeBack();
      return verified;
    },
    watch: (token, tell) => verifier.watch(token, tell),
  };
}

/** In the order of their last use. */
class Buckets {
  readonly #clock: Clock;
  readonly #callersMax: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, callersMax: number) {
    this.#clock = clock;
    this.#callersMax = callersMax;
  }

  /** Milliseconds after which there may be one; 0: one has been taken. */
  take(key: string, rate: BucketRate): number {
    const taken = takeToken(this.#buckets.get(key) ?? null, rate, this.#clock.monotonicMs());
    this.#keep(key, taken.bucket);
    return taken.allowed ? 0 : taken.retryAfterMs;
  }

  giveBack(key: string, rate: BucketRate): void {
    const known = this.#buckets.get(key) ?? null;
    if (known !== null) this.#keep(key, giveTokenBack(known, rate, this.#clock.monotonicMs()));
  }

  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > this.#callersMax && oldest !== undefined) this.#buckets.delete(oldest);
  }
}

function keyOf({ kind, subject, tokenId }: Principal, address: string | null): string {
  return tokenId === ANONYMOUS ? `${kind} ${subject} ${networkOf(address)}` : `${kind} ${subject}`;
}

/** Whoever comes without a token shares a principal with all others who do. */
const ANONYMOUS = 'anonymous';

/** Of IPv6, each customer has a whole network of addresses to come from. */
function networkOf(address: string | null): string {
  if (address === null) return 'unknown';
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail = ''] = address.toLowerCase().split('::');
  const [before, after] = [head, tail].map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: Math.max(0, 8 - (before?.length ?? 0) - (after?.length ?? 0)) }, () => '0');
  return [...(before ?? []), ...zeros, ...(after ?? [])].slice(0, 4).join(':');
}

function tooMany(what: string, waitMs: number): Refusal {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new Refusal('limit-exceeded', `${what}; try again in ${seconds} s`, { retryAfterSeconds: seconds });
}
