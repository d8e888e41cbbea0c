/**
 * What roles hold of the cluster's scalars, those below them included. It is kept while a plan is being made: what the plan
 * gives is added, what it takes is taken away.
 */
import type { RolePath } from '../../shared/domain/ids.ts';
import { type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';

export class RoleHoldings {
  readonly #byRole = new Map<RolePath, Map<string, number>>();

  add(role: RolePath, scalars: Scalars): void {
    for (const level of levelsOf(role)) this.#change(level, scalars, 1);
  }

  remove(role: RolePath, scalars: Scalars): void {
    for (const level of levelsOf(role)) this.#change(level, scalars, -1);
  }

  of(role: RolePath, scalar: string): number {
    return this.#byRole.get(role)?.get(scalar) ?? 0;
  }

  #change(role: RolePath, scalars: Scalars, sign: 1 | -1): void {
    const amounts = this.#byRole.get(role) ?? new Map<string, number>();
    this.#byRole.set(role, amounts);
    for (const name of scalarNames(scalars)) {
      amounts.set(name, toMilli((amounts.get(name) ?? 0) + sign * scalarOf(scalars, name)));
    }
  }
}

/** The role and all above it, the nearest first. */
export function levelsOf(role: RolePath): RolePath[] {
  return [role, ...ancestorsOf(role)];
}
