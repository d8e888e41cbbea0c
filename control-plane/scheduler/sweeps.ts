/** What has to go before anything new is given: the places of tasks that have ended, and offers that can't stand any longer. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { filterFor } from '../../shared/domain/offer-filters.ts';
import { byText } from '../../shared/util/order.ts';
import { clientKey } from './ledger-sums.ts';
import type { NodeStanding } from './node-standing.ts';
import type { EndedOffer, OfferEnd, Sweep } from './plan.ts';
import type { Usage } from './round-memory.ts';

/** A framework that lets offers of a node expire isn't offered that node again for this long, twice as long each time in a row. */
export const EXPIRED_FILTER_SECONDS = 10;
export const EXPIRED_FILTER_SECONDS_MAX = 300;

/** Looks only at nodes where something may have to go. */
export function planSweeps(cluster: ClusterView, usage: Usage, nowMs: number): Sweep[] {
  const { lists, ended } = usage;
  const gone = goneClients(cluster, usage);
  const isThere: IsThere = ({ role, framework }) => !gone.has(clientKey(role, framework));
  const nodes = new Set(ended.keys());
  for (const { ledger } of lists.stranded) nodes.add(ledger.node);
  const mayEnd = gone.size > 0 || usage.firstExpiryMs <= nowMs ? lists.offering : [];
  for (const { ledger, firstExpiryMs } of mayEnd) {
    if (gone.size > 0 || firstExpiryMs <= nowMs) nodes.add(ledger.node);
  }
  return [...nodes].sort(byText).flatMap((node) => {
    const standing = usage.standing(node);
    if (standing === undefined) return [];
    const offers = endedOffers(cluster, { standing, nowMs, isThere });
    return standing.ended.length + offers.length === 0 ? [] : [{ node, tasks: standing.ended, offers }];
  });
}

type IsThere = (offer: Offer) => boolean;

/** Asked once for each client that holds any offer, rather than for each offer. */
function goneClients(cluster: ClusterView, { charges }: Usage): ReadonlySet<string> {
  const gone = new Set<string>();
  for (const [key, { role, client, offers }] of charges) {
    if (client !== null && offers > 0 && !takesOffers(cluster, cluster.frameworks.get(client), role)) gone.add(key);
  }
  return gone;
}

/** Whether it can be made offers in this role; whether it wants any is another matter. */
export function takesOffers(cluster: ClusterView, framework: Framework | undefined, role: string): boolean {
  if (framework === undefined || framework.teardown !== null) return false;
  return framework.roles.includes(role) && cluster.isConnected(framework.id);
}

interface Standing {
  readonly standing: NodeStanding;
  readonly nowMs: number;
  readonly isThere: IsThere;
}

function endedOffers(cluster: ClusterView, { standing, nowMs, isThere }: Standing): EndedOffer[] {
  const { row, isOpen } = standing;
  const because = (offer: Offer): OfferEnd | null => {
    if (!isThere(offer)) return 'framework-gone';
    if (!isOpen) return 'node-closed';
    return offer.expiresAtMs <= nowMs ? 'expired' : null;
  };
  return row.offers
    .flatMap((offer) => {
      const end = because(offer);
      if (end === null) return [];
      const filter = end === 'expired' ? expiredFilter(cluster, { ledger: row.ledger, offer, nowMs }) : null;
      return [{ id: offer.id, because: end, filter }];
    })
    .sort((a, b) => byText(a.id, b.id));
}

function expiredFilter(
  cluster: ClusterView,
  { ledger, offer, nowMs }: { ledger: Ledger; offer: Offer; nowMs: number },
): EndedOffer['filter'] {
  const framework = cluster.frameworks.get(offer.framework);
  if (framework === undefined) return null;
  const { id, role, resources: refused } = offer;
  const refusing = { framework, role, offer: id, refused, because: 'expired', nowMs } as const;
  const filter = filterFor(ledger.filters, { ...refusing, seconds: EXPIRED_FILTER_SECONDS });
  if (filter === null) return null;
  const seconds = Math.min(EXPIRED_FILTER_SECONDS_MAX, EXPIRED_FILTER_SECONDS * 2 ** Math.min(16, filter.times - 1));
  return filterFor(ledger.filters, { ...refusing, seconds });
}

export interface EndedOfferOn {
  readonly node: NodeId;
  readonly offer: EndedOffer;
}

/** The sweeps with more offers that end, joined by node. */
export function joinSweeps(sweeps: readonly Sweep[], more: readonly EndedOfferOn[]): readonly Sweep[] {
  if (more.length === 0) return sweeps;
  const byNode = new Map(sweeps.map((sweep) => [sweep.node, sweep]));
  for (const { node, offer } of more) {
    const { tasks, offers } = byNode.get(node) ?? { tasks: [], offers: [] };
    byNode.set(node, { node, tasks, offers: [...offers, offer] });
  }
  return [...byNode.values()].sort((a, b) => byText(a.node, b.node));
}
