/** Which offers frameworks hold, over all ledgers, kept up with the mirror, and how those ended that are gone. */
import type { FrameworkId, OfferId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { GoneCause } from '../../shared/protocol/framework.ts';
import type { ChangeOf } from '../store/snapshot.ts';
import type { StandingOffer } from './framework-feed.ts';

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
  changed({ before, after }: Pick<ChangeOf<'ledger'>, 'before' | 'after'>): Set<FrameworkId> {
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
 * what it refused or left over stands as a filter in the same ledger.
 */
export function endedOffers({ before, after }: Pick<ChangeOf<'ledger'>, 'before' | 'after'>): EndedOffer[] {
  const ended: EndedOffer[] = [];
  for (const { id, framework } of Object.values(before?.offers ?? {})) {
    if (after?.offers[id] !== undefined) continue;
    const filter = after?.filters.find(({ offer }) => offer === id);
    const isExpired = filter?.because === 'expired';
    if (!isExpired && (filter !== undefined || hasLaunched({ before, after }, framework))) continue;
    ended.push({ offer: id, framework, because: isExpired ? 'expired' : 'withdrawn' });
  }
  return ended;
}

function hasLaunched({ before, after }: Pick<ChangeOf<'ledger'>, 'before' | 'after'>, framework: FrameworkId): boolean {
  return Object.values(after?.entries ?? {}).some(
    (entry) => entry.framework === framework && before?.entries[entry.task] === undefined,
  );
}
