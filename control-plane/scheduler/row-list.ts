/** Rows in the order of their nodes' ids: a list of them is changed at single places without looking at all the others. */
import type { NodeId } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';
import type { LedgerSums } from './ledger-sums.ts';

/** What stands for a node from now on; null: nothing. */
export interface RowChange {
  readonly node: NodeId;
  readonly row: LedgerSums | null;
}

/** From so many changes on, for each row, the list is put together anew. */
const MANY = 1 / 16;

/** The list with these changes; the same one where there is none. One change for a node at the most. */
export function withChanges(rows: readonly LedgerSums[], changes: readonly RowChange[]): readonly LedgerSums[] {
  if (changes.length === 0) return rows;
  if (changes.length > rows.length * MANY) return putTogether(rows, changes);
  const list = [...rows];
  for (const { node, row } of changes) {
    const place = placeOf(list, node);
    const isThere = list[place]?.ledger.node === node;
    if (row !== null) list.splice(place, isThere ? 1 : 0, row);
    else if (isThere) list.splice(place, 1);
  }
  return list;
}

function putTogether(rows: readonly LedgerSums[], changes: readonly RowChange[]): LedgerSums[] {
  const changed = new Set(changes.map(({ node }) => node));
  const kept = rows.filter(({ ledger }) => !changed.has(ledger.node));
  return [...kept, ...changes.flatMap(({ row }) => row ?? [])].sort(byNode);
}

export function byNode({ ledger: a }: Pick<LedgerSums, 'ledger'>, { ledger: b }: Pick<LedgerSums, 'ledger'>): number {
  return byText(a.node, b.node);
}

/** Of the first row whose node doesn't come before this one. */
function placeOf(rows: readonly LedgerSums[], node: NodeId): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = rows[middle]?.ledger.node;
    if (other !== undefined && byText(other, node) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
