/**
 * What may be set for a role, beside what is set for the roles above, below and next to it. The table of roles as it would be is
 * judged as a whole: promises must fit into each other, and into the machines that there are.
 */
import type { Fault } from './errors.ts';
import { NAME_PATTERN, type RolePath } from './ids.ts';
import { type Scalars, scalarOf, toMilli } from './resources.ts';
import { ancestorsOf, type Role, type ScalarAmounts } from './role.ts';

/** What an operator sets. */
export type RoleTerms = Pick<Role, 'weight' | 'limit' | 'guarantee'>;

/** The roles for which something is set. */
export type RoleTable = ReadonlyMap<RolePath, Pick<Role, 'limit' | 'guarantee'>>;

/** A thousand times less or more than the weight of a sibling is all that anybody can tell apart in shares. */
export const WEIGHT_MIN = 0.001;
export const WEIGHT_MAX = 1_000_000;

/** The scalars that every node has. */
export const SCALAR_NAMES = ['cpus', 'memMiB', 'diskMiB', 'gpus'] as const;

/** Whether something that is counted can be called so. Ports are held by number, so they have no amount. */
export function isScalarName(name: string): boolean {
  return SCALAR_NAMES.some((known) => known === name) || (name !== 'ports' && NAME_PATTERN.test(name));
}

/** The amount of this name; undefined where none is set. Own members only, since every object inherits some names. */
export function amountIn(amounts: ScalarAmounts, name: string): number | undefined {
  return Object.hasOwn(amounts, name) ? amounts[name] : undefined;
}

/**
 * What is promised to the role and all below it: of each scalar its own guarantee, or where it has none, what is promised to its
 * children.
 */
export function promisedTo(roles: RoleTable, path: RolePath): ScalarAmounts {
  return promiseIn(roles, childrenIn(roles.keys()), path);
}

/** What is promised to all roles together. */
export function promisedInAll(roles: RoleTable): ScalarAmounts {
  const children = childrenIn(roles.keys());
  return sumOf(childrenOf(children, ROOT).map((path) => promiseIn(roles, children, path)));
}

/**
 * Where the table contradicts itself at this role or above it, as faults of what was set for it: a promise beyond a limit, or
 * children that are promised more than their parent. Of a table without contradictions, these are all that the role can bring.
 * Of what is above it, `mayName` says whether whoever is told may know of it.
 */
export function termsFaults(
  roles: RoleTable,
  path: RolePath,
  mayName: (level: RolePath) => boolean = () => true,
): Fault[] {
  const children = childrenIn(roles.keys());
  return [path, ...ancestorsOf(path)].flatMap((level) => {
    const terms = roles.get(level);
    if (terms === undefined) return [];
    const below = sumOf(childrenOf(children, level).map((child) => promiseIn(roles, children, child)));
    const faults = [...childrenFaults(path, level, { terms, below }), ...limitFaults(path, level, { terms, below })];
    if (mayName(level)) return faults;
    return faults.map((fault) => ({ path: fault.path, message: 'is more than the roles above leave to it' }));
  });
}

interface Level {
  readonly terms: Pick<Role, 'limit' | 'guarantee'>;
  /** Promised to its children together. */
  readonly below: ScalarAmounts;
}

function childrenFaults(path: RolePath, level: RolePath, { terms, below }: Level): Fault[] {
  return namesOver(below, terms.guarantee).map((name) => {
    const [promised, own] = [below[name], terms.guarantee[name]];
    return {
      path: `/guarantee/${name}`,
      message:
        level === path
          ? `is ${own}, less than the ${promised} that the roles below "${path}" are promised; lower theirs first`
          : `brings what the roles below "${level}" are promised to ${promised}, and "${level}" itself has a guarantee of ${own}; raise that first`,
    };
  });
}

function limitFaults(path: RolePath, level: RolePath, { terms, below }: Level): Fault[] {
  const promised = { ...below, ...terms.guarantee };
  return namesOver(promised, terms.limit).map((name) => {
    const [amount, limit] = [promised[name], terms.limit[name]];
    if (level !== path) {
      const message = `brings what "${level}" and the roles below it are promised to ${amount}, beyond its limit of ${limit}`;
      return { path: `/guarantee/${name}`, message };
    }
    const isOwn = amountIn(terms.guarantee, name) !== undefined;
    const message = `is ${limit}, less than the ${amount} that ${isOwn ? 'it is' : `the roles below "${path}" are`} promised`;
    return { path: `/limit/${name}`, message };
  });
}

/** The names that `bounds` names and `amounts` has more of, sorted. */
function namesOver(amounts: ScalarAmounts, bounds: ScalarAmounts): string[] {
  return Object.keys(bounds)
    .filter((name) => toMilli(amountIn(amounts, name) ?? 0) > toMilli(amountIn(bounds, name) ?? 0))
    .sort();
}

/** One scalar of which a change asks for more than there is, or allows less than is held. */
export interface Excess {
  readonly name: string;
  readonly asked: number;
  readonly there: number;
}

/** What of the cluster is there to be promised. */
export interface Promisable {
  /** What all nodes have. */
  readonly total: Scalars;
  /** What is reserved for each role. A guarantee counts it; beyond that it is lost to all others. */
  readonly reserved: ReadonlyMap<RolePath, ScalarAmounts>;
}

/** Of which scalars the change promises more than `total` holds. What was promised too much before is nothing new. */
export function overpromised(before: RoleTable, after: RoleTable, total: Scalars): Excess[] {
  return excessOver(total, promisedInAll(before), promisedInAll(after));
}

/** Of which scalars the change promises more than `total` holds beside what is reserved. */
export function promisedBesideReserved(before: RoleTable, after: RoleTable, { total, reserved }: Promisable): Excess[] {
  return excessOver(total, boundInAll(before, reserved), boundInAll(after, reserved));
}

function excessOver(total: Scalars, was: ScalarAmounts, is: ScalarAmounts): Excess[] {
  return Object.keys(is)
    .sort()
    .flatMap((name) => {
      const [asked, there] = [toMilli(is[name] ?? 0), toMilli(scalarOf(total, name))];
      return asked > there && asked > toMilli(amountIn(was, name) ?? 0) ? [{ name, asked, there }] : [];
    });
}

/** Of which scalars more is held than the limit allows, where it is lower than the one before. */
export function heldOver(before: ScalarAmounts, limit: ScalarAmounts, held: Scalars): Excess[] {
  return Object.keys(limit)
    .sort()
    .flatMap((name) => {
      const [asked, there] = [toMilli(limit[name] ?? 0), toMilli(scalarOf(held, name))];
      return there > asked && asked < (amountIn(before, name) ?? Number.POSITIVE_INFINITY)
        ? [{ name, asked, there }]
        : [];
    });
}

/** The children of this are the roles at the top. */
const ROOT = '';

/** By role, those right below it that are among the paths, or above one of them. */
function childrenIn(paths: Iterable<RolePath>): ReadonlyMap<RolePath, ReadonlySet<RolePath>> {
  const children = new Map<RolePath, Set<RolePath>>();
  for (const path of paths) {
    const chain = [path, ...ancestorsOf(path), ROOT];
    for (const [at, child] of chain.slice(0, -1).entries()) {
      const parent = chain[at + 1] ?? ROOT;
      const known = children.get(parent) ?? new Set();
      known.add(child);
      children.set(parent, known);
    }
  }
  return children;
}

function childrenOf(children: ReadonlyMap<RolePath, ReadonlySet<RolePath>>, path: RolePath): RolePath[] {
  return [...(children.get(path) ?? [])];
}

/** Roles are at most eight names deep, so this recursion is bounded. */
function promiseIn(
  roles: RoleTable,
  children: ReadonlyMap<RolePath, ReadonlySet<RolePath>>,
  path: RolePath,
): ScalarAmounts {
  const below = sumOf(childrenOf(children, path).map((child) => promiseIn(roles, children, child)));
  return { ...below, ...roles.get(path)?.guarantee };
}

/** What all roles together keep from others: promised, or reserved beyond that. */
function boundInAll(roles: RoleTable, reserved: Promisable['reserved']): ScalarAmounts {
  const children = childrenIn([...roles.keys(), ...reserved.keys()]);
  const boundIn = (path: RolePath): ScalarAmounts => {
    const below = childrenOf(children, path).map(boundIn);
    const held = sumOf([...below, reserved.get(path) ?? {}]);
    const guarantee = roles.get(path)?.guarantee ?? {};
    const names = new Set([...Object.keys(held), ...Object.keys(guarantee)]);
    return Object.fromEntries(
      [...names].map((name) => [name, Math.max(amountIn(held, name) ?? 0, amountIn(guarantee, name) ?? 0)]),
    );
  };
  return sumOf(childrenOf(children, ROOT).map(boundIn));
}

function sumOf(list: readonly ScalarAmounts[]): ScalarAmounts {
  const sum: Record<string, number> = {};
  for (const amounts of list) {
    for (const name of Object.keys(amounts)) sum[name] = toMilli((amountIn(sum, name) ?? 0) + (amounts[name] ?? 0));
  }
  return sum;
}
