/** The tokens that are handed out. */
import type { AuditedObject } from '../../shared/domain/audit.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { TokenRequest, TokenView } from '../../shared/protocol/views.ts';
import { LIFETIME_DEFAULTS, type Lifetimes, overlong } from '../auth/lifetimes.ts';
import { ACTION_PATTERNS, canDelegate } from '../auth/policy.ts';
import type { Claims, MintedToken, TokenMint } from '../auth/tokens.ts';
import type { VerifiedToken } from '../auth/verify.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { joinTokenFaults, joinTokenRecord } from './join-tokens.ts';
import { answerOnce, mutate } from './mutation.ts';
import { timeView } from './views.ts';

/**
 * Makes a token for somebody else. Throws `forbidden` when it would allow what the caller may not do. What is remembered
 * under an idempotency key is what the token says, not the token: it is signed again, to the same letters as long as the same key signs.
 */
export async function createToken(
  ctx: ServiceContext,
  mint: TokenMint,
  call: Call,
  request: TokenRequest,
): Promise<Answer<TokenView>> {
  const { kind, ttlSeconds = LIFETIME_DEFAULTS[kind] } = request;
  checkRequest(request, { lifetimes: mint.lifetimes, ttlSeconds });
  const verdict = canDelegate(call.principal, request);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
  const answer = await (kind === 'join' ? createJoinToken : createUserToken)(ctx, mint, call, {
    ...request,
    ttlSeconds,
  });
  const minted = await mint.sign(answer.body);
  return { ...answer, body: { token: minted.token, id: minted.id, expiresAt: timeView(minted.expiresAtMs) } };
}

/** For the record: whoever reads of the token by its id elsewhere finds here who has issued it to whom, for what. */
export function issuedToken({ jti, sub, kind, grants, exp }: Claims): AuditedObject {
  const [role, ...others] = new Set(grants.flatMap(({ roles }) => roles));
  const isOfOneRole = role !== undefined && role !== '*' && others.length === 0;
  const granted = grants.map(({ roles, actions, resources }) => {
    const only = resources === undefined ? '' : `, only ${resources.join(', ')}`;
    return `${actions.join(', ')} in ${roles.join(', ')}${only}`;
  });
  return {
    ...{ kind: 'token', id: jti, role: isOfOneRole ? role : null, change: 'issued', fields: [], version: null },
    grants: [`${kind} token for "${sub}" until ${timeView(exp * 1000)}`, ...granted],
  };
}

type TimedRequest = TokenRequest & { readonly ttlSeconds: number };

function createUserToken(
  ctx: ServiceContext,
  mint: TokenMint,
  call: Call,
  request: TimedRequest,
): Promise<Answer<Claims>> {
  const { subject, roles, actions, resources, ttlSeconds } = request;
  const body = mint.draft({ kind: 'user', subject, grants: [{ roles, actions, resources }], node: null, ttlSeconds });
  return answerOnce(ctx, call, { status: 201, body, noted: [issuedToken(body)] });
}

function createJoinToken(
  ctx: ServiceContext,
  mint: TokenMint,
  call: Call,
  request: TimedRequest,
): Promise<Answer<Claims>> {
  const { subject, ttlSeconds, node = null } = request;
  const claims = mint.draft({ kind: 'join', subject, grants: [], node, ttlSeconds, isRecorded: true });
  const key = keys.joinToken(claims.jti);
  const record = joinTokenRecord(request, claims, call.principal.subject);
  const unit = { compares: [{ key, modRevision: 0 }], writes: [putRecord('tokens', key, record)] };
  return mutate(ctx, call, () => ({ status: 201, body: claims, ...unit }));
}

function checkRequest(
  request: TokenRequest,
  { lifetimes, ttlSeconds }: { lifetimes: Lifetimes; ttlSeconds: number },
): void {
  const { kind, roles, actions, resources = [] } = request;
  const tooLong = overlong(lifetimes, { kind, seconds: ttlSeconds });
  const faults = [
    ...(kind === 'join'
      ? [...unusedInJoin('roles', roles), ...unusedInJoin('actions', actions), ...unusedInJoin('resources', resources)]
      : actions.flatMap((action, index) => unknownAction(action, index))),
    ...joinTokenFaults(request),
    ...(tooLong === null ? [] : [{ path: '/ttlSeconds', message: `is too long: ${tooLong}` }]),
  ];
  if (faults.length > 0) throw new Refusal('invalid-request', 'the token can not be made as asked for', { faults });
}

function unusedInJoin(field: string, values: readonly string[]) {
  if (values.length === 0) return [];
  return [{ path: `/${field}`, message: 'is not used by a join token, which lets an agent register and nothing else' }];
}

function unknownAction(action: string, index: number) {
  if (ACTION_PATTERNS.includes(action)) return [];
  return [
    { path: `/actions/${index}`, message: `"${action}" is not an action; there are ${ACTION_PATTERNS.join(', ')}` },
  ];
}

/** A token that may do everything, for whoever sets the cluster up. Never reached by a request. */
export function mintAdminToken(
  mint: TokenMint,
  { subject, ttlSeconds }: { subject: string; ttlSeconds: number },
): Promise<MintedToken> {
  return mint.mint({ kind: 'user', subject, grants: [{ roles: ['*'], actions: ['*'] }], node: null, ttlSeconds });
}

/** For the agent of a node that has registered; `id` is that of the node's credential. */
export function mintNodeToken(mint: TokenMint, node: NodeId, id: string): Promise<MintedToken> {
  return mint.mint({ kind: 'node', subject: node, grants: [], node, ttlSeconds: mint.lifetimes.node, id });
}

/**
 * A new token for a node whose present one has less than half of its life left; null while it has more. It keeps the id, so that
 * revoking the one revokes the other.
 */
export async function renewNodeToken(
  mint: TokenMint,
  { node, token, nowMs }: { node: NodeId; token: VerifiedToken; nowMs: number },
): Promise<MintedToken | null> {
  const halfMs = (token.expiresAtMs - token.issuedAtMs) / 2;
  return token.expiresAtMs - nowMs < halfMs ? mintNodeToken(mint, node, token.principal.tokenId) : null;
}

/** For one call of this replica to another. */
export function mintPeerToken(mint: TokenMint, replica: string): Promise<MintedToken> {
  return mint.mint({
    kind: 'peer',
    subject: replica,
    grants: [],
    node: null,
    ttlSeconds: mint.lifetimes.peer,
  });
}
