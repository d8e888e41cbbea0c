/** Which frameworks want offers now, and how little would be of no use to them. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, RolePath } from '../../shared/domain/ids.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import { byText } from '../../shared/util/order.ts';
import type { Amounts, ScalarNames } from './amounts.ts';
import type { NodeWish } from './node-wishes.ts';
import type { Client, RoleTree } from './role-tree.ts';
import type { Survey } from './survey.ts';
import { takesOffers } from './sweeps.ts';

/** A framework in one of its roles. */
export interface HungryClient {
  readonly client: Client;
  readonly framework: Framework;
  readonly key: string;
  /** An offer holds at least one of these; empty: anything will do. */
  readonly minimums: readonly Amounts[];
  /** Which nodes it wants to be offered; null: any. */
  readonly wish: NodeWish | null;
  /** How many more offers the framework may hold, in all its roles together. */
  readonly allowance: { offers: number };
}

/** Everyone that wants offers, in the order of ids and roles. `throttled` are those that let offers expire of late. */
export function hungryClients(
  survey: Survey,
  { throttled }: { readonly throttled: ReadonlySet<FrameworkId> },
): HungryClient[] {
  const { cluster, roles } = survey;
  const { names } = roles;
  const usual = minimumsOf(cluster.settings.minAllocatable, names);
  return [...cluster.frameworks.values()]
    .sort((a, b) => byText(a.id, b.id))
    .flatMap((framework) => {
      const allowance = { offers: throttled.has(framework.id) ? 1 - offersHeld(framework, roles) : OFFERS_UNBOUNDED };
      if (allowance.offers <= 0) return [];
      return wantingRoles(cluster, framework).map((role) => {
        const client = roles.client(role, framework.id);
        const minimums = ownMinimums(framework, role, names) ?? usual;
        const wish = survey.nodeWish(framework, role);
        return { client, framework, key: client.key, minimums, wish, allowance };
      });
    });
}

const OFFERS_UNBOUNDED = Number.MAX_SAFE_INTEGER;

function wantingRoles(cluster: ClusterView, framework: Framework): RolePath[] {
  const wanting = framework.roles.filter(
    (role) => !framework.suppressed.includes(role) && takesOffers(cluster, framework, role),
  );
  return wanting.length < 2 ? wanting : wanting.sort(byText);
}

function ownMinimums({ minAllocatable }: Framework, role: RolePath, names: ScalarNames): Amounts[] | null {
  // Own members only: `constructor` is a valid role.
  const own = Object.hasOwn(minAllocatable, role) ? minAllocatable[role] : undefined;
  return own === undefined ? null : minimumsOf(own, names);
}

function minimumsOf(alternatives: Framework['minAllocatable'][string], names: ScalarNames): Amounts[] {
  return alternatives.map((alternative) => names.ofNamed(alternative, 0));
}

function offersHeld(framework: Framework, roles: RoleTree): number {
  return framework.roles.reduce((sum, role) => sum + roles.client(role, framework.id).offers, 0);
}

/** Frameworks that let an offer expire, anywhere, and are kept from that node for it still. */
export function throttledFrameworks(survey: Survey): Set<FrameworkId> {
  const { cluster, nowMs } = survey;
  const throttled = new Set<FrameworkId>();
  for (const { ledger } of survey.list('filtered')) {
    for (const filter of ledger.filters) {
      if (filter.because !== 'expired' || !isInForce(filter, cluster.frameworks.get(filter.framework), nowMs)) continue;
      throttled.add(filter.framework);
    }
  }
  return throttled;
}
