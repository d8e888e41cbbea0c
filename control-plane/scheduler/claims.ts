/** What entitles a pending task to the place of others, and to whose. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { DisplacementCause } from '../../shared/domain/job.ts';
import { type Scalars, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { ancestorsOf, type ScalarAmounts } from '../../shared/domain/role.ts';
import type { Demand } from './demand.ts';
import type { Holder } from './holder.ts';
import type { Contender, Outlook } from './outlook.ts';
import type { OfferedPart } from './wait-memory.ts';

export interface Claim {
  readonly because: DisplacementCause;
  /** `guarantee`: whose guarantee it is. `priority`: the role of all that take part. */
  readonly role: RolePath;
  /** What others have to make room for. Whatever else the task needs has to be there already, or come free with it. */
  readonly asked: Demand;
  /** Offers only put off what a role is guaranteed; between tasks of one role they are nothing to wait for. */
  readonly offered: OfferedPart;
  mayDisplace(holder: Holder): boolean;
  /** Whether all of these may go, with the task in their place. Then so may fewer of them. */
  spares(gone: readonly Holder[]): boolean;
  /** Why this one has to go, in a sentence for its owner. */
  explain(holder: Holder): string;
}

export interface ClaimInput {
  readonly cluster: ClusterView;
  readonly outlook: Outlook;
}

/** Of its role and of those above it, the nearest first: each that is guaranteed more than it holds, and by enough for the task. */
export function guaranteeClaims(input: ClaimInput, contender: Contender): Claim[] {
  return levelsOf(contender.wanted.task.role).flatMap((role) => guaranteeClaim(input, contender, role) ?? []);
}

function guaranteeClaim({ cluster, outlook }: ClaimInput, { wanted, demand }: Contender, role: RolePath): Claim | null {
  const guarantee = cluster.roles.get(role)?.guarantee ?? {};
  const promised = demand.scalarNames.filter((name) => Object.hasOwn(guarantee, name));
  if (promised.length === 0) return null;
  const isWithin = promised.every(
    (name) => toMilli(outlook.held(role, name) + scalarOf(demand.scalars, name)) <= amountOf(guarantee, name),
  );
  if (!isWithin) return null;
  const { role: own } = wanted.task;
  return {
    because: 'guarantee',
    role,
    asked: onlyOf(demand, promised),
    offered: 'free',
    mayDisplace: (holder) => !roleWithin(holder.role, role),
    spares: (gone) => sparesGuarantees({ cluster, outlook }, { role: own, scalars: demand.scalars }, gone),
    // Whoever reads this may not know of the other role; `displacedBy` names it to those who may.
    explain: () => 'displaced for a task of another role, which comes first by a guarantee',
  };
}

/**
 * Whether every role keeps what it is guaranteed. A role that the heir belongs to as well gets that in exchange; where it is
 * below its guarantee already it must not come to hold less.
 */
export function sparesGuarantees(
  { cluster, outlook }: ClaimInput,
  heir: { readonly role: RolePath; readonly scalars: Scalars },
  gone: readonly Holder[],
): boolean {
  const levels = new Set(gone.flatMap(({ role }) => levelsOf(role)));
  return [...levels].every((level) => {
    const gains = roleWithin(heir.role, level);
    return Object.entries(cluster.roles.get(level)?.guarantee ?? {}).every(([name, guaranteed]) => {
      const lost = lostBy(level, gone, name);
      if (lost === 0) return true;
      const before = outlook.heldFirmly(level, name);
      const after = before - lost + (gains ? scalarOf(heir.scalars, name) : 0);
      return toMilli(after) >= (gains ? Math.min(before, guaranteed) : guaranteed);
    });
  });
}

/** Over tasks of its own role with a lower priority. What the role holds in all is not what it is about. */
export function priorityClaims({ wanted, demand }: Contender): Claim[] {
  const { id, role } = wanted.task;
  const { priority } = wanted.job.spec;
  return [
    {
      because: 'priority',
      role,
      asked: demand,
      offered: 'held',
      mayDisplace: (holder) => holder.role === role && holder.priority < priority,
      spares: () => true,
      explain: (holder) =>
        `displaced by task ${id} of the same role, which has priority ${priority} where this one has ${holder.priority}`,
    },
  ];
}

function lostBy(level: RolePath, gone: readonly Holder[], name: string): number {
  return gone.reduce((sum, { role, frees }) => (roleWithin(role, level) ? sum + scalarOf(frees, name) : sum), 0);
}

function amountOf(amounts: ScalarAmounts, name: string): number {
  return toMilli(amounts[name] ?? 0);
}

/** The demand as if it needed no other scalars. */
function onlyOf(demand: Demand, names: readonly string[]): Demand {
  const { scalars } = demand;
  const only = (name: string) => (names.includes(name) ? scalarOf(scalars, name) : 0);
  const customNames = demand.customNames.filter((name) => names.includes(name));
  const some: Scalars = {
    cpus: only('cpus'),
    memMiB: only('memMiB'),
    diskMiB: only('diskMiB'),
    gpus: only('gpus'),
    custom: Object.fromEntries(customNames.map((name) => [name, scalarOf(scalars, name)])),
  };
  return { ...demand, scalars: some, customNames, scalarNames: [...names] };
}

/** The role and all above it, the nearest first. */
export function levelsOf(role: RolePath): RolePath[] {
  return [role, ...ancestorsOf(role)];
}
