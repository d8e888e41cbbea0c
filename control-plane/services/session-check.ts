/** Whether an agent's session is the one that counts. Every call of an agent but the first is checked against it. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { keys } from '../store/keys.ts';
import type { ServiceContext } from './context.ts';

const CATCH_UP_MS = 2000;

export interface NodeSession {
  readonly node: NodeId;
  readonly epoch: number;
  /** The id of the token that the call came with; absent: it isn't looked at. */
  readonly credential?: string;
}

/** This replica's mirror may be behind the one that the session was made on: it gets the time to catch up. */
export async function currentSession(ctx: ServiceContext, session: NodeSession): Promise<void> {
  if (ctx.mirror.snapshot.epochOf(session.node) < session.epoch) await catchUp(ctx, session.node);
  checkEpoch(ctx, session);
}

/** Waits until the mirror shows everything that has happened by now. */
export async function catchUp(ctx: ServiceContext, node: NodeId): Promise<void> {
  const before = ctx.mirror.revision;
  const { revision } = await ctx.store.get(keys.epoch(node));
  if (revision < before) {
    throw new Refusal(
      'unavailable',
      `the store went back in time, and replica "${ctx.replica.id}" still has to list it again`,
      {
        retryAfterSeconds: 1,
      },
    );
  }
  if (await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS })) return;
  throw new Refusal('unavailable', `replica "${ctx.replica.id}" is behind; ask again`, { retryAfterSeconds: 1 });
}

export function checkEpoch(ctx: ServiceContext, session: NodeSession): void {
  const { snapshot } = ctx.mirror;
  const current = snapshot.epochOf(session.node);
  if (current !== session.epoch) throw staleEpoch(session, `it is at epoch ${current} now`);
  if (!snapshot.isOfPresent(session.node)) throw staleEpoch(session, 'the cluster was recovered since');
  checkCredential(ctx, session);
}

export function checkCredential({ mirror }: ServiceContext, { node, credential }: NodeSession): void {
  const known = mirror.snapshot.epochs.get(node)?.credential;
  if (known === undefined || credential === undefined || known.id === credential) return;
  throw formerCredential(node);
}

/** Of a machine that was declared gone, of a copy of its disk, or of the same one before it had to join again. */
export function formerCredential(node: NodeId): Refusal {
  return new Refusal(
    'unauthenticated',
    `node "${node}" has joined anew since this token was made, and only its tokens from then on count; register with a join token`,
  );
}

export function staleEpoch({ node, epoch }: NodeSession, why: string): Refusal {
  return new Refusal('stale-epoch', `the session of node "${node}" with epoch ${epoch} is over: ${why}; register anew`);
}
