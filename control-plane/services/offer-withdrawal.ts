/**
 * Taking offers back that stand in the way. An offer is charged to its role, so a role that is to hold less must lose offers first:
 * else they could still be accepted, and the role would hold more than it may.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type NodeId, type OfferId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { endOffers, type Ledger, unreservedPart } from '../../shared/domain/ledger.ts';
import { type Scalars, scalarOf, subtractScalars, toMilli } from '../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../shared/domain/role.ts';
import { byText } from '../../shared/util/order.ts';
import type { Compare } from '../store/contract.ts';
import { packTransactions } from '../store/transact.ts';
import { ledgerUnit } from '../store/units.ts';
import type { ServiceContext } from './context.ts';
import { NO_USAGE, roleUsages, totalUsage } from './role-usage.ts';

/**
 * The offers, by node, that have to go so that the role and all below it hold no more than the limit, as far as offers can bring
 * that about. The newest go first: their frameworks have thought about them for the shortest time. Pure.
 */
export function offersOver(
  cluster: Pick<ClusterView, 'ledgers'>,
  path: RolePath,
  limit: ScalarAmounts,
): ReadonlyMap<NodeId, readonly OfferId[]> {
  let held: Scalars = totalUsage(roleUsages(cluster).get(path) ?? NO_USAGE);
  const over = () => Object.keys(limit).filter((name) => toMilli(scalarOf(held, name)) > toMilli(limit[name] ?? 0));
  const gone = new Map<NodeId, OfferId[]>();
  for (const { node, offer } of newestFirst(cluster, path)) {
    const names = over();
    if (names.length === 0) break;
    const part = unreservedPart(offer);
    if (!names.some((name) => scalarOf(part, name) > 0)) continue;
    held = subtractScalars(held, part);
    gone.set(node, [...(gone.get(node) ?? []), offer.id]);
  }
  return gone;
}

function newestFirst(cluster: Pick<ClusterView, 'ledgers'>, path: RolePath) {
  return [...cluster.ledgers.values()]
    .flatMap(({ node, offers }) => Object.values(offers).map((offer) => ({ node, offer })))
    .filter(({ offer }) => roleWithin(offer.role, path))
    .sort((a, b) => b.offer.madeAtMs - a.offer.madeAtMs || byText(a.offer.id, b.offer.id));
}

/**
 * The ledger without the offers that have to go so that nothing is lacking, the newest first; the very same ledger where that wouldn't
 * help. `lacking`: names of scalars of which there is too little. Pure.
 */
export function withoutOffersInTheWay(ledger: Ledger, lacking: (ledger: Ledger) => readonly string[]): Ledger {
  let left = ledger;
  const offers = Object.values(ledger.offers).sort((a, b) => b.madeAtMs - a.madeAtMs || byText(a.id, b.id));
  for (const offer of offers) {
    const names = lacking(left);
    if (names.length === 0) return left;
    if (names.some((name) => scalarOf(offer.resources, name) > 0)) left = endOffers(left, [offer.id]);
  }
  return lacking(left).length === 0 ? left : ledger;
}

/** How long the withdrawal may take to reach the mirror. */
const CATCH_UP_MS = 2000;

/**
 * Takes them back under the claim. Each ledger is compared: an offer that was accepted meanwhile is a task by now. False: others
 * came first.
 */
export async function withdrawOffers(
  ctx: ServiceContext,
  claim: Compare,
  offers: ReadonlyMap<NodeId, readonly OfferId[]>,
): Promise<boolean> {
  const { snapshot } = ctx.mirror;
  const units = [...offers].flatMap(([node, ids]) => {
    const ledger = snapshot.ledgers.get(node);
    return ledger === undefined ? [] : (ledgerUnit(snapshot, ledger, endOffers(ledger, ids)) ?? []);
  });
  for (const { compares, writes } of packTransactions(units, [claim])) {
    const result = await ctx.store.transact({ compares, writes });
    const caughtUp = await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
    if (!result.committed || !caughtUp) return false;
  }
  return true;
}
