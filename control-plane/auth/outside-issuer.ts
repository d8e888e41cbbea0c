/**
 * Issuers that aren't ours, as a replica's own configuration has them: a CI system or an identity provider whose tokens are
 * taken as they are, at every request, and exchanged as well. What their tokens may do here: fixed grants, grants by rule,
 * and, for issuers that know about Berth, claims that carry roles and actions. Rules hold as those of trust policies do.
 */
import type { JWTPayload } from 'jose';
import { z } from 'zod';
import { ROLE_PATTERN, ROLE_RULE } from '../../shared/domain/ids.ts';
import { patternOfText } from '../../shared/domain/text-pattern.ts';
import { type ClaimMatcher, OUTSIDE_ALGORITHMS, ruleHolds } from '../../shared/domain/trust-policy.ts';
import { ACTION_PATTERNS } from './policy.ts';
import type { Grant, Principal } from './principal.ts';
import { OWN_AUDIENCE } from './tokens.ts';

const role = z.union([z.literal('*'), z.string().regex(ROLE_PATTERN, `must be "*" or ${ROLE_RULE}`)]);
const action = z.string().refine(isActionPattern, { error: `must be one of ${ACTION_PATTERNS.join(', ')}` });
const grants = { roles: z.array(role).default([]), actions: z.array(action).default([]) };
/** Plain HTTP is for an issuer on the same machine: anybody in between could hand us their own keys. */
const secureUrl = z.url().refine(isSecureUrl, { error: 'must be an https URL (http only on this machine)' });

/** One outside issuer, as it is configured. */
export const outsideIssuerSchema = z.strictObject({
  issuer: z.string().min(1).describe('Exactly as it stands in the claim `iss`.'),
  audience: z.string().min(1).default(OWN_AUDIENCE).describe('What the claim `aud` must hold.'),
  jwksUri: secureUrl.optional().describe('Where its keys are. Absent: found by OpenID discovery under the issuer.'),
  algorithms: z.array(z.enum(OUTSIDE_ALGORITHMS)).min(1).default(['RS256']),
  ...grants,
  rolesClaim: z.string().min(1).optional().describe('A claim that lists roles, as an array or parted by spaces.'),
  actionsClaim: z.string().min(1).optional().describe('A claim that lists actions, likewise.'),
  rules: z
    .array(
      z.strictObject({
        claims: z
          .record(z.string().min(1), z.string())
          .refine((claims) => Object.keys(claims).length > 0, 'must name a claim')
          .describe(
            'All must be equal, as those of trust policies; a value that ends with `*` compares what stands before it.',
          ),
        ...grants,
      }),
    )
    .max(1000)
    .default([])
    .describe('Further grants for tokens whose claims match.'),
});
export type OutsideIssuer = z.output<typeof outsideIssuerSchema>;

/** A subject of an outside issuer is longer than this only if somebody plays tricks. */
const SUBJECT_MAX = 512;

/** Who the token's bearer is here. Null: a claim that is needed isn't there or isn't what it should be. */
export function outsidePrincipal(issuer: OutsideIssuer, payload: JWTPayload): Principal | null {
  const subject = outsideSubject(payload);
  return subject === null ? null : principalOf(subject, payload, grantsOfIssuer(issuer, payload));
}

/** Under the name of its issuer. Null: it has none that can be used. */
export function outsideSubject({ iss, sub }: JWTPayload): string | null {
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX) return null;
  // "#" can't stand in a subject of our own, so nobody outside can pass for somebody inside.
  return `${iss}#${sub}`;
}

function principalOf(subject: string, { jti }: JWTPayload, grants: readonly Grant[]): Principal {
  return { kind: 'user', subject, tokenId: typeof jti === 'string' ? jti : '', grants, node: null };
}

/**
 * What is granted to all of the issuer's tokens, and what each rule that holds adds: its actions in its roles. Where it names no roles
 * or no actions, those that all have.
 */
export function grantsOfIssuer(issuer: OutsideIssuer, payload: JWTPayload): Grant[] {
  const common: Grant = {
    roles: unique([
      ...issuer.roles,
      ...listClaim(payload, issuer.rolesClaim).filter((value) => value === '*' || ROLE_PATTERN.test(value)),
    ]),
    actions: unique([...issuer.actions, ...listClaim(payload, issuer.actionsClaim).filter(isActionPattern)]),
  };
  const byRule = issuer.rules
    .filter((rule) => ruleHolds({ claims: matchersOf(rule.claims) }, payload))
    .map(({ roles, actions }) => ({
      roles: roles.length === 0 ? common.roles : roles,
      actions: actions.length === 0 ? common.actions : actions,
    }));
  return [common, ...byRule].filter(({ actions }) => actions.length > 0);
}

/** A value that ends with `*` stands for what begins with the rest of it. */
function matchersOf(wanted: Readonly<Record<string, string>>): Record<string, ClaimMatcher> {
  return Object.fromEntries(
    Object.entries(wanted).map(([name, value]) => {
      const matcher = value.endsWith('*') ? { pattern: `${patternOfText(value.slice(0, -1))}(?s:.*)` } : [value];
      return [name, matcher];
    }),
  );
}

/** What isn't a role or an action of ours is left out by the caller: such claims are often shared with others. */
function listClaim(payload: JWTPayload, name: string | undefined): string[] {
  const value = name !== undefined && Object.hasOwn(payload, name) ? payload[name] : undefined;
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '');
  return Array.isArray(value) ? value.filter((member) => typeof member === 'string') : [];
}

function isActionPattern(value: string): boolean {
  return ACTION_PATTERNS.includes(value);
}

/** Whether keys may be fetched from there. */
export function isSecureUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return false;
  const local = url.hostname === 'localhost' || url.hostname === '127.0.0.1' || url.hostname === '[::1]';
  return url.protocol === 'https:' || (url.protocol === 'http:' && local);
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
