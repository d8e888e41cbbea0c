/** Tokens that the control plane makes: what they say, and how they are signed. */
import { SignJWT } from 'jose';
import { z } from 'zod';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { type KeyRing, OWN_ALGORITHM } from './keys.ts';
import type { Grant, Principal } from './principal.ts';

/** The audience of our own tokens, and the one that outside issuers are asked for unless another is configured. */
export const OWN_AUDIENCE = 'berth';

/** Tells our tokens from every other JWT that the same key might ever sign (RFC 8725, 3.11). */
export const OWN_TYPE = 'berth+jwt';

/** The name under which a cluster signs: tokens of one cluster mean nothing to another. */
export function ownIssuer(clusterId: string): string {
  return `berth:${clusterId}`;
}

/** What a token of ours says. Times are whole seconds since the Unix epoch, as JWT has them. */
export const claimsSchema = z.object({
  iss: z.string(),
  aud: z.literal(OWN_AUDIENCE),
  sub: z.string().min(1),
  jti: z.string().min(1),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
  kind: z.enum(['user', 'join', 'node', 'peer']),
  grants: z.array(z.object({ roles: z.array(z.string()), actions: z.array(z.string()) })),
  node: z.string().nullable(),
});
export type Claims = z.output<typeof claimsSchema>;

/** What a new token is to allow, to whom and for how long. */
export interface TokenTerms {
  readonly kind: Principal['kind'];
  readonly subject: string;
  readonly grants: readonly Grant[];
  readonly node: NodeId | null;
  readonly ttlSeconds: number;
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
}

/** 100 bits. */
const TOKEN_ID_LENGTH = 20;

export class TokenMint {
  readonly #options: TokenMintOptions;

  constructor(options: TokenMintOptions) {
    this.#options = options;
  }

  /** What the token will say. Nothing is signed yet. */
  draft(terms: TokenTerms): Claims {
    const nowSeconds = Math.floor(this.#options.clock.now() / 1000);
    return {
      iss: this.#options.issuer,
      aud: OWN_AUDIENCE,
      sub: terms.subject,
      jti: randomId(this.#options.random, TOKEN_ID_LENGTH),
      iat: nowSeconds,
      nbf: nowSeconds,
      exp: nowSeconds + terms.ttlSeconds,
      kind: terms.kind,
      grants: terms.grants.map(({ roles, actions }) => ({ roles: [...roles], actions: [...actions] })),
      node: terms.node,
    };
  }

  /** The same claims signed by the same key are the same token, to the letter: Ed25519 takes no chance. */
  async sign(claims: Claims): Promise<MintedToken> {
    const key = this.#options.ring.current;
    const token = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: OWN_ALGORITHM, typ: OWN_TYPE, kid: key.kid })
      .sign(key.privateKey);
    return { token, id: claims.jti, expiresAtMs: claims.exp * 1000 };
  }

  mint(terms: TokenTerms): Promise<MintedToken> {
    return this.sign(this.draft(terms));
  }
}
