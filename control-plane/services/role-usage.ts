/**
 * What each role is charged with: its reservations whole, and of its tasks and its frameworks' offers what doesn't come from
 * reservations. A role is charged with what is below it, too. Pure.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { unreservedPart } from '../../shared/domain/ledger.ts';
import { addScalars, NO_SCALARS, type Scalars, scalarNames, scalarOf } from '../../shared/domain/resources.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';

export interface RoleUsage {
  readonly tasks: Scalars;
  readonly offers: Scalars;
  readonly reservations: Scalars;
}

export const NO_USAGE: RoleUsage = { tasks: NO_SCALARS, offers: NO_SCALARS, reservations: NO_SCALARS };

/** By role; those that are charged with nothing are left out. */
export function roleUsages(cluster: Pick<ClusterView, 'ledgers'>): ReadonlyMap<RolePath, RoleUsage> {
  const usages = new Map<RolePath, RoleUsage>();
  const charge = (role: RolePath, what: keyof RoleUsage, scalars: Scalars) => {
    for (const path of [role, ...ancestorsOf(role)]) {
      const usage = usages.get(path) ?? NO_USAGE;
      usages.set(path, { ...usage, [what]: addScalars(usage[what], scalars) });
    }
  };
  for (const { entries, offers, reservations } of cluster.ledgers.values()) {
    for (const entry of Object.values(entries)) charge(entry.role, 'tasks', unreservedPart(entry));
    for (const offer of Object.values(offers)) charge(offer.role, 'offers', unreservedPart(offer));
    for (const { role, scalars } of Object.values(reservations)) charge(role, 'reservations', scalars);
  }
  return usages;
}

export function totalUsage({ tasks, offers, reservations }: RoleUsage): Scalars {
  return addScalars(settledUsage({ tasks, reservations }), offers);
}

/** What stays when all offers are taken back. */
export function settledUsage({ tasks, reservations }: Pick<RoleUsage, 'tasks' | 'reservations'>): Scalars {
  return addScalars(tasks, reservations);
}

/** What all nodes have together. */
export function capacityOf(cluster: Pick<ClusterView, 'ledgers'>): Scalars {
  return [...cluster.ledgers.values()].map(({ total }) => total).reduce<Scalars>(addScalars, NO_SCALARS);
}

export interface DominantShare {
  /** Null: nothing is held that counts. */
  readonly scalar: string | null;
  readonly share: number;
}

/** The scalar of which the largest part is held, of those that count. */
export function dominantShare(held: Scalars, capacity: Scalars, excluded: readonly string[]): DominantShare {
  let largest: DominantShare = { scalar: null, share: 0 };
  for (const scalar of scalarNames(held)) {
    if (excluded.includes(scalar)) continue;
    const [amount, total] = [scalarOf(held, scalar), scalarOf(capacity, scalar)];
    const share = total > 0 ? amount / total : 0;
    if (share > largest.share) largest = { scalar, share };
  }
  return largest;
}
