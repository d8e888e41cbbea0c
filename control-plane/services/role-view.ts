/** How roles look to those who ask: what is set, what is held, and what would be fair. Pure. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { Scalars } from '../../shared/domain/resources.ts';
import { ancestorsOf, DEFAULT_WEIGHT, missingAmounts, type Role } from '../../shared/domain/role.ts';
import type { RoleView } from '../../shared/protocol/roles.ts';
import { type HoldingTimes, holdingTimes, NO_TIMES } from './role-holding.ts';
import { capacityOf, dominantShare, NO_USAGE, type RoleUsage, roleUsages, totalUsage } from './role-usage.ts';
import { optionalTime, timeView } from './views.ts';

/** Every role that there is, and what its view is made of. Made once for all that are shown together. */
export class RoleBook {
  readonly #cluster: ClusterView;
  readonly #usages: ReadonlyMap<RolePath, RoleUsage>;
  readonly #times: ReadonlyMap<RolePath, HoldingTimes>;
  readonly #capacity: Scalars;
  readonly #pending: ReadonlyMap<RolePath, number>;
  readonly #frameworks: ReadonlyMap<RolePath, readonly string[]>;
  readonly #paths: ReadonlySet<RolePath>;
  readonly #fairShares: ReadonlyMap<RolePath, number>;

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
    this.#usages = roleUsages(cluster);
    this.#times = holdingTimes(cluster);
    this.#capacity = capacityOf(cluster);
    this.#pending = pendingByRole(cluster);
    this.#frameworks = frameworksByRole(cluster);
    this.#paths = withAncestors([
      ...cluster.roles.keys(),
      ...[...cluster.jobs.values()].map(({ spec }) => spec.role),
      ...this.#usages.keys(),
      ...this.#pending.keys(),
      ...this.#frameworks.keys(),
    ]);
    this.#fairShares = fairShares(activeRoles(cluster, this.#usages, this.#pending), (path) =>
      weightOf(cluster.roles.get(path)),
    );
  }

  /** Those for which something is set, those that something is in, and those above them. */
  get paths(): ReadonlySet<RolePath> {
    return this.#paths;
  }

  /** `role`: as it will be once what is answered has been committed; null: nothing will be set for it. */
  view(path: RolePath, version: number, role: Role | null = this.#cluster.roles.get(path) ?? null): RoleView {
    const usage = this.#usages.get(path) ?? NO_USAGE;
    const total = totalUsage(usage);
    const { excludedFromShares } = this.#cluster.settings;
    const { scalar, share } = dominantShare(total, this.#capacity, excludedFromShares);
    return {
      path,
      version,
      weight: weightOf(role),
      limit: { ...role?.limit },
      guarantee: { ...role?.guarantee },
      updatedAt: role === null ? null : timeView(role.updatedAtMs),
      updatedBy: role?.updatedBy ?? null,
      held: {
        tasks: scalarsView(usage.tasks),
        offers: scalarsView(usage.offers),
        reservations: scalarsView(usage.reservations),
        total: scalarsView(total),
        ...timesView(this.#times.get(path) ?? NO_TIMES),
      },
      share: { scalar, dominant: rounded(share), weighted: rounded(share / weightOf(role)) },
      fairShare: roundedOrNull(this.#fairShares.get(path)),
      belowGuarantee: missingAmounts(role?.guarantee ?? {}, total),
      frameworks: [...(this.#frameworks.get(path) ?? [])],
      pendingTasks: this.#pending.get(path) ?? 0,
    };
  }
}

function weightOf(role: Pick<Role, 'weight'> | null | undefined): number {
  return role?.weight ?? DEFAULT_WEIGHT;
}

function withAncestors(paths: readonly RolePath[]): ReadonlySet<RolePath> {
  return new Set(paths.flatMap((path) => [path, ...ancestorsOf(path)]));
}

/** Counted for the roles above as well. */
function pendingByRole(cluster: ClusterView): ReadonlyMap<RolePath, number> {
  const counts = new Map<RolePath, number>();
  for (const { role } of cluster.pendingTasks()) {
    for (const path of [role, ...ancestorsOf(role)]) counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return counts;
}

/** Those that may still be offered something. */
function frameworksByRole(cluster: ClusterView): ReadonlyMap<RolePath, readonly string[]> {
  const ids = new Map<RolePath, string[]>();
  const standing = [...cluster.frameworks.values()].filter(({ teardown }) => teardown === null);
  for (const { id, roles } of standing.sort((a, b) => (a.id < b.id ? -1 : 1))) {
    for (const path of withAncestors(roles)) ids.set(path, [...(ids.get(path) ?? []), id]);
  }
  return ids;
}

/** Those that hold something or want something, and those above them: only among these is the cluster shared out. */
function activeRoles(
  cluster: ClusterView,
  usages: ReadonlyMap<RolePath, RoleUsage>,
  pending: ReadonlyMap<RolePath, number>,
): ReadonlySet<RolePath> {
  const wanting = [...cluster.frameworks.values()]
    .filter(({ id, teardown }) => teardown === null && cluster.isConnected(id))
    .flatMap(({ roles, suppressed }) => roles.filter((role) => !suppressed.includes(role)));
  return withAncestors([...usages.keys(), ...pending.keys(), ...wanting]);
}

/** What its weights make each role due: among siblings by weight, of what is due to their parent. */
export function fairShares(
  active: ReadonlySet<RolePath>,
  weight: (path: RolePath) => number,
): ReadonlyMap<RolePath, number> {
  const siblings = Map.groupBy(active, (path) => ancestorsOf(path)[0] ?? '');
  const shares = new Map<RolePath, number>();
  const shareOut = (parent: RolePath, due: number) => {
    const children = siblings.get(parent) ?? [];
    const weights = children.reduce((sum, child) => sum + weight(child), 0);
    for (const child of children) {
      const share = (due * weight(child)) / weights;
      shares.set(child, share);
      shareOut(child, share);
    }
  };
  shareOut('', 1);
  return shares;
}

/** Millionths are enough to tell roles apart, and are read more easily. */
function rounded(share: number): number {
  return Math.round(share * 1_000_000) / 1_000_000;
}

function roundedOrNull(share: number | undefined): number | null {
  return share === undefined ? null : rounded(share);
}

function timesView(times: HoldingTimes): Pick<RoleView['held'], 'since' | 'offersUntil'> {
  return {
    since: {
      tasks: optionalTime(times.tasksSinceMs),
      offers: optionalTime(times.offersSinceMs),
      reservations: optionalTime(times.reservationsSinceMs),
    },
    offersUntil: optionalTime(times.offersUntilMs),
  };
}

function scalarsView({ cpus, memMiB, diskMiB, gpus, custom }: Scalars): RoleView['held']['total'] {
  return { cpus, memMiB, diskMiB, gpus, custom: { ...custom } };
}
