/** What each framework holds and is offered of all nodes together, from one look at every ledger. Pure. */
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { type Scalars, toMilli } from '../../../shared/domain/resources.ts';
import type { Inventory, NodeItem } from '../../services/inventory.ts';
import type { ResourceSummary } from '../wire/state.ts';
import { resourceSummary } from './resources.ts';

export interface NodeOffer {
  readonly node: string;
  readonly offer: Offer;
}

/** A sum that is added to, since there may be very many to add: with a new vector for each it would take ten times as long. */
export class ScalarSum {
  #cpus = 0;
  #gpus = 0;
  #memMiB = 0;
  #diskMiB = 0;
  readonly #custom = new Map<string, number>();

  add({ cpus, gpus, memMiB, diskMiB, custom }: Scalars): void {
    this.#cpus += cpus;
    this.#gpus += gpus;
    this.#memMiB += memMiB;
    this.#diskMiB += diskMiB;
    for (const name in custom) this.#custom.set(name, (this.#custom.get(name) ?? 0) + (custom[name] ?? 0));
  }

  get scalars(): Scalars {
    return {
      cpus: toMilli(this.#cpus),
      gpus: toMilli(this.#gpus),
      memMiB: toMilli(this.#memMiB),
      diskMiB: toMilli(this.#diskMiB),
      custom: Object.fromEntries([...this.#custom].map(([name, amount]) => [name, toMilli(amount)])),
    };
  }
}

export class Holding {
  readonly used = new ScalarSum();
  readonly offered = new ScalarSum();
  /** Those that the reader may see, on nodes that are shown. */
  readonly offers: NodeOffer[] = [];

  get usedSummary(): ResourceSummary {
    return resourceSummary(this.used.scalars);
  }

  get offeredSummary(): ResourceSummary {
    return resourceSummary(this.offered.scalars);
  }

  get totalSummary(): ResourceSummary {
    const sum = new ScalarSum();
    sum.add(this.used.scalars);
    sum.add(this.offered.scalars);
    return resourceSummary(sum.scalars);
  }
}

/** By framework; what Berth's own jobs hold stands under null, as far as the reader may see whose it is. */
export function holdingsByFramework(
  { everyNode, maySeeTasksOf, maySeeOffer }: Inventory,
  shown: ReadonlySet<NodeItem>,
): ReadonlyMap<FrameworkId | null, Holding> {
  const holdings = new Map<FrameworkId | null, Holding>();
  const of = (id: FrameworkId | null): Holding => {
    const known = holdings.get(id);
    if (known !== undefined) return known;
    const made = new Holding();
    holdings.set(id, made);
    return made;
  };
  for (const item of everyNode.values()) {
    const { entries, offers, node } = item.ledger;
    for (const id in entries) {
      const entry = entries[id];
      if (entry === undefined || (entry.framework === null && !maySeeTasksOf(entry.role))) continue;
      of(entry.framework).used.add(entry.resources);
    }
    for (const offer of Object.values(offers)) {
      const holding = of(offer.framework);
      holding.offered.add(offer.resources);
      if (shown.has(item) && maySeeOffer(offer)) holding.offers.push({ node, offer });
    }
  }
  return holdings;
}
