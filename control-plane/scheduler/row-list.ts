/** Rows in the order of their nodes' ids: a list of them is changed at single places without looking at all the others. */
import type { NodeId } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';
import type { LedgerSums } from './ledger-sums.ts';

/** What stands for a node from now on; null: nothing. */
export interface RowChange<Row> {
  readonly node: NodeId;
  readonly row: Row | null;
}

/** From so many changes on, for each row, the list is put together anew. */
const MANY = 1 / 16;

/** The list with these changes; the same one where there is none. One change for a node at the most. */
export function withChanges<Row>(
  rows: readonly Row[],
  changes: readonly RowChange<Row>[],
  nodeOf: (row: Row) => NodeId,
): readonly Row[] {
  if (changes.length === 0) return rows;
  if (changes.length > rows.length * MANY) return putTogether(rows, changes, nodeOf);
  const list = [...rows];
  for (const { node, row } of changes) {
    const place = placeOf(list, node, nodeOf);
    const other = list[place];
    const isThere = other !== undefined && nodeOf(other) === node;
    if (row !== null) list.splice(place, isThere ? 1 : 0, row);
    else if (isThere) list.splice(place, 1);
  }
  return list;
}

function putTogether<Row>(
  rows: readonly Row[],
  changes: readonly RowChange<Row>[],
  nodeOf: (row: Row) => NodeId,
): Row[] {
  const changed = new Set(changes.map(({ node }) => node));
  const kept = rows.filter((row) => !changed.has(nodeOf(row)));
  return [...kept, ...changes.flatMap(({ row }) => row ?? [])].sort((a, b) => byText(nodeOf(a), nodeOf(b)));
}

export function nodeOfRow({ ledger }: Pick<LedgerSums, 'ledger'>): NodeId {
  return ledger.node;
}

/** Of the first row whose node doesn't come before this one. */
function placeOf<Row>(rows: readonly Row[], node: NodeId, nodeOf: (row: Row) => NodeId): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = rows[middle];
    if (other !== undefined && byText(nodeOf(other), node) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
