/**
 * Who resources are for: a path such as `eng/ml`. A role exists as soon as something is in it; a record of its own gives it a
 * weight, a limit or a guarantee.
 */
import type { RolePath } from './ids.ts';
import { type Scalars, scalarOf, toMilli } from './resources.ts';

/** Amounts of some scalars, by name: `cpus`, `memMiB`, `diskMiB`, `gpus`, or one that an operator declared. */
export type ScalarAmounts = Readonly<Record<string, number>>;

export interface Role {
  readonly path: RolePath;
  /** Above 0. Beside its siblings, a role with twice the weight is due twice the share. */
  readonly weight: number;
  /** What the role and all below it may hold at the most. A scalar that isn't named has no bound. */
  readonly limit: ScalarAmounts;
  /** What the role and all below it can always come to hold. A scalar that isn't named has none. */
  readonly guarantee: ScalarAmounts;
  readonly updatedAtMs: number;
  readonly updatedBy: string;
}

export const DEFAULT_WEIGHT = 1;

/** The roles above this one, the nearest first: `a/b/c` is below `a/b` and `a`. */
export function ancestorsOf(path: RolePath): RolePath[] {
  const above: RolePath[] = [];
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) above.push(path.slice(0, end));
  return above;
}

/** The amounts as a vector: what isn't named is nothing, and nothing isn't named. */
export function scalarsOf(amounts: ScalarAmounts): Scalars {
  const { cpus = 0, memMiB = 0, diskMiB = 0, gpus = 0, ...others } = amounts;
  const custom = Object.fromEntries(Object.entries(others).filter(([, amount]) => amount > 0));
  return { cpus, memMiB, diskMiB, gpus, custom };
}

/** The names of `amounts` that `scalars` has too little of, sorted. Empty: it holds at least these amounts. */
export function missingAmounts(amounts: ScalarAmounts, scalars: Scalars): string[] {
  return Object.keys(amounts)
    .filter((name) => toMilli(amounts[name] ?? 0) > toMilli(scalarOf(scalars, name)))
    .sort();
}
