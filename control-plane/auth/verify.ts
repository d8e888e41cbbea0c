/**
 * From a bearer token to a principal, or to a refusal. Nothing in a token is believed before its signature has been
 * checked with a key and an algorithm that we chose: the token's own words only choose among issuers that we trust, and
 * among the keys of that issuer.
 */
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { Refusal } from '../../shared/domain/errors.ts';
import type { OutsideAlgorithm } from '../../shared/domain/trust-policy.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { type KeyRing, OWN_ALGORITHM } from './keys.ts';
import { LIFETIMES_MAX, type Lifetimes, overlong } from './lifetimes.ts';
import { type OutsideIssuer, outsidePrincipal } from './outside-issuer.ts';
import { OutsideKeys } from './outside-keys.ts';
import type { Principal } from './principal.ts';
import type { Revocations } from './revocations.ts';
import { TokenCache } from './token-cache.ts';
import { readShape, TOKEN_LENGTH_MAX } from './token-shape.ts';
import { CLOCK_TOLERANCE_SECONDS, OWN_AUDIENCE, OWN_TYPE, readClaims } from './tokens.ts';

/** Types that outside issuers write; many write none. A logout token, say, is signed by the same key and means no login. */
const OUTSIDE_TYPES: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];

export interface VerifiedToken {
  readonly principal: Principal;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** The name of our own key that it is signed with; null: another issuer's. */
  readonly kid: string | null;
}

/** From then on no replica takes the token. */
export function goodUntilMs({ expiresAtMs }: Pick<VerifiedToken, 'expiresAtMs'>): number {
  return expiresAtMs + CLOCK_TOLERANCE_SECONDS * 1000;
}

export interface Verifier {
  /**
   * Who the token stands for. Throws the Refusal `unauthenticated`, which says why in words that help an honest caller
   * and nobody else; `unavailable` when the keys to check it with can't be had; StoreUnavailableError. `beforeCheck` is called before
   * a signature is checked, and may throw instead; a token that is known from before needs no check.
   */
  verify(token: string, beforeCheck?: () => void): Promise<VerifiedToken>;
  /** Tells when a token that has been verified is taken back, once, and at once if it is already. Returns how to end it. */
  watch(token: VerifiedToken, tell: (why: string) => void): () => void;
}

export interface VerifierOptions {
  readonly clock: Clock;
  readonly ring: KeyRing;
  readonly revocations: Revocations;
  /** The name under which our own tokens are signed. */
  readonly issuer: string;
  /** Throws if two of them, or one and ourselves, have the same name. */
  readonly outside: readonly OutsideIssuer[];
  readonly fetch: typeof fetch;
  /** Of our own tokens. Absent: {@link LIFETIMES_MAX}. */
  readonly lifetimes?: Lifetimes;
}

/** Checks a token by the rules of one issuer. */
type Check = (token: string) => Promise<VerifiedToken>;

export function createVerifier(options: VerifierOptions): Verifier {
  const { clock, ring, revocations, issuer, outside, fetch, lifetimes = LIFETIMES_MAX } = options;
  const checks = new Map<string, Check>([[issuer, (token) => checkOwn(token, { clock, ring, issuer, lifetimes })]]);
  for (const one of outside) {
    if (checks.has(one.issuer)) throw new Error(`the issuer "${one.issuer}" is configured twice`);
    const keys = new OutsideKeys({ issuer: one, clock, fetch });
    checks.set(one.issuer, (token) => checkBearer(token, { clock, keys, issuer: one }));
  }
  const cache = new TokenCache<VerifiedToken>();
  const checked = async (token: string, beforeCheck?: () => void): Promise<VerifiedToken> => {
    const isLong = token.length > TOKEN_LENGTH_MAX;
    const known = isLong ? null : cache.get(token, clock.now() - CLOCK_TOLERANCE_SECONDS * 1000);
    if (known !== null) return known;
    const claims = readShape(token);
    const check = checks.get(claimedIssuer(claims));
    if (check === undefined) throw unauthenticated('the token is from an issuer that is not trusted here');
    beforeCheck?.();
    const verified = await check(token);
    cache.set(token, verified);
    return verified;
  };
  return {
    async verify(token, beforeCheck) {
      const verified = await checked(token, beforeCheck);
      // Asked each time: a token that has been seen before may have been taken back since.
      const why = revocations.reasonAgainst(verified);
      if (why !== null) throw unauthenticated(why);
      return verified;
    },
    watch: (token, tell) => revocations.watch(token, tell),
  };
}

/** Not believed: it only says whose rules are applied, and those check it again. */
function claimedIssuer({ iss }: Readonly<Record<string, unknown>>): string {
  return typeof iss === 'string' ? iss : '';
}

async function checkOwn(
  token: string,
  { clock, ring, issuer, lifetimes }: { clock: Clock; ring: KeyRing; issuer: string; lifetimes: Lifetimes },
): Promise<VerifiedToken> {
  const { payload, protectedHeader } = await verifySignature(
    token,
    async ({ kid }) => {
      const key = kid === undefined ? null : await ring.find(kid);
      if (key === null) throw new errors.JWKSNoMatchingKey();
      return key;
    },
    { ...commonOptions(clock), algorithms: [OWN_ALGORITHM], issuer, audience: OWN_AUDIENCE, typ: OWN_TYPE },
  );
  const read = readClaims(payload);
  if (read === null) throw unauthenticated('the token lacks a claim, or one is not what it should be');
  const { sub, jti, kind, grants, node, iat, exp, recorded } = read.claims;
  if (kind === 'node' ? node === null : kind !== 'join' && node !== null) {
    throw unauthenticated(`a token of the kind ${kind} names ${node === null ? 'its node' : 'no node'}`);
  }
  const tooLong = overlong(lifetimes, { kind, seconds: exp - iat, isOlder: read.isOlder });
  if (tooLong !== null) throw unauthenticated(`the token's claims "iat" and "exp" are too far apart: ${tooLong}`);
  const isRecorded = recorded === true ? { isRecorded: recorded } : {};
  const principal: Principal = { kind, subject: sub, tokenId: jti, grants, node, ...isRecorded };
  return { principal, issuedAtMs: iat * 1000, expiresAtMs: exp * 1000, kid: protectedHeader.kid ?? null };
}

/** What has to hold for a token of an outside issuer. */
export interface OutsideTerms {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUri?: string | undefined;
  readonly algorithms: readonly OutsideAlgorithm[];
}

async function checkBearer(
  token: string,
  { clock, keys, issuer }: { clock: Clock; keys: OutsideKeys; issuer: OutsideIssuer },
): Promise<VerifiedToken> {
  const payload = await checkOutside(token, { clock, keys, terms: issuer });
  const principal = outsidePrincipal(issuer, payload);
  if (principal === null) throw unauthenticated('the token has no usable subject');
  const expiresAtMs = (payload.exp ?? 0) * 1000;
  return { principal, issuedAtMs: (payload.iat ?? payload.nbf ?? 0) * 1000, expiresAtMs, kid: null };
}

/** What a token of an outside issuer says. Throws as {@link Verifier.verify} does. */
export async function checkOutside(
  token: string,
  { clock, keys, terms }: { clock: Clock; keys: OutsideKeys; terms: OutsideTerms },
): Promise<JWTPayload> {
  const options = {
    ...commonOptions(clock),
    algorithms: [...terms.algorithms],
    issuer: terms.issuer,
    audience: terms.audience,
    requiredClaims: ['sub', 'exp'],
  };
  const verified = verifySignature(token, (header) => keys.find(header), options);
  const { payload, protectedHeader } = await verified.catch((error) => {
    throw error instanceof Refusal ? error : unusableKeys(terms, error);
  });
  if (!OUTSIDE_TYPES.includes(protectedHeader.typ?.toLowerCase())) {
    throw unauthenticated('the token is of another type than an access or identity token');
  }
  return payload;
}

function commonOptions(clock: Clock): JWTVerifyOptions {
  return { clockTolerance: CLOCK_TOLERANCE_SECONDS, currentDate: new Date(clock.now()) };
}

type Lookup = (header: { kid?: string; alg: string }) => Promise<CryptoKey>;

async function verifySignature(
  token: string,
  lookup: Lookup,
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload; protectedHeader: { typ?: string; kid?: string } }> {
  try {
    const verified = await jwtVerify(token, lookup, options);
    checkMadeBy(verified.payload, options);
    return verified;
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    throw unauthenticated(explain(error), error);
  }
}

/** A token from the future would outlive whatever is said about the present, such as that all that were made until now don't count. */
function checkMadeBy({ iat }: JWTPayload, { currentDate }: JWTVerifyOptions): void {
  const nowSeconds = (currentDate?.getTime() ?? 0) / 1000;
  if (iat === undefined || iat <= nowSeconds + CLOCK_TOLERANCE_SECONDS) return;
  throw unauthenticated('the token was issued in the future; the clock of its issuer, or ours, is wrong');
}

function explain(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return explainClaim(error.claim);
  if (error instanceof errors.JWKSNoMatchingKey) return 'the token is signed with a key that is not known here';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "the token doesn't say which key it is signed with";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the token's signature is not valid";
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the token is signed in a way that is not accepted here';
  return 'the token is not a valid signed JWT';
}

function explainClaim(claim: string): string {
  switch (claim) {
    case 'aud':
      return 'the token is for another audience';
    case 'iss':
      return 'the token is from another issuer';
    case 'nbf':
      return 'the token is not valid yet';
    case 'typ':
      return 'the token is of another type';
    default:
      return `the token's claim "${claim}" is missing or not what it should be`;
  }
}

/** The platform refuses a key that makes no sense or is too weak: neither the caller's fault nor ours. */
function unusableKeys({ issuer }: OutsideTerms, cause: unknown): Refusal {
  return new Refusal('unavailable', `the keys that the issuer "${issuer}" publishes can't be used`, {
    retryAfterSeconds: 60,
    cause,
  });
}

export function unauthenticated(why: string, cause?: unknown): Refusal {
  return new Refusal('unauthenticated', why, cause === undefined ? {} : { cause });
}
