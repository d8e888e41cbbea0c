/** What a round decides. Ids and values only: whoever commits it looks up the revisions that it was decided from. */
import type { NodeId, OfferId, TaskId } from '../../shared/domain/ids.ts';
import type { StopRequest } from '../../shared/domain/job.ts';
import type { TaskEntry } from '../../shared/domain/ledger.ts';
import type { Offer, OfferFilter } from '../../shared/domain/offer.ts';

export interface RoundPlan {
  /** What gives its resources back, in the order of the nodes' ids. */
  readonly sweeps: readonly Sweep[];
  /** In the order in which they were decided. */
  readonly placements: readonly PlannedPlacement[];
  /** In the order in which they were decided. */
  readonly offers: readonly PlannedOffer[];
  /** What has to make room for others, in the order in which it was decided. */
  readonly stops: readonly PlannedStop[];
  /** It ends at a bound on what one round does: there may be more to do, so plan again at once. */
  readonly isCutOff: boolean;
  /** When a backoff, an offer or a filter ends next, so that there may be something to do; null if nothing ends. */
  readonly wakeAtMs: number | null;
}

export interface Sweep {
  readonly node: NodeId;
  /** Those that have ended. */
  readonly tasks: readonly TaskId[];
  readonly offers: readonly EndedOffer[];
}

/**
 * `expired`: it wasn't answered in time. `framework-gone`: its framework is no longer there for it. `node-closed`: the node takes
 * no new tasks. `limit`: its role holds more than it may. `guarantee`: others need what it holds to come to what is guaranteed to
 * them. `unfair`: others wait, and its framework holds more than its share.
 */
export const OFFER_ENDS = ['expired', 'framework-gone', 'node-closed', 'limit', 'guarantee', 'unfair'] as const;
export type OfferEnd = (typeof OFFER_ENDS)[number];

export interface EndedOffer {
  readonly id: OfferId;
  readonly because: OfferEnd;
  /** What it leaves behind; null: it may be made again at once. */
  readonly filter: OfferFilter | null;
}

export interface PlannedPlacement {
  readonly task: TaskId;
  readonly node: NodeId;
  readonly entry: TaskEntry;
  /** Why there, in a sentence for people: how many nodes fitted, and what decided among them. */
  readonly why: string;
}

export interface PlannedOffer {
  readonly node: NodeId;
  readonly offer: Offer;
}

export interface PlannedStop {
  readonly task: TaskId;
  /** Where it holds its place. */
  readonly node: NodeId;
  readonly stop: StopRequest;
}
