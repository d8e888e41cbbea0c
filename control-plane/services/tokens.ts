/** The cluster's signing keys, and the tokens that are handed out with them. */
import type { AuditedObject } from '../../shared/domain/audit.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { TokenRequest, TokenView } from '../../shared/protocol/views.ts';
import { generateSigningKey, KeyRing } from '../auth/keys.ts';
import { ACTION_PATTERNS, canDelegate } from '../auth/policy.ts';
import type { Claims, MintedToken, TokenMint } from '../auth/tokens.ts';
import type { VerifiedToken } from '../auth/verify.ts';
import { RANGE_PAGE_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { SecretRecord } from '../store/record-types.ts';
import { decodeRecord, putRecord } from '../store/records.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { answerOnce } from './mutation.ts';
import { type KeyContext, openedKey, sealClearKeys, sealedKey } from './sealed-keys.ts';
import { timeView } from './views.ts';

/** The name of the key that a cluster starts with. Replicas that start at once agree on it by this name alone. */
const FIRST_KID = '1';

/**
 * A connected node gets a new one at half of this time. It is also how long a node may be away and still come back by itself:
 * edge machines lose their uplink for a weekend, and nobody is there to hand them a join token.
 */
const NODE_TOKEN_TTL_SECONDS = 14 * 24 * 3600;
/** A peer's token is made for one call. */
const PEER_TOKEN_TTL_SECONDS = 60;

/**
 * The cluster's keys; the first one is made by whichever replica comes first. Throws StoreUnavailableError, and SealedKeyError where
 * one of them can't be opened here.
 */
export async function ensureSigningKey(ctx: KeyContext): Promise<KeyRing> {
  if ((await readSigningKeys(ctx)).length === 0) await createFirstKey(ctx);
  await sealClearKeys(ctx);
  const ring = new KeyRing({ load: () => readSigningKeys(ctx), clock: ctx.clock });
  await ring.load();
  return ring;
}

async function createFirstKey(ctx: KeyContext): Promise<void> {
  const key = keys.signingKey(FIRST_KID);
  const record = await sealedKey(ctx, await generateSigningKey(FIRST_KID, ctx.clock.now()));
  // Whether this one or another replica's was put doesn't matter: the one that stands is read.
  await ctx.store.transact({ compares: [{ key, modRevision: 0 }], writes: [putRecord('secrets', key, record)] });
}

/** With their private parts opened. Throws a {@link SealedKeyError} where one can't be. */
async function readSigningKeys(ctx: KeyContext): Promise<SecretRecord[]> {
  const { keyValues } = await ctx.store.range({ prefix: keys.signingKey(''), limit: RANGE_PAGE_MAX });
  return Promise.all(keyValues.map(({ key, value }) => openedKey(ctx, decodeRecord('secrets', key, value))));
}

/**
 * Makes a token for somebody else. Throws `forbidden` when it would allow what the caller may not do. What is remembered
 * under an idempotency key is what the token says, not the token: it is signed again, to the same letters.
 */
export async function createToken(
  ctx: ServiceContext,
  mint: TokenMint,
  call: Call,
  request: TokenRequest,
): Promise<Answer<TokenView>> {
  checkRequest(request);
  const verdict = canDelegate(call.principal, request);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
  const { kind, subject, roles, actions, ttlSeconds } = request;
  const claims = mint.draft({ kind, subject, grants: [{ roles, actions }], node: null, ttlSeconds });
  const answer = await answerOnce(ctx, call, { status: 201, body: claims, noted: [issuedToken(claims)] });
  const minted = await mint.sign(answer.body);
  return { ...answer, body: { token: minted.token, id: minted.id, expiresAt: timeView(minted.expiresAtMs) } };
}

/** For the record: whoever reads of the token by its id elsewhere finds here who has issued it to whom, for what. */
export function issuedToken({ jti, sub, kind, grants, exp }: Claims): AuditedObject {
  const [role, ...others] = new Set(grants.flatMap(({ roles }) => roles));
  const isOfOneRole = role !== undefined && role !== '*' && others.length === 0;
  const granted = grants.map(({ roles, actions }) => `${actions.join(', ')} in ${roles.join(', ')}`);
  return {
    ...{ kind: 'token', id: jti, role: isOfOneRole ? role : null, change: 'issued', fields: [], version: null },
    grants: [`${kind} token for "${sub}" until ${timeView(exp * 1000)}`, ...granted],
  };
}

function checkRequest({ kind, roles, actions }: TokenRequest): void {
  const faults =
    kind === 'join'
      ? [...unusedInJoin('roles', roles), ...unusedInJoin('actions', actions)]
      : actions.flatMap((action, index) => unknownAction(action, index));
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

/** For the agent of a node that has registered. */
export function mintNodeToken(mint: TokenMint, node: NodeId): Promise<MintedToken> {
  return mint.mint({ kind: 'node', subject: node, grants: [], node, ttlSeconds: NODE_TOKEN_TTL_SECONDS });
}

/** A new token for a node whose present one has less than half of its life left; null while it has more. */
export async function renewNodeToken(
  mint: TokenMint,
  { node, token, nowMs }: { node: NodeId; token: VerifiedToken; nowMs: number },
): Promise<MintedToken | null> {
  const halfMs = (token.expiresAtMs - token.issuedAtMs) / 2;
  return token.expiresAtMs - nowMs < halfMs ? mintNodeToken(mint, node) : null;
}

/** For one call of this replica to another. */
export function mintPeerToken(mint: TokenMint, replica: string): Promise<MintedToken> {
  return mint.mint({
    kind: 'peer',
    subject: replica,
    grants: [],
    node: null,
    ttlSeconds: PEER_TOKEN_TTL_SECONDS,
  });
}
