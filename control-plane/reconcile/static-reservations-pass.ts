/**
 * What agents were told to keep for roles. It is put into a node's ledger when its agent registers; but what it no longer keeps stays
 * for as long as it is in use, and goes here, a part at a time.
 */
import { withStaticReservations } from '../../shared/domain/static-reservations.ts';
import { byText } from '../../shared/util/order.ts';
import type { PassInput, PassPlan } from './actions.ts';
import { bounded } from './bounds.ts';

export function planStaticReservations({ cluster, nowMs }: Pick<PassInput, 'cluster' | 'nowMs'>): PassPlan {
  const stale = [...cluster.ledgers.values()]
    .filter((ledger) => {
      const node = cluster.nodes.get(ledger.node);
      if (node === undefined) return false;
      return withStaticReservations(ledger, node.reservations, { by: node.id, atMs: nowMs }) !== ledger;
    })
    .map(({ node }) => node)
    .sort(byText);
  return bounded(stale, (node) => [{ type: 'set-reservations', node, atMs: nowMs }], { wakeAtMs: null, nowMs });
}
