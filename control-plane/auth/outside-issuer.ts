/**
 * Issuers that aren't ours: a CI system or an identity provider whose tokens are taken as they are. What their tokens may
 * do here is decided by our operator's configuration: fixed grants, grants by rule, and, for issuers that know about
 * Berth, claims that carry roles and actions.
 */
import type { JWTPayload } from 'jose';
import { z } from 'zod';
import { ROLE_PATTERN, ROLE_RULE } from '../../shared/domain/ids.ts';
import { ACTION_PATTERNS } from './policy.ts';
import type { Principal } from './principal.ts';
import { OWN_AUDIENCE } from './tokens.ts';

/** Signatures by a key pair only. A shared secret (HS256) would let every holder of it make tokens. */
const OUTSIDE_ALGORITHMS = [
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
          .describe('All must be equal; a value that ends with `*` compares what stands before it.'),
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
  const { sub, jti } = payload;
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX) return null;
  const rules = issuer.rules.filter((rule) => matchesAll(rule.claims, payload));
  const roles = unique([
    ...issuer.roles,
    ...rules.flatMap((rule) => rule.roles),
    ...listClaim(payload, issuer.rolesClaim).filter((value) => value === '*' || ROLE_PATTERN.test(value)),
  ]);
  const actions = unique([
    ...issuer.actions,
    ...rules.flatMap((rule) => rule.actions),
    ...listClaim(payload, issuer.actionsClaim).filter(isActionPattern),
  ]);
  return {
    kind: 'user',
    // "#" can't stand in a subject of our own, so nobody outside can pass for somebody inside.
    subject: `${issuer.issuer}#${sub}`,
    tokenId: typeof jti === 'string' ? jti : '',
    grants: [{ roles, actions }],
    node: null,
  };
}

function matchesAll(wanted: Readonly<Record<string, string>>, payload: JWTPayload): boolean {
  return Object.entries(wanted).every(([name, pattern]) => {
    const value = Object.hasOwn(payload, name) ? payload[name] : undefined;
    if (typeof value !== 'string') return false;
    return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
  });
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
