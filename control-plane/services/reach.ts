/** A client never sees a state that is older than one that it has seen, whichever replica it asks; unless history has changed. */
import { Refusal } from '../../shared/domain/errors.ts';
import { positionText, type StatePosition } from '../../shared/protocol/position.ts';
import type { ServiceContext } from './context.ts';

/** How far behind another replica this one may be. */
const REACH_MS = 5000;

/** Where this replica's state stands. */
export function positionNow({ mirror }: ServiceContext, revision = mirror.revision): StatePosition {
  return { incarnation: mirror.snapshot.incarnation, revision };
}

/**
 * Gives this replica the time to come to what a client has seen elsewhere, and tells whether it has. Throws `history-changed`
 * where that can't be: the cluster was recovered since from an older state, and it may never have happened.
 */
export async function reach(ctx: ServiceContext, seen: StatePosition, signal?: AbortSignal): Promise<boolean> {
  checkHistory(ctx, seen);
  if (isReached(ctx, seen)) return true;
  await ctx.mirror.waitFor(seen.revision, { timeoutMs: REACH_MS, ...(signal !== undefined && { signal }) });
  checkHistory(ctx, seen);
  return isReached(ctx, seen);
}

/** Throws `history-changed` for what was seen under another incarnation than the present one. */
export function checkHistory(ctx: ServiceContext, seen: StatePosition): void {
  const now = positionNow(ctx);
  if (seen.incarnation >= now.incarnation) return;
  throw new Refusal(
    'history-changed',
    `what was seen up to ${positionText(seen)} may never have happened: the cluster was recovered since, from an older state of its store, and stands at ${positionText(now)}; read again what you follow, and go on from its Berth-Revision`,
  );
}

function isReached(ctx: ServiceContext, seen: StatePosition): boolean {
  const now = positionNow(ctx);
  return seen.incarnation === now.incarnation && seen.revision <= now.revision;
}
