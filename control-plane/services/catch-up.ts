/** For answers that a mirror which is behind would get wrong. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { keys } from '../store/keys.ts';
import type { ServiceContext } from './context.ts';

const CATCH_UP_MS = 2000;

/** Waits until the mirror shows everything of the node that has happened by now. Throws `unavailable`. */
export async function catchUp(ctx: ServiceContext, node: NodeId): Promise<void> {
  const { revision } = await ctx.store.get(keys.epoch(node));
  if (await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS })) return;
  throw new Refusal('unavailable', `replica "${ctx.replica.id}" is behind; ask again`, { retryAfterSeconds: 1 });
}
