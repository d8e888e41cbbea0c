/**
 * How long tokens of ours may live, by kind: the one table. It holds when a token is made and again whenever one is shown, so that a
 * key that signed too much once, or a bound that is lowered, counts for what is about already.
 */
import type { Principal } from './principal.ts';

const DAY_SECONDS = 24 * 3600;

export type Lifetimes = Readonly<Record<Principal['kind'], number>>;

/** In seconds, the longest. */
export const LIFETIMES_MAX: Lifetimes = {
  /** Of those that the API makes; a setting of the control plane. */
  user: 90 * DAY_SECONDS,
  /** Lies about on machines that are being set up. */
  join: 7 * DAY_SECONDS,
  /**
   * A connected node gets a new one at half of this time. It is also how long a node may be away and still come back by itself:
   * edge machines lose their uplink for a weekend, and nobody is there to hand them a join token.
   */
  node: 14 * DAY_SECONDS,
  /** Made for one call. */
  peer: 60,
};

/** What may be set in the place of the 90 days of a user's token. */
export const USER_TOKEN_DAYS = { min: 1, max: 365, default: 90 } as const;

export function lifetimesWith({ userTokenDays }: { readonly userTokenDays: number }): Lifetimes {
  return { ...LIFETIMES_MAX, user: userTokenDays * DAY_SECONDS };
}

/** In seconds, of a token that is made without saying how long it is to live. */
export const LIFETIME_DEFAULTS = { user: DAY_SECONDS, join: 3600 } as const;

/** Tokens that earlier versions made could live as long as this, and those that are about are still taken. */
export const OLDER_LIFETIME_MAX = 365 * DAY_SECONDS;

/** Nothing of ours that was ever signed lives longer, give or take how far clocks may be apart. */
export const LONGEST_LIFETIME_MS = (OLDER_LIFETIME_MAX + DAY_SECONDS) * 1000;

/** Null when the token may live so long, else a sentence. */
export function overlong(
  lifetimes: Lifetimes,
  { kind, seconds, isOlder = false }: { kind: Principal['kind']; seconds: number; isOlder?: boolean },
): string | null {
  const bound = isOlder ? OLDER_LIFETIME_MAX : lifetimes[kind];
  if (seconds <= bound) return null;
  return `a token of the kind ${kind} may live for at most ${durationText(bound)}, not for ${durationText(seconds)}`;
}

function durationText(seconds: number): string {
  const units = [
    [DAY_SECONDS, 'days'],
    [3600, 'hours'],
  ] as const;
  const [length, name] = units.find(([unit]) => seconds >= 2 * unit && seconds % unit === 0) ?? [1, 'seconds'];
  return `${seconds / length} ${name}`;
}
