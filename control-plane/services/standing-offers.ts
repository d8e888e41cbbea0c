/** Finds the offers that a framework names, and says what has become of those that don't stand any more. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { OFFER_ID_PATTERN, type OfferId } from '../../shared/domain/ids.ts';
import type { OfferFilter } from '../../shared/domain/offer.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { keys } from '../store/keys.ts';
import type { StandingOffer } from '../store/offer-index.ts';
import type { Snapshot } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { timeView } from './views.ts';

export interface GoneOffer {
  readonly id: OfferId;
  /** A sentence, without its full stop. */
  readonly why: string;
}

export interface FoundOffers {
  /** In the order in which they were named. */
  readonly standing: readonly StandingOffer[];
  readonly gone: readonly GoneOffer[];
}

/** Throws `not-found` for one that never was, or that another framework holds, which is answered alike. */
export function findOffers(snapshot: Snapshot, framework: Framework, ids: readonly OfferId[]): FoundOffers {
  const standing: StandingOffer[] = [];
  const absent: OfferId[] = [];
  for (const id of ids) {
    const found = snapshot.standingOffer(id);
    if (found === undefined) absent.push(id);
    else standing.push(found);
  }
  const strange =
    standing.find(({ offer }) => offer.framework !== framework.id)?.offer.id ??
    absent.find((id) => isOfLater(snapshot, id));
  if (strange !== undefined) {
    throw new Refusal('not-found', `framework "${framework.id}" has not been made an offer "${strange}"`);
  }
  return { standing, gone: absent.length === 0 ? [] : goneOffers(snapshot, framework, absent) };
}

/**
 * A framework may have its offers from another replica, whose mirror is ahead of this one's. Where some of them aren't known
 * here, this one gets the time to catch up.
 */
export async function reachOffers(ctx: ServiceContext, framework: string, ids: readonly OfferId[]): Promise<void> {
  const { snapshot } = ctx.mirror;
  if (ids.every((id) => snapshot.standingOffer(id) !== undefined)) return;
  const { revision } = await ctx.store.get(keys.framework(framework));
  if (await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS })) return;
  throw new Refusal('unavailable', `replica "${ctx.replica.id}" is behind; ask again`, { retryAfterSeconds: 1 });
}

const CATCH_UP_MS = 2000;

/** Whether no round up to now can have made it. */
function isOfLater({ incarnation, roundNumber }: Snapshot, id: OfferId): boolean {
  const [made = 0, round = 0] = OFFER_ID_PATTERN.test(id) ? id.split('-').map(Number) : [];
  return made > incarnation || (made === incarnation && round > roundNumber);
}

/** What is left of an offer is the filter that took its place, for a while, where there was something to filter. */
function goneOffers(snapshot: Snapshot, framework: Framework, ids: readonly OfferId[]): GoneOffer[] {
  return ids.map((id) => {
    const filter = snapshot.filterAfter(id);
    return { id, why: whatBecameOf(filter?.framework === framework.id ? filter : undefined) };
  });
}

function whatBecameOf(filter: OfferFilter | undefined): string {
  if (filter === undefined) return 'it has been used up or withdrawn';
  const at = timeView(filter.sinceMs);
  switch (filter.because) {
    case 'declined':
      return `it was declined at ${at}`;
    case 'unused':
      return `it was accepted at ${at}`;
    case 'expired':
      return `it expired at ${at}, since it was not answered`;
    default:
      return unreachable(filter.because);
  }
}
