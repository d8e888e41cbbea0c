/**
 * What each role is charged with: its reservations whole, and of its tasks and its frameworks' offers what doesn't come from
 * reservations. A role is charged with what is below it, too. Pure.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { unreservedPart } from '../../shared/domain/ledger.ts';
import { addScalars, NO_SCALARS, type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { ancestorsOf, type ScalarAmounts } from '../../shared/domain/role.ts';
import { byText } from '../../shared/util/order.ts';
import type { Principal } from '../auth/principal.ts';
import { mayRead } from './access.ts';

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

/** What is reserved for each role itself, over all nodes. */
export function reservedByRole(cluster: Pick<ClusterView, 'ledgers'>): ReadonlyMap<RolePath, ScalarAmounts> {
  const sums = new Map<RolePath, Scalars>();
  for (const { reservations } of cluster.ledgers.values()) {
    for (const { role, scalars } of Object.values(reservations)) {
      sums.set(role, addScalars(sums.get(role) ?? NO_SCALARS, scalars));
    }
  }
  return new Map([...sums].map(([role, sum]) => [role, amountsOf(sum)]));
}

function amountsOf(sum: Scalars): ScalarAmounts {
  return Object.fromEntries(scalarNames(sum).map((name) => [name, scalarOf(sum, name)]));
}

/** Names enough of them to go on from. */
const NAMED_MAX = 5;

export interface RolePart {
  /** Null: roles that whoever is told may not read, together. */
  readonly role: RolePath | null;
  readonly amount: number;
}

/** What each of the roles has a part of, without the names of those that the principal may not read. */
export function partsShownTo(
  principal: Principal,
  parts: readonly { readonly role: RolePath; readonly amount: number }[],
): RolePart[] {
  const [seen, unseen] = [true, false].map((isSeen) =>
    parts.filter(({ role }) => mayRead(principal, 'role:read', role) === isSeen),
  );
  const hidden = (unseen ?? []).reduce((sum, { amount }) => toMilli(sum + amount), 0);
  return [...(seen ?? []), ...(hidden === 0 ? [] : [{ role: null, amount: hidden }])];
}

/** `4 for role "prod", 2 for role "ops", 1 for other roles`: the largest first. */
export function amountsText(parts: readonly RolePart[]): string {
  const sorted = [...parts].sort((a, b) => b.amount - a.amount || byText(a.role ?? '', b.role ?? ''));
  const whose = (role: RolePath | null) => (role === null ? 'other roles' : `role "${role}"`);
  const named = sorted.slice(0, NAMED_MAX).map(({ role, amount }) => `${amount} for ${whose(role)}`);
  const more = sorted.length > NAMED_MAX ? ` and ${sorted.length - NAMED_MAX} more roles` : '';
  return `${named.join(', ')}${more}`;
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
