/**
 * Who somebody outside is here: their issuer's token for one of ours, which allows what the rules of trust policies say that hold for
 * it, and no more; and, for operators, why it would.
 *
 * Ours may outlive theirs, which often holds for minutes only, where what it is for takes longer: it is bounded by the policy instead.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import {
  EXCHANGED_TTL_SECONDS_DEFAULT,
  judgeRule,
  type Claims as OutsideClaims,
  type TrustPolicy,
} from '../../shared/domain/trust-policy.ts';
import type {
  ExchangedToken,
  ExchangeRequest,
  LoginsView,
  TrustTestRequest,
  TrustTestView,
  WhoamiView,
} from '../../shared/protocol/policies.ts';
import { randomId } from '../../shared/util/random.ts';
import type { OutsideIssuer } from '../auth/outside-issuer.ts';
import { concernedBy, type OutsideIdentity, type OutsideTokens } from '../auth/outside-tokens.ts';
import type { Grant, Principal } from '../auth/principal.ts';
import { readShape, TOKEN_LENGTH_MAX } from '../auth/token-shape.ts';
import type { Claims, TokenMint } from '../auth/tokens.ts';
import {
  judgeTrusts,
  narrowGrants,
  type Trust,
  type TrustVerdict,
  trustOfIssuer,
  trustOfPolicy,
} from '../auth/trust.ts';
import type { VerifiedToken } from '../auth/verify.ts';
import type { LeaseId } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { commitOnce } from '../store/transact.ts';
import { demand } from './access.ts';
import { type Act, auditWritesOf } from './audit.ts';
import type { Call, ServiceContext } from './context.ts';
import { issuedToken } from './tokens.ts';
import { timeView } from './views.ts';

/** A token that is taken once is remembered until it ends, and for so long at the most. */
const SINGLE_USE_LIFE_SECONDS_MAX = 86_400;
/** As far as clocks differ: verifying is as patient. */
const CLOCK_TOLERANCE_SECONDS = 60;

export interface ExchangeParts {
  readonly mint: TokenMint;
  readonly outsideTokens: OutsideTokens;
  /** Of the replica's own configuration. */
  readonly outsideIssuers: readonly OutsideIssuer[];
}

/**
 * Throws `unauthenticated` for a token that nobody here trusts, `forbidden` for one that nothing is granted to, or not what is wished
 * for, `unavailable` when the issuer's keys can't be had.
 */
export async function exchangeToken(
  ctx: ServiceContext,
  { mint, outsideTokens, outsideIssuers }: ExchangeParts,
  { origin }: Pick<Call, 'origin'>,
  request: ExchangeRequest,
): Promise<ExchangedToken> {
  const identity = await outsideTokens.identify(request.token, trustsOf(ctx, outsideIssuers, request.policy));
  const verdict = judgeTrusts(identity.trusts, identity.payload);
  if (verdict.grants.length === 0) throw nothingGranted(identity.subject);
  const grants = grantsWishedFor(verdict.grants, request);
  const ttlSeconds = ttlWishedFor(verdict, request);
  const { subject } = identity;
  const claims = mint.draft({ kind: 'user', subject, grants, node: null, ttlSeconds });
  const minted = await mint.sign(claims);
  if (minted.token.length > TOKEN_LENGTH_MAX) throw tooLarge(grants.length);
  const used = verdict.singleUse ? await markOf(ctx, identity) : null;
  await putOnRecord(ctx, { principal: principalOf(identity), origin }, claims, used);
  ctx.log.info({ subject, token: minted.id, expiresAtMs: minted.expiresAtMs }, 'a token has been exchanged');
  return {
    token: minted.token,
    id: minted.id,
    subject,
    grants: grants.map(grantView),
    expiresAt: timeView(minted.expiresAtMs),
  };
}

/** All that could trust a token, or the one policy that is named. */
function trustsOf(ctx: ServiceContext, issuers: readonly OutsideIssuer[], policy: string | undefined): Trust[] {
  const { policies } = ctx.mirror.snapshot;
  if (policy === undefined) return [...[...policies.values()].map(trustOfPolicy), ...issuers.map(trustOfIssuer)];
  const named = policies.get(policy);
  return named === undefined ? [] : [trustOfPolicy(named)];
}

function grantsWishedFor(held: readonly Grant[], { roles, actions }: ExchangeRequest): readonly Grant[] {
  const grants = narrowGrants(held, { roles, actions });
  if (typeof grants !== 'string') return grants;
  throw new Refusal(
    'forbidden',
    `the token doesn't bring ${grants}, which was asked for; ask for less, or for nothing`,
  );
}

function ttlWishedFor({ ttlSecondsMax }: TrustVerdict, { ttlSeconds }: ExchangeRequest): number {
  if (ttlSeconds === undefined) return Math.min(EXCHANGED_TTL_SECONDS_DEFAULT, ttlSecondsMax);
  if (ttlSeconds <= ttlSecondsMax) return ttlSeconds;
  throw new Refusal(
    'forbidden',
    `a token for ${ttlSeconds} seconds was asked for, and it may hold for ${ttlSecondsMax}`,
    {
      faults: [{ path: '/ttlSeconds', message: `must be at most ${ttlSecondsMax}` }],
    },
  );
}

/** By what a token is remembered that is taken once. */
interface Mark {
  readonly key: string;
  readonly lease: LeaseId;
  readonly subject: string;
}

async function markOf(ctx: ServiceContext, { subject, payload }: OutsideIdentity): Promise<Mark> {
  const { iss = '', jti, exp = 0 } = payload;
  if (typeof jti !== 'string' || jti === '') {
    throw new Refusal('unauthenticated', 'the token is to be taken once, and has no id (jti) to be known by');
  }
  const lifeSeconds = exp - Math.floor(ctx.clock.now() / 1000);
  if (lifeSeconds > SINGLE_USE_LIFE_SECONDS_MAX) {
    throw new Refusal(
      'unauthenticated',
      'the token is to be taken once, and lives for more than a day; get a shorter one',
    );
  }
  const lease = await ctx.store.grantLease(Math.max(1, lifeSeconds) + CLOCK_TOLERANCE_SECONDS);
  return { key: keys.exchange(iss, jti), lease, subject };
}

/**
 * What was given to whom; and of a token that is taken once, in the same step with finding out that it hasn't been: of two who come
 * with it at once, one is too late.
 */
async function putOnRecord(ctx: ServiceContext, act: Act, claims: Claims, mark: Mark | null): Promise<void> {
  const opId = randomId(ctx.random, 20);
  const result = await commitOnce(ctx.store, {
    opId,
    leases: ctx.ops,
    by: ctx.replica.id,
    compares: mark === null ? [] : [{ key: mark.key, modRevision: 0 }],
    writes: [
      ...(mark === null
        ? []
        : [putRecord('exchanges', mark.key, { subject: mark.subject, atMs: ctx.clock.now() }, mark.lease)]),
      ...auditWritesOf(ctx, act, [issuedToken(claims)], opId),
    ],
  });
  if (result.committed || mark === null) return;
  await ctx.store.revokeLease(mark.lease);
  throw new Refusal(
    'unauthenticated',
    'the token has been taken before, and it is taken once; get another from its issuer',
  );
}

/** Whoever the outside token stands for: so far with no rights. */
function principalOf({ subject, payload }: OutsideIdentity): Principal {
  const { jti } = payload;
  return { kind: 'user', subject, tokenId: typeof jti === 'string' ? jti : '', grants: [], node: null };
}

/** What the bearer is told doesn't help to find out what would be granted to whom. */
function nothingGranted(subject: string): Refusal {
  return new Refusal(
    'forbidden',
    `the token is genuine, and nothing is granted to "${subject}" as it stands; an operator can see why with "berth policy test"`,
  );
}

function tooLarge(count: number): Refusal {
  return new Refusal(
    'forbidden',
    `the token would be too large, with ${count} grants; ask for some of the roles or actions, or for one policy`,
  );
}

/** What an exchange would bring, and why: every rule of every policy. Nothing is used up. */
export async function testTrust(
  ctx: ServiceContext,
  { outsideTokens }: Pick<ExchangeParts, 'outsideTokens'>,
  principal: Principal,
  request: TrustTestRequest,
): Promise<TrustTestView> {
  demand(principal, 'policy:read', null);
  const { snapshot } = ctx.mirror;
  const policies = [...snapshot.policies.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const chosen = request.policy === undefined ? policies : policies.filter(({ name }) => name === request.policy);
  if (request.policy !== undefined && chosen.length === 0) {
    throw new Refusal('not-found', `there is no policy "${request.policy}"`);
  }
  const claims = claimsOf(request);
  const judged = await Promise.all(
    chosen.map(async (policy) => ({ policy, objection: await objectionOf(outsideTokens, policy, request) })),
  );
  const taking = judged.filter(({ objection }) => objection === null).map(({ policy }) => trustOfPolicy(policy));
  return {
    claims: { ...claims },
    grants: judgeTrusts(taking, claims).grants.map(grantView),
    policies: judged.map(({ policy, objection }) => ({
      name: policy.name,
      objection,
      rules: rulesView(policy, claims),
    })),
  };
}

function claimsOf({ token, claims = {} }: TrustTestRequest): OutsideClaims {
  if (token === undefined) return claims;
  try {
    return readShape(token);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal('invalid-request', error.message, { faults: [{ path: '/token', message: error.message }] });
  }
}

/** Why the policy takes no such token; null: it does. */
async function objectionOf(
  outsideTokens: OutsideTokens,
  policy: TrustPolicy,
  { token, claims = {} }: TrustTestRequest,
): Promise<string | null> {
  try {
    if (token === undefined) concernedBy(claims, [trustOfPolicy(policy)]);
    else await outsideTokens.identify(token, [trustOfPolicy(policy)]);
    return null;
  } catch (error) {
    if (error instanceof Refusal)
      return `${error.message}; the policy is about ${policy.issuer} and ${policy.audience}`;
    throw error;
  }
}

function rulesView(policy: TrustPolicy, claims: OutsideClaims): TrustTestView['policies'][number]['rules'] {
  return policy.rules.map((rule, index) => {
    const verdicts = judgeRule(rule, claims);
    const holds = verdicts.every((verdict) => verdict.holds);
    return { rule: index, name: rule.name, holds, claims: verdicts.map((verdict) => ({ ...verdict })) };
  });
}

function grantView({ roles, actions }: Grant): { roles: string[]; actions: string[] } {
  return { roles: [...roles], actions: [...actions] };
}

/** Where people can log in. For everybody: who isn't logged in has to find out. */
export function listLogins({ mirror: { snapshot } }: ServiceContext): LoginsView {
  const items = [...snapshot.policies.values()]
    .flatMap(({ name, issuer, clientId }) => (clientId === null ? [] : [{ policy: name, issuer, clientId }]))
    .sort((a, b) => (a.policy < b.policy ? -1 : 1));
  return { items };
}

/** Who the bearer of this token is. */
export function whoami({ principal, issuedAtMs, expiresAtMs }: VerifiedToken): WhoamiView {
  const { kind, subject, tokenId, grants, node } = principal;
  return {
    kind,
    subject,
    tokenId,
    grants: grants.map(grantView),
    node,
    issuedAt: timeView(issuedAtMs),
    expiresAt: timeView(expiresAtMs),
  };
}
