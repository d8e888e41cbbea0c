/**
 * Trees of those who hold the cluster, kept from round to round: what a round charges is taken back before the next one, and what has
 * changed in the ledgers meanwhile is charged. Where a tree would come out otherwise than a new one, new ones are made.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { Role } from '../../shared/domain/role.ts';
import type { Settings } from '../../shared/domain/settings.ts';
import { type Amounts, sameAmounts } from './amounts.ts';
import type { Charge } from './ledger-sums.ts';
import { type HeldSums, RoleTree } from './role-tree.ts';

/** What every tree is made by. */
interface Terms {
  readonly settings: Settings;
  readonly roles: readonly Role[];
  readonly total: Amounts;
}

/** Members that nobody needs any more, for each that somebody does; and some beside. */
const SPARE_FACTOR = 2;
const SPARE_CLIENTS = 1000;

export class RoleTrees {
  #trees: RoleTree[] = [];
  #taken = 0;
  #terms: Terms | null = null;

  /** Takes back what was charged in the round before. Nobody may use a tree any more that was taken then. */
  rewind(): void {
    for (const tree of this.#trees.slice(0, this.#taken)) tree.rewind();
    this.#taken = 0;
  }

  forget(): void {
    this.#trees = [];
    this.#taken = 0;
    this.#terms = null;
  }

  charge(charge: Charge, sign: 1 | -1): void {
    for (const tree of this.#trees) tree.recount(tree.client(charge.role, charge.client), charge, sign);
  }

  reserve(role: RolePath, amounts: Amounts, sign: 1 | -1): void {
    for (const tree of this.#trees) tree.reserve(role, amounts, sign);
  }

  /** One that charges for all that is held, and for nothing else. */
  take(cluster: Pick<ClusterView, 'roles' | 'settings'>, sums: HeldSums): RoleTree {
    if (!this.#isOf(cluster, sums)) {
      this.forget();
      this.#terms = { settings: cluster.settings, roles: [...cluster.roles.values()], total: [...sums.total] };
    }
    const tree = this.#trees[this.#taken] ?? new RoleTree(cluster, sums);
    this.#trees[this.#taken] = tree;
    this.#taken += 1;
    return tree;
  }

  #isOf({ roles, settings }: Pick<ClusterView, 'roles' | 'settings'>, { total, charges }: HeldSums): boolean {
    const terms = this.#terms;
    if (terms === null || terms.settings !== settings || !sameAmounts(terms.total, total)) return false;
    if (terms.roles.length !== roles.size || terms.roles.some((role) => roles.get(role.path) !== role)) return false;
    const clientsMax = SPARE_FACTOR * charges.size + SPARE_CLIENTS;
    return this.#trees.every(({ clientsTotal }) => clientsTotal <= clientsMax);
  }
}
