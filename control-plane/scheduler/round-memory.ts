/**
 * What a planner keeps from round to round: what it has worked out of each ledger, and the sums over all of them. Ledgers never
 * change but are replaced, so each is told by its identity: a round works out anew only those that have been replaced since the
 * last one, and comes to the same plan as one that remembers nothing.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, accumulate, atLeastNone, ScalarNames } from './amounts.ts';
import { type Charge, clientKey, emptyCharge, type LedgerSums, sumLedger } from './ledger-sums.ts';

/** The sums over all ledgers. */
export interface Usage {
  readonly names: ScalarNames;
  /** In the order of their nodes' ids. */
  readonly rows: readonly LedgerSums[];
  /** What all nodes have. */
  readonly total: Amounts;
  readonly charges: ReadonlyMap<string, Charge>;
  /** All that is reserved, by role. */
  readonly reserved: ReadonlyMap<RolePath, Amounts>;
}

export class RoundMemory {
  readonly #names = new ScalarNames();
  readonly #rows = new Map<NodeId, LedgerSums>();
  readonly #total: Amounts = [];
  readonly #charges = new Map<string, Charge>();
  readonly #reserved = new Map<RolePath, Amounts>();
  #ordered: LedgerSums[] = [];

  usageOf(cluster: Pick<ClusterView, 'ledgers'>): Usage {
    this.#follow(cluster);
    return {
      names: this.#names,
      rows: this.#ordered,
      total: this.#total,
      charges: this.#charges,
      reserved: this.#reserved,
    };
  }

  #follow({ ledgers }: Pick<ClusterView, 'ledgers'>): void {
    const changed: NodeId[] = [];
    for (const [node, ledger] of ledgers) if (this.#rows.get(node)?.ledger !== ledger) changed.push(node);
    let isOtherSet = false;
    for (const node of changed) {
      const ledger = ledgers.get(node);
      const before = this.#rows.get(node);
      if (ledger === undefined) continue;
      if (before === undefined) isOtherSet = true;
      else this.#count(before, -1);
      const row = sumLedger(ledger, this.#names);
      this.#count(row, 1);
      this.#rows.set(node, row);
    }
    if (this.#rows.size > ledgers.size) {
      isOtherSet = true;
      for (const [node, row] of this.#rows) {
        if (ledgers.has(node)) continue;
        this.#count(row, -1);
        this.#rows.delete(node);
      }
    }
    if (isOtherSet) this.#ordered = [...this.#rows.values()].sort((a, b) => byText(a.ledger.node, b.ledger.node));
    else if (changed.length > 0) this.#ordered = this.#ordered.map((row) => this.#rows.get(row.ledger.node) ?? row);
  }

  #count(row: LedgerSums, sign: 1 | -1): void {
    accumulate(this.#total, atLeastNone(row.total), sign);
    for (const { role, amounts } of row.reservations) {
      const sum = this.#reserved.get(role) ?? [];
      this.#reserved.set(role, sum);
      accumulate(sum, amounts, sign);
    }
    for (const charge of row.charges) {
      const key = clientKey(charge.role, charge.client);
      const sum = this.#charges.get(key) ?? emptyCharge(charge.role, charge.client);
      accumulate(sum.unreserved, charge.unreserved, sign);
      accumulate(sum.whole, charge.whole, sign);
      sum.holdings += sign * charge.holdings;
      sum.offers += sign * charge.offers;
      accumulate(sum.offered.unreserved, charge.offered.unreserved, sign);
      accumulate(sum.offered.whole, charge.offered.whole, sign);
      if (sum.holdings === 0) this.#charges.delete(key);
      else this.#charges.set(key, sum);
    }
  }
}
