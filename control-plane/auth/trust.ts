/**
 * By what an outside token is exchanged for one of ours: the trust policies of the store, and the issuers of the replica's own
 * configuration, as one kind of thing. Pure; whether a token is genuine is found out elsewhere.
 */
import type { JWTPayload } from 'jose';
import {
  type Claims,
  EXCHANGED_TTL_SECONDS_MAX,
  ruleHolds,
  type TrustPolicy,
} from '../../shared/domain/trust-policy.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { grantsOfIssuer, type OutsideIssuer } from './outside-issuer.ts';
import { holds, reachesRole } from './policy.ts';
import type { Grant } from './principal.ts';
import type { OutsideTerms } from './verify.ts';

export interface Trust {
  /** Of a policy; null: it is of the replica's configuration. */
  readonly name: string | null;
  readonly terms: OutsideTerms;
  readonly ttlSecondsMax: number;
  readonly singleUse: boolean;
  /** What a token with these claims brings. */
  grants(claims: Claims): readonly Grant[];
}

export function trustOfPolicy(policy: TrustPolicy): Trust {
  const { name, issuer, audience, jwksUri, algorithms, ttlSecondsMax, singleUse, rules } = policy;
  return {
    name,
    terms: { issuer, audience, jwksUri: jwksUri ?? undefined, algorithms },
    ttlSecondsMax,
    singleUse,
    grants: (claims) =>
      rules.filter((rule) => ruleHolds(rule, claims)).map(({ roles, actions }) => ({ roles, actions })),
  };
}

export function trustOfIssuer(issuer: OutsideIssuer): Trust {
  return {
    name: null,
    terms: issuer,
    ttlSecondsMax: EXCHANGED_TTL_SECONDS_MAX,
    singleUse: false,
    grants: (claims) => grantsOfIssuer(issuer, claims as JWTPayload),
  };
}

/** What several of them bring together. */
export interface TrustVerdict {
  /** Each once. Empty: nothing is granted. */
  readonly grants: readonly Grant[];
  /** The shortest of those that grant something. */
  readonly ttlSecondsMax: number;
  /** One of those that grant something asks for it. */
  readonly singleUse: boolean;
}

export function judgeTrusts(trusts: readonly Trust[], claims: Claims): TrustVerdict {
  const granting = trusts
    .map((trust) => ({ trust, grants: trust.grants(claims) }))
    .filter(({ grants }) => grants.length > 0);
  const byText = new Map(granting.flatMap(({ grants }) => grants.map((grant) => [canonicalJson(grant), grant])));
  return {
    grants: [...byText.values()],
    ttlSecondsMax: Math.min(EXCHANGED_TTL_SECONDS_MAX, ...granting.map(({ trust }) => trust.ttlSecondsMax)),
    singleUse: granting.some(({ trust }) => trust.singleUse),
  };
}

/** What somebody wants of what they could have. Undefined: all. */
export interface Wish {
  readonly roles?: readonly string[] | undefined;
  readonly actions?: readonly string[] | undefined;
}

/** The part of the grants that is wished for; or the words of what was wished for and isn't held. */
export function narrowGrants(grants: readonly Grant[], { roles, actions }: Wish): readonly Grant[] | string {
  const action = actions?.find((wanted) => !grants.some((grant) => holds(grant, wanted)));
  if (action !== undefined) return `the action "${action}"`;
  const role = roles?.find((wanted) => !grants.some((grant) => reachesRole(grant, wanted)));
  if (role !== undefined) return `the role "${role}"`;
  const missing = missingPair(grants, roles ?? [], actions ?? []);
  if (missing !== null) return missing;
  return grants
    .map((grant) => ({
      ...grant,
      roles: roles?.filter((wanted) => reachesRole(grant, wanted)) ?? grant.roles,
      actions: actions?.filter((wanted) => holds(grant, wanted)) ?? grant.actions,
    }))
    .filter((grant) => grant.actions.length > 0 && (roles === undefined || grant.roles.length > 0));
}

/** Where roles and actions are both wished for, each of the actions is meant in each of the roles. */
function missingPair(grants: readonly Grant[], roles: readonly string[], actions: readonly string[]): string | null {
  for (const action of actions) {
    const role = roles.find((wanted) => !grants.some((grant) => holds(grant, action) && reachesRole(grant, wanted)));
    if (role !== undefined) return `the action "${action}" in the role "${role}"`;
  }
  return null;
}
