/**
 * What is believed of tokens that others issue: which issuer, for which audience, and what a token brings whose claims are as a rule
 * says. A rule names claims and what each has to be; all of them have to hold, and every rule that holds brings a grant of its own.
 *
 * Claims are compared as texts, since the same id is a number in one issuer's tokens and a text in another's. A pattern is held against
 * the whole of a claim, so that what is meant as a name is never found inside a longer one.
 */
import { readPattern } from './text-pattern.ts';

/** Signatures by a key pair only. A shared secret (HS256) would let every holder of it make tokens. */
export const OUTSIDE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
export type OutsideAlgorithm = (typeof OUTSIDE_ALGORITHMS)[number];

export const POLICIES_MAX = 200;
export const POLICY_RULES_MAX = 100;
export const RULE_CLAIMS_MAX = 20;
export const CLAIM_VALUES_MAX = 50;
export const CLAIM_TEXT_MAX = 512;
/** Of a policy as JSON: every replica keeps all of them in memory. */
export const POLICY_CHARACTERS_MAX = 131_072;

/** How long the tokens may hold that are given for an outside one: an hour at the most, whatever a policy says. */
export const EXCHANGED_TTL_SECONDS_MAX = 3600;
export const EXCHANGED_TTL_SECONDS_DEFAULT = 900;

/** What one claim has to be: one of these texts, or a text of this pattern. */
export type ClaimMatcher = readonly string[] | { readonly pattern: string };

export interface TrustRule {
  /** What people call it; null: its place is its name. */
  readonly name: string | null;
  /** By the name of the claim, or where it is within others, as a JSON pointer such as `/realm_access/roles`. */
  readonly claims: Readonly<Record<string, ClaimMatcher>>;
  readonly roles: readonly string[];
  readonly actions: readonly string[];
  /** It is meant to hold for whoever the issuer gives a token to. */
  readonly allowAnySubject: boolean;
}

export interface TrustPolicy {
  readonly name: string;
  /** Exactly as it stands in the claim `iss`. */
  readonly issuer: string;
  /** The one that tokens are to be for, and for no other beside it. */
  readonly audience: string;
  /** Null: found by OpenID discovery under the issuer. */
  readonly jwksUri: string | null;
  readonly algorithms: readonly OutsideAlgorithm[];
  readonly ttlSecondsMax: number;
  /** Each token of the issuer is taken once. */
  readonly singleUse: boolean;
  /** What people log in as, by way of a browser; null: they can't. */
  readonly clientId: string | null;
  readonly rules: readonly TrustRule[];
  readonly updatedAtMs: number;
  readonly updatedBy: string;
}

export type Claims = Readonly<Record<string, unknown>>;

/** How a claim stands to what a rule wants of it. */
export interface ClaimVerdict {
  readonly claim: string;
  readonly holds: boolean;
  /** What it is and what it should be. For those only who may read the policy. */
  readonly why: string;
}

/** Whether the rule brings its grant to whoever has these claims. */
export function ruleHolds(rule: Pick<TrustRule, 'claims'>, claims: Claims): boolean {
  return Object.entries(rule.claims).every(([name, matcher]) => matches(matcher, claimTexts(readClaim(claims, name))));
}

/** The same, claim by claim, in words. */
export function judgeRule(rule: Pick<TrustRule, 'claims'>, claims: Claims): readonly ClaimVerdict[] {
  return Object.entries(rule.claims).map(([claim, matcher]) => {
    const value = readClaim(claims, claim);
    const holds = matches(matcher, claimTexts(value));
    return { claim, holds, why: `${actualText(value)}, ${holds ? 'as' : 'and'} it has to be ${wantedText(matcher)}` };
  });
}

/** Undefined where there is none. What objects inherit isn't a claim. */
function readClaim(claims: Claims, name: string): unknown {
  if (!name.startsWith('/')) return ownMember(claims, name);
  let value: unknown = claims;
  for (const step of name.slice(1).split('/')) {
    value = ownMember(value, step.replaceAll('~1', '/').replaceAll('~0', '~'));
  }
  return value;
}

function ownMember(value: unknown, name: string): unknown {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && Object.hasOwn(value, name) ? (value as Claims)[name] : undefined;
}

/** The texts that a claim stands for: one, or of a list each. Of what has no text of its own, none. */
function claimTexts(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(scalarTexts);
  return scalarTexts(value);
}

function scalarTexts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'boolean') return [String(value)];
  // Beyond these, two ids become one number when they are read.
  return typeof value === 'number' && Number.isSafeInteger(value) ? [String(value)] : [];
}

function matches(matcher: ClaimMatcher, texts: readonly string[]): boolean {
  if ('pattern' in matcher) {
    const pattern = readPattern(matcher.pattern);
    // One that can't be read is refused where it is written; on record all the same, it is no reason to let anybody in.
    return typeof pattern !== 'string' && texts.some((text) => pattern.matches(text));
  }
  return texts.some((text) => matcher.includes(text));
}

function actualText(value: unknown): string {
  if (value === undefined) return 'is not in the token';
  const text = JSON.stringify(value) ?? 'nothing';
  return `is ${text.length > CLAIM_TEXT_MAX ? `${text.slice(0, CLAIM_TEXT_MAX)}…` : text}`;
}

function wantedText(matcher: ClaimMatcher): string {
  if ('pattern' in matcher) return `of the pattern ${JSON.stringify(matcher.pattern)}`;
  const texts = matcher.map((text) => JSON.stringify(text));
  return texts.length === 1 ? `${texts[0]}` : `one of ${texts.join(', ')}`;
}

/** What every token has, or what says nothing of whose it is. */
const TECHNICAL_CLAIMS: readonly string[] = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'nonce', 'auth_time'];

/**
 * Issuers that give tokens to the whole world, and the claims that say whose a token is. Beside these, a rule for them would hold for
 * strangers: anybody can push to a branch `main` of their own.
 */
const SHARED_ISSUERS: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'https://token.actions.githubusercontent.com',
    [
      'sub',
      'repository',
      'repository_id',
      'repository_owner',
      'repository_owner_id',
      'enterprise',
      'enterprise_id',
      'workflow_ref',
    ],
  ],
  [
    'https://gitlab.com',
    ['sub', 'project_id', 'project_path', 'namespace_id', 'namespace_path', 'user_id', 'user_login', 'user_email'],
  ],
  ['https://agent.buildkite.com', ['sub', 'organization_id', 'organization_slug', 'pipeline_id']],
  ['https://accounts.google.com', ['sub', 'email', 'hd']],
]);

/** What such claims are of somebody who has nothing to do with us. */
const STRANGERS: readonly string[] = [
  'stranger-9041',
  '982451653',
  'stranger-9041/thing',
  'stranger-9041/thing/.github/workflows/ci.yml@refs/heads/main',
  'repo:stranger-9041/thing:ref:refs/heads/main',
  'repo:stranger-9041/thing:pull_request',
  'repo:stranger-9041/thing:environment:production',
  'project_path:stranger-9041/thing:ref_type:branch:ref:main',
  'organization:stranger-9041:pipeline:thing:ref:refs/heads/main',
  'stranger-9041@example.org',
  '0190e5b4-7c1d-7cc2-9d0e-3f0f2f9f6a51',
];

/** The claims that can say whose a token of this issuer is; null: whichever it has. */
export function identifyingClaims(issuer: string): readonly string[] | null {
  return SHARED_ISSUERS.get(issuer) ?? null;
}

/** Whether a rule holds for whoever the issuer gives a token to, as far as that can be told. */
export function isCatchAll(issuer: string, { claims }: Pick<TrustRule, 'claims'>): boolean {
  const identifying = SHARED_ISSUERS.get(issuer);
  return !Object.entries(claims).some(([name, matcher]) => {
    if (identifying === undefined) return !TECHNICAL_CLAIMS.includes(name) && !STRANGERS.every(isOf(matcher));
    return identifying.includes(name) && !STRANGERS.some(isOf(matcher));
  });
}

function isOf(matcher: ClaimMatcher): (text: string) => boolean {
  return (text) => matches(matcher, [text]);
}
