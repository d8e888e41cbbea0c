/**
 * Whether a token of an outside issuer is genuine, and by which of those who could trust it. Keys are fetched only from where a
 * policy, or the issuer that it names, says that they are: never from where a token says so.
 */
import type { JWTPayload } from 'jose';
import type { Clock } from '../../shared/util/clock.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { outsideSubject } from './outside-issuer.ts';
import { OutsideKeys } from './outside-keys.ts';
import { readShape } from './token-shape.ts';
import type { Trust } from './trust.ts';
import { checkOutside, type OutsideTerms, unauthenticated } from './verify.ts';

/** Key sets that are kept: those of more issuers than one cluster has policies. The one that was used longest ago goes. */
const KEY_SETS_MAX = 256;

export interface OutsideIdentity {
  /** Under the name of its issuer, as it stands in records. */
  readonly subject: string;
  readonly payload: JWTPayload;
  /** Those that take the token. */
  readonly trusts: readonly Trust[];
}

export class OutsideTokens {
  readonly #clock: Clock;
  readonly #fetch: typeof fetch;
  /** In the order of their last use. */
  readonly #keys = new Map<string, OutsideKeys>();

  constructor({ clock, fetch }: { clock: Clock; fetch: typeof globalThis.fetch }) {
    this.#clock = clock;
    this.#fetch = fetch;
  }

  /**
   * Throws the Refusal `unauthenticated` unless one of `trusts` takes the token, in words that help an honest caller and say nothing of
   * what any of them demands; `unavailable` when an issuer's keys can't be had.
   */
  async identify(token: string, trusts: readonly Trust[]): Promise<OutsideIdentity> {
    const concerned = concernedBy(readShape(token), trusts);
    const byTerms = Map.groupBy(concerned, ({ terms: { jwksUri, algorithms } }) =>
      canonicalJson({ jwksUri, algorithms }),
    );
    const outcomes = await Promise.allSettled([...byTerms.values()].map((group) => this.#check(token, group)));
    const taken = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const payload = taken[0]?.payload;
    if (payload === undefined) throw firstReason(outcomes);
    const subject = outsideSubject(payload);
    if (subject === null) throw unauthenticated('the token has no usable subject');
    return { subject, payload, trusts: taken.flatMap((each) => each.trusts) };
  }

  /** All of the group have the same terms. */
  async #check(token: string, group: readonly Trust[]): Promise<{ payload: JWTPayload; trusts: readonly Trust[] }> {
    const terms = group[0]?.terms;
    if (terms === undefined) throw unauthenticated(UNTRUSTED);
    const payload = await checkOutside(token, { clock: this.#clock, keys: this.#keysOf(terms), terms });
    return { payload, trusts: group };
  }

  #keysOf({ issuer, jwksUri }: OutsideTerms): OutsideKeys {
    const name = JSON.stringify([issuer, jwksUri ?? null]);
    const keys =
      this.#keys.get(name) ?? new OutsideKeys({ issuer: { issuer, jwksUri }, clock: this.#clock, fetch: this.#fetch });
    this.#keys.delete(name);
    this.#keys.set(name, keys);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > KEY_SETS_MAX && oldest !== undefined) this.#keys.delete(oldest);
    return keys;
  }
}

const UNTRUSTED = 'the token is from an issuer that is not trusted here, or not by the policy that was asked for';

/**
 * Those that are about tokens of this issuer and audience. Nothing that a token says is believed yet; those that take it check it
 * again. A token that is also for others is none of ours: whoever else takes it could come with it.
 */
export function concernedBy({ iss, aud }: JWTPayload, trusts: readonly Trust[]): readonly Trust[] {
  const byIssuer = trusts.filter(({ terms }) => terms.issuer === iss);
  if (byIssuer.length === 0) throw unauthenticated(UNTRUSTED);
  const audiences = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud : [];
  const byAudience = byIssuer.filter(({ terms }) => audiences.every((audience) => audience === terms.audience));
  if (audiences.length > 0 && byAudience.length > 0) return byAudience;
  throw unauthenticated(
    audiences.length > 1
      ? 'the token is for several audiences; ask its issuer for one that is for this cluster alone'
      : 'the token is for another audience; ask its issuer for the audience that your operator names',
  );
}

function firstReason(outcomes: readonly PromiseSettledResult<unknown>[]): unknown {
  const rejected = outcomes.find((outcome) => outcome.status === 'rejected');
  return rejected?.reason ?? unauthenticated(UNTRUSTED);
}
