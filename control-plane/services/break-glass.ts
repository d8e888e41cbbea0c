/**
 * The way in when no other is left: an admin's token for whoever may reach the store and the signing keys, with a reason. Never reached
 * by a request. That it was made is on record before it is signed, so none goes about that nobody can see, and everybody who looks at
 * the cluster or follows its events is told.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Principal } from '../auth/principal.ts';
import type { MintedToken, TokenMint } from '../auth/tokens.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { auditWrites } from './audit.ts';
import type { ServiceContext } from './context.ts';

export const BREAK_GLASS_MINUTES = { min: 1, max: 60, default: 15 } as const;

const REASON_LENGTH_MAX = 1000;

export interface BreakGlass {
  /** Who does it, as far as their machine knows. */
  readonly by: string;
  readonly reason: string;
  readonly minutes: number;
}

/** Throws `invalid-request` without a reason, and StoreUnavailableError; then there is no token, though there may be a record. */
export async function breakGlass(
  ctx: Pick<ServiceContext, 'store' | 'log' | 'clock' | 'mirror'>,
  mint: TokenMint,
  { by, reason, minutes }: BreakGlass,
): Promise<MintedToken> {
  checkReason(reason);
  const subject = `break-glass:${by}`;
  const grants = [{ roles: ['*'], actions: ['*'] }] as const;
  const seconds = Math.min(minutes, BREAK_GLASS_MINUTES.max) * 60;
  const claims = mint.draft({ kind: 'user', subject, grants, node: null, ttlSeconds: seconds });
  const { jti: id, iat, exp } = claims;
  const key = keys.breakGlassToken(id);
  const times = { atMs: iat * 1000, untilMs: exp * 1000 };
  const change = {
    compares: [{ key, modRevision: 0 }],
    writes: [putRecord('tokens', key, { type: 'break-glass', id, by: subject, reason, ...times })],
  };
  const principal: Principal = { kind: 'user', subject, tokenId: id, grants, node: null };
  const origin = { requestId: id, address: null, operation: 'berth control-plane --break-glass' };
  const audit = auditWrites(ctx, { principal, origin }, change, id);
  await ctx.store.transact({ ...change, writes: [...change.writes, ...audit] });
  ctx.log.warn({ tokenId: id, by: subject, reason }, "an admin's token was made past all rights");
  return mint.sign(claims);
}

function checkReason(reason: string): void {
  if (reason.trim() !== '' && reason.length <= REASON_LENGTH_MAX && !reason.includes('\0')) return;
  const message = `has to say why, in 1 to ${REASON_LENGTH_MAX} characters`;
  throw new Refusal('invalid-request', `the reason ${message}`, { faults: [{ path: '/reason', message }] });
}
