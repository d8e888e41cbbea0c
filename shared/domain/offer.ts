/** What of a node is held for one framework until it answers, and what it has said no to. Both are part of the node's ledger. */
import type { FrameworkId, OfferId, ReservationId, RolePath } from './ids.ts';
import { missingScalars, type Resources, type Scalars, subtractPorts } from './resources.ts';

export interface Offer {
  readonly id: OfferId;
  readonly framework: FrameworkId;
  /** For whom: what is launched on it runs in this role and is charged to it. */
  readonly role: RolePath;
  /** All that it holds, reserved or not. */
  readonly resources: Resources;
  /** How much of it comes from which reservation. */
  readonly reserved: Readonly<Record<ReservationId, Scalars>>;
  readonly madeAtMs: number;
  /** From then on the next round takes it back. Until its entry is gone it can be accepted. */
  readonly expiresAtMs: number;
}

/** `declined`: it said no. `unused`: what an accept left over. `expired`: it didn't answer in time. */
export const FILTER_CAUSES = ['declined', 'unused', 'expired'] as const;
export type FilterCause = (typeof FILTER_CAUSES)[number];

/** Resources of this node that a framework isn't to be offered again for a while, unless there are more of them. */
export interface OfferFilter {
  readonly framework: FrameworkId;
  readonly role: RolePath;
  /** The framework's `filterGenerations` of the role when it was made; a higher one voids it. */
  readonly generation: number;
  /** The offer that was answered like this. */
  readonly offer: OfferId;
  readonly refused: Resources;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly because: FilterCause;
  /** How many offers of this node in a row ended like this. */
  readonly times: number;
}

/** A filter of less would have an offer go back and forth as fast as rounds run. */
export const FILTER_MS_MIN = 1000;
export const FILTER_SECONDS_DEFAULT = 5;
export const FILTER_SECONDS_MAX = 365 * 24 * 3600;

/** Offers that one ledger holds: of a node that more want than that, the others get theirs when some have answered. */
export const LEDGER_OFFERS_MAX = 100;

/** Filters that one ledger holds; beyond, those that end first go. */
export const LEDGER_FILTERS_MAX = 200;
/** What they may take together as JSON: ports that lie scattered make a filter long. */
export const LEDGER_FILTERS_BYTES_MAX = 128 * 1024;

/** Whether what is offered is no more than what was refused: then the filter blocks it. */
export function isCovered(offered: Resources, refused: Resources): boolean {
  return missingScalars(offered, refused).length === 0 && subtractPorts(offered.ports, refused.ports).length === 0;
}
