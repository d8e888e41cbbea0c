/** Which offers frameworks hold, over all ledgers, kept up with the mirror, and how those ended that are gone. */
import type { FrameworkId, OfferId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { GoneCause } from '../../shared/protocol/framework.ts';
import type { StandingOffer } from '../store/offer-index.ts';
import type { ChangeOf } from '../store/snapshot.ts';

const NO_OFFERS: ReadonlyMap<OfferId, StandingOffer> = new Map();

export class FrameworkOffers {
  readonly #held = new Map<FrameworkId, Map<OfferId, StandingOffer>>();

  constructor(ledgers: Iterable<Ledger>) {
    for (const ledger of ledgers) this.#add(ledger);
  }

  of(framework: FrameworkId): ReadonlyMap<OfferId, StandingOffer> {
    return this.#held.get(framework) ?? NO_OFFERS;
  }

  /** Takes in how a ledger has changed. Returns the frameworks that hold other offers than before. */
  changed({ before, after }: LedgerChange): Set<FrameworkId> {
    const moved = new Set<FrameworkId>();
    for (const { id, framework } of Object.values(before?.offers ?? {})) {
      if (after?.offers[id] !== undefined) continue;
      moved.add(framework);
      const rest = this.#held.get(framework);
      rest?.delete(id);
      if (rest?.size === 0) this.#held.delete(framework);
    }
    for (const { id, framework } of Object.values(after?.offers ?? {})) {
      if (before?.offers[id] === undefined) moved.add(framework);
    }
    if (after !== null && moved.size > 0) this.#add(after);
    return moved;
  }

  #add({ node, offers }: Ledger): void {
    for (const offer of Object.values(offers)) {
      const held = this.#held.get(offer.framework) ?? new Map<OfferId, StandingOffer>();
      this.#held.set(offer.framework, held.set(offer.id, { node, offer }));
    }
  }
}

export interface EndedOffer {
  readonly offer: OfferId;
  readonly framework: FrameworkId;
  readonly because: GoneCause;
}

/**
 * Offers that the ledger no longer holds, but for those that their framework has answered: what it took has become entries, and
 * what it refused or left over stands as a filter in the same ledger. An answer to several offers may leave one filter for all.
 */
export function endedOffers(change: LedgerChange): EndedOffer[] {
  const { before, after } = change;
  const ended: EndedOffer[] = [];
  for (const { id, framework } of Object.values(before?.offers ?? {})) {
    if (after?.offers[id] !== undefined) continue;
    const isExpired = after?.filters.some(({ offer, because }) => offer === id && because === 'expired') ?? false;
    if (isExpired) ended.push({ offer: id, framework, because: 'expired' });
    else if (!hasAnswered(change, framework)) ended.push({ offer: id, framework, because: 'withdrawn' });
  }
  return ended;
}

type LedgerChange = Pick<ChangeOf<'ledger'>, 'before' | 'after'>;

function hasAnswered({ before, after }: LedgerChange, framework: FrameworkId): boolean {
  if (after === null) return false;
  const filtered = new Set(before?.filters.map(({ offer }) => offer));
  return (
    after.filters.some((one) => one.framework === framework && one.because !== 'expired' && !filtered.has(one.offer)) ||
    Object.values(after.entries).some(
      (entry) => entry.framework === framework && before?.entries[entry.task] === undefined,
    )
  );
}
