/**
 * What happens in the cluster, as a stream that can be taken up again at any revision that the replica still remembers, on
 * any replica: ids are revisions of the store.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { positionText, type StatePosition } from '../../shared/protocol/position.ts';
import type { EventView } from '../../shared/protocol/views.ts';
import { authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import type { Change } from '../store/snapshot.ts';
import { demandAny, jobResource } from './access.ts';
import type { ServiceContext } from './context.ts';
import { eventsOf } from './event-views.ts';
import { positionNow, reach } from './reach.ts';

/** A reader that is this many batches behind is cut off; it takes the stream up again from its last id. */
const BATCHES_BEHIND_MAX = 1000;

export interface EventFilter {
  readonly types: readonly string[] | null;
  readonly role: string | null;
  readonly job: string | null;
  readonly task: string | null;
  readonly node: string | null;
}

export interface EventBatch {
  /** All of its events, or none, have been seen; resume after this. */
  readonly revision: number;
  readonly events: readonly EventView[];
}

/**
 * Gives this replica the time to come to what a reader has seen elsewhere. Throws `history-gone` or `history-changed` if it
 * doesn't: the reader has seen a history that isn't this one.
 */
export async function reachForEvents(ctx: ServiceContext, after: StatePosition): Promise<void> {
  if (await reach(ctx, after)) return;
  throw new Refusal(
    'history-gone',
    `revision ${positionText(after)} has not been reached here, only ${positionText(positionNow(ctx))}; if the store was restored or replaced, list what you follow again and go on from its Berth-Revision`,
  );
}

/** What has happened since `after`, at most about `limit` events but never half a revision. Throws `history-gone`. */
export function readEvents(
  ctx: ServiceContext,
  principal: Principal,
  { after, filter, limit }: { after: number | null; filter: EventFilter; limit: number },
): { items: EventView[]; next: number } {
  const passes = passer(principal, filter);
  const items: EventView[] = [];
  let next = after ?? ctx.mirror.revision;
  for (const { revision, events } of byRevision(changesSince(ctx, after))) {
    if (items.length >= limit) return { items, next };
    items.push(...events.filter(passes));
    next = revision;
  }
  return { items, next: Math.max(next, ctx.mirror.revision) };
}

/**
 * Everything after `after` (null: from now on), then whatever comes, until the signal is aborted. A batch without events
 * only tells how far the stream is. Ends with `history-gone` when the mirror had to list again.
 */
export async function* watchEvents(
  ctx: ServiceContext,
  principal: Principal,
  { after: seen, filter, signal }: { after: StatePosition | null; filter: EventFilter; signal: AbortSignal },
): AsyncGenerator<EventBatch> {
  const passes = passer(principal, filter);
  if (seen !== null) await reachForEvents(ctx, seen);
  const after = seen?.revision ?? null;
  const queue: EventBatch[] = [];
  let wake = () => {};
  let broken: Refusal | null = null;
  const unsubscribe = ctx.mirror.subscribe((changes, revision, reset) => {
    // Nothing may follow what was left out: the reader resumes after the last thing that it got.
    if (broken !== null) return;
    if (reset) broken ??= historyGone(revision);
    else if (queue.length >= BATCHES_BEHIND_MAX) broken ??= tooSlow();
    else queue.push({ revision, events: changes.flatMap(eventsOf).filter(passes) });
    wake();
  });
  const stop = () => wake();
  signal.addEventListener('abort', stop);
  try {
    const missed = changesSince(ctx, after).flatMap(eventsOf).filter(passes);
    queue.unshift({ revision: ctx.mirror.revision, events: missed });
    while (!signal.aborted) {
      for (let batch = queue.shift(); batch !== undefined && !signal.aborted; batch = queue.shift()) {
        const unseen = withoutSeen(batch, after);
        if (unseen !== null) yield unseen;
      }
      if (broken !== null) throw broken;
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || broken !== null || signal.aborted) resolve();
      });
    }
  } finally {
    signal.removeEventListener('abort', stop);
    unsubscribe();
  }
}

/** This replica may be behind the one where the reader was before: what was read there doesn't come again. */
function withoutSeen(batch: EventBatch, after: number | null): EventBatch | null {
  if (after === null || batch.revision > after) return batch;
  return batch.revision === after ? { ...batch, events: [] } : null;
}

export function changesSince(ctx: ServiceContext, after: number | null): readonly Change[] {
  if (after === null) return [];
  if (after > ctx.mirror.revision) return [];
  const changes = ctx.mirror.changesSince(after);
  if (changes === null) throw historyGone(after);
  return changes;
}

export function historyGone(revision: number): Refusal {
  return new Refusal(
    'history-gone',
    `events after revision ${revision} are not remembered any more; list what you follow again and go on from its Berth-Revision`,
  );
}

export function tooSlow(): Refusal {
  return new Refusal('unavailable', 'this reader is too slow; take the stream up again from the last id', {
    retryAfterSeconds: 1,
  });
}

function byRevision(changes: readonly Change[]): EventBatch[] {
  const batches: { revision: number; events: EventView[] }[] = [];
  for (const change of changes) {
    const last = batches.at(-1);
    if (last?.revision === change.revision) last.events.push(...eventsOf(change));
    else batches.push({ revision: change.revision, events: eventsOf(change) });
  }
  return batches;
}

/** Jobs' and tasks' events need the right to read events of their role; nodes' the right to read nodes as well. */
function passer(principal: Principal, filter: EventFilter): (event: EventView) => boolean {
  demandAny(principal, 'event:read');
  const readsNodes = authorize(principal, 'node:read', null).allowed;
  return (event) =>
    (event.role === null ? readsNodes : mayReadOf(principal, event.role, event.job)) &&
    (filter.types === null || filter.types.includes(event.type)) &&
    (filter.role === null || (event.role !== null && roleWithin(event.role, filter.role))) &&
    (filter.job === null || event.job === filter.job) &&
    (filter.task === null || event.task === filter.task) &&
    (filter.node === null || event.node === filter.node);
}

function mayReadOf(principal: Principal, role: RolePath, job: string | null): boolean {
  return authorize(principal, 'event:read', role, job === null ? null : jobResource(job)).allowed;
}
