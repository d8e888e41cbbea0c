/** Who competes with whom, level by level: told from the outside, for properties that hold rounds against it. */
import { type FrameworkId, type RolePath, roleWithin } from '../../../shared/domain/ids.ts';
import { ancestorsOf } from '../../../shared/domain/role.ts';

/** Whom something belongs to: Berth's own scheduler (null) or a framework, in a role. */
export interface Owner {
  readonly role: RolePath;
  readonly client: FrameworkId | null;
}

/** What competes as one with others beside it. */
export interface Member {
  readonly name: string;
  readonly weight: number;
  /** Whether it is the role itself, with all that is reserved for it. */
  readonly isRole: boolean;
  has(owner: Owner): boolean;
}

/**
 * Every set of members that compete with each other: the roles at the top; below each role its child roles and its own clients as one
 * group; the clients of each such group.
 */
export function siblingsOf(owners: readonly Owner[], weightOf: (path: RolePath) => number): Member[][] {
  const paths = [...new Set(owners.flatMap(({ role }) => [role, ...ancestorsOf(role)]))];
  const below = (parent: RolePath | undefined) =>
    paths.filter((path) => ancestorsOf(path)[0] === parent).map((path) => roleMember(path, weightOf(path)));
  return [
    below(undefined),
    ...paths.flatMap((path) => [[...groupOf(path, owners), ...below(path)], clientsOf(path, owners)]),
  ];
}

function roleMember(path: RolePath, weight: number): Member {
  return { name: path, weight, isRole: true, has: ({ role }) => roleWithin(role, path) };
}

function groupOf(path: RolePath, owners: readonly Owner[]): Member[] {
  const isOwn = ({ role }: Owner) => role === path;
  return owners.some(isOwn) ? [{ name: `${path}/*`, weight: 1, isRole: false, has: isOwn }] : [];
}

function clientsOf(path: RolePath, owners: readonly Owner[]): Member[] {
  const ids = new Set(owners.filter(({ role }) => role === path).map(({ client }) => client));
  return [...ids].map((id) => ({
    name: `${path}/${id}`,
    weight: 1,
    isRole: false,
    has: ({ role, client }) => role === path && client === id,
  }));
}
