/** Tokens that the control plane makes: what they say, and how they are signed. */
import { SignJWT } from 'jose';
import { z } from 'zod';
import type { NodeId } from '../../shared/domain/ids.ts';
import { invariant } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { type KeyRing, OWN_ALGORITHM } from './keys.ts';
import { LIFETIMES_MAX, type Lifetimes, overlong } from './lifetimes.ts';
import type { Grant, Principal } from './principal.ts';
import { NOTHING_REVOKED, type Revocations } from './revocations.ts';

/** The audience of our own tokens, and the one that outside issuers are asked for unless another is configured. */
export const OWN_AUDIENCE = 'berth';

/** How far the clocks of those who make tokens may be from ours. */
export const CLOCK_TOLERANCE_SECONDS = 30;

/** Tells our tokens from every other JWT that the same key might ever sign (RFC 8725, 3.11). */
export const OWN_TYPE = 'berth+jwt';

/** The name under which a cluster signs: tokens of one cluster mean nothing to another. */
export function ownIssuer(clusterId: string): string {
  return `berth:${clusterId}`;
}

const commonClaims = {
  iss: z.string(),
  aud: z.literal(OWN_AUDIENCE),
  sub: z.string().min(1),
  jti: z.string().min(1),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
  kind: z.enum(['user', 'join', 'node', 'peer']),
  node: z.string().nullable(),
};

/** What a token of ours says. Times are whole seconds since the Unix epoch, as JWT has them. */
export const claimsSchema = z.object({
  ...commonClaims,
  grants: z.array(
    z.object({
      roles: z.array(z.string()),
      actions: z.array(z.string()),
      // An empty list of them would name nothing; a token that says so was made by nobody.
      resources: z.array(z.string()).min(1).optional(),
    }),
  ),
  /** {@link Principal.isRecorded} */
  recorded: z.literal(true).optional(),
});
export type Claims = z.output<typeof claimsSchema>;

/** As earlier versions wrote them: one grant, spelled as two claims. Agents and pipelines still hold such tokens. */
const olderClaimsSchema = z
  .object({ ...commonClaims, roles: z.array(z.string()), actions: z.array(z.string()) })
  .transform(({ roles, actions, ...rest }): Claims => ({ ...rest, grants: [{ roles, actions }] }));

export interface ReadClaims {
  readonly claims: Claims;
  /** Whether an earlier version made the token. */
  readonly isOlder: boolean;
}

/** What a token says whose signature is ours. Null: a claim is missing, or not what it should be. */
export function readClaims(payload: unknown): ReadClaims | null {
  const present = claimsSchema.safeParse(payload);
  if (present.success) return { claims: present.data, isOlder: false };
  const older = olderClaimsSchema.safeParse(payload);
  return older.success ? { claims: older.data, isOlder: true } : null;
}

/** What a new token is to allow, to whom and for how long. */
export interface TokenTerms {
  readonly kind: Principal['kind'];
  readonly subject: string;
  readonly grants: readonly Grant[];
  readonly node: NodeId | null;
  readonly ttlSeconds: number;
  /** Of a token that takes the place of another one: the other's. Absent: a new one. */
  readonly id?: string;
  /** {@link Principal.isRecorded} */
  readonly isRecorded?: true;
}

export interface MintedToken {
  readonly token: string;
  readonly id: string;
  readonly expiresAtMs: number;
}

export interface TokenMintOptions {
  readonly issuer: string;
  readonly ring: KeyRing;
  readonly clock: Clock;
  readonly random: Random;
  /** Absent: {@link LIFETIMES_MAX}. */
  readonly lifetimes?: Lifetimes;
  /** Absent: there are none. */
  readonly revocations?: Pick<Revocations, 'cutoffMs'>;
}

/** 100 bits. */
const TOKEN_ID_LENGTH = 20;

export class TokenMint {
  readonly #options: TokenMintOptions;

  constructor(options: TokenMintOptions) {
    this.#options = options;
  }

  /** In seconds, how long tokens may live. */
  get lifetimes(): Lifetimes {
    return this.#options.lifetimes ?? LIFETIMES_MAX;
  }

  /** What the token will say. Nothing is signed yet. */
  draft(terms: TokenTerms): Claims {
    const tooLong = overlong(this.lifetimes, { kind: terms.kind, seconds: terms.ttlSeconds });
    invariant(tooLong === null, tooLong ?? '');
    const issuedSeconds = this.#issuedSeconds(terms);
    return {
      iss: this.#options.issuer,
      aud: OWN_AUDIENCE,
      sub: terms.subject,
      jti: terms.id ?? this.newId(),
      iat: issuedSeconds,
      nbf: issuedSeconds,
      exp: issuedSeconds + terms.ttlSeconds,
      kind: terms.kind,
      grants: terms.grants.map(({ roles, actions, resources }) => ({
        roles: [...roles],
        actions: [...actions],
        ...(resources !== undefined && { resources: [...resources] }),
      })),
      node: terms.node,
      ...(terms.isRecorded && { recorded: true }),
    };
  }

  /** The same claims signed by the same key are the same token, to the letter: Ed25519 takes no chance. */
  async sign(claims: Claims): Promise<MintedToken> {
    const key = await this.#options.ring.signer();
    const token = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: OWN_ALGORITHM, typ: OWN_TYPE, kid: key.kid })
      .sign(key.privateKey);
    return { token, id: claims.jti, expiresAtMs: claims.exp * 1000 };
  }

  mint(terms: TokenTerms): Promise<MintedToken> {
    return this.sign(this.draft(terms));
  }

  newId(): string {
    return randomId(this.#options.random, TOKEN_ID_LENGTH);
  }

  /**
   * Tokens carry whole seconds. One that is made in the second in which those before were revoked, or by a clock that is behind the one
   * which that was said by, would be among them: it is dated the next second after it, as far as clocks may be apart.
   */
  #issuedSeconds({ kind, subject, node }: TokenTerms): number {
    const { clock, revocations = NOTHING_REVOKED } = this.#options;
    const nowMs = clock.now();
    const cutoffMs = revocations.cutoffMs({ kind, subject, node }) ?? 0;
    const isNear = cutoffMs > nowMs - 1000 && cutoffMs <= nowMs + CLOCK_TOLERANCE_SECONDS * 1000;
    return isNear ? Math.max(Math.ceil(cutoffMs / 1000), Math.floor(nowMs / 1000)) : Math.floor(nowMs / 1000);
  }
}
