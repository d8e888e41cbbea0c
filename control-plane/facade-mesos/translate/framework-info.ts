/** What a framework says of itself and of the offers that it wants, as what Berth's frameworks say. Pure. */
import type { Constraint } from '../../../shared/domain/constraint.ts';
import { nameFor, type RolePath } from '../../../shared/domain/ids.ts';
import { readPattern } from '../../../shared/domain/text-pattern.ts';
import { FRAMEWORK_ROLES_MAX, type FrameworkUpdateInput } from '../../../shared/protocol/framework.ts';
import type {
  FrameworkCapabilityType,
  WireAttributeConstraint,
  WireFrameworkInfo,
  WireWishes,
} from '../wire/framework-info.ts';
import { type FrameworkNotes, frameworkAnnotations } from './annotations.ts';
import { frameworkIdOf } from './ids.ts';
import { berthRole } from './roles.ts';

/** All that a subscription or its update says, but for who it is and which session. */
export type Wishes = Omit<FrameworkUpdateInput, 'session'>;

export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** Something that Mesos's master refuses, in its words; caught where the reading began. */
class Invalid extends Error {}

const FAILOVER_SECONDS_MAX = 365 * 24 * 3600;
const DEFAULT_ROLE = '*';

/**
 * The wishes, or why Mesos's master would refuse them, in its words. `before`: what was kept of a framework that comes back, of which
 * its user and whether it checkpoints stay what they were.
 */
export function readWishes(wire: WireWishes, before: FrameworkNotes | null = null): Reading<Wishes> {
  try {
    return { ok: true, value: wishesOf(wire, before) };
  } catch (error) {
    if (error instanceof Invalid) return { ok: false, message: error.message };
    throw error;
  }
}

function wishesOf(wire: WireWishes, before: FrameworkNotes | null): Wishes {
  const { framework_info: info, suppressed_roles: suppressed, offer_constraints: constraints } = wire;
  const roles = rolesOf(info);
  const known = new Map([...roles].map(([role, wire]) => [wire, role]));
  return {
    name: nameFor(info.name),
    roles: [...roles.keys()],
    failoverTimeoutSeconds: failoverSeconds(info.failover_timeout ?? 0),
    capabilities: capabilitiesOf(info).has('GPU_RESOURCES') ? ['gpus'] : [],
    minAllocatable: minimumsOf(info, known),
    suppressed: suppressedOf(suppressed, known),
    nodeConstraints: constraints === undefined ? {} : constraintsOf(constraints, known),
    annotations: annotationsOf(info, roles, before),
  };
}

export function capabilitiesOf({
  capabilities,
}: Pick<WireFrameworkInfo, 'capabilities'>): ReadonlySet<FrameworkCapabilityType> {
  return new Set(capabilities.flatMap(({ type }) => type ?? []));
}

/** Its roles as it spells them, by Berth's paths. */
function rolesOf(info: WireFrameworkInfo): ReadonlyMap<RolePath, string> {
  const isMultiRole = capabilitiesOf(info).has('MULTI_ROLE');
  if (isMultiRole && info.role !== undefined) {
    throw new Invalid("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable");
  }
  if (!isMultiRole && info.roles.length > 0) {
    throw new Invalid("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable");
  }
  const wireRoles = isMultiRole ? info.roles : [info.role ?? DEFAULT_ROLE];
  const twice = wireRoles.filter((role, index) => wireRoles.indexOf(role) < index);
  if (twice.length > 0) throw new Invalid(`'FrameworkInfo.roles' contains duplicate items: { ${twice.join(', ')} }`);
  if (wireRoles.length === 0)
    throw new Invalid("'FrameworkInfo.roles' is empty: without a role nothing can be offered");
  if (wireRoles.length > FRAMEWORK_ROLES_MAX) {
    throw new Invalid(`'FrameworkInfo.roles' has ${wireRoles.length} items; ${FRAMEWORK_ROLES_MAX} is the most`);
  }
  const roles = new Map<RolePath, string>();
  for (const wire of wireRoles) {
    const reading = berthRole(wire);
    if (!reading.ok) {
      const where = isMultiRole
        ? "'FrameworkInfo.roles' contains invalid role"
        : "'FrameworkInfo.role' is not a valid role";
      throw new Invalid(`${where}: ${reading.message}`);
    }
    const other = roles.get(reading.role);
    if (other !== undefined) throw new Invalid(`Roles '${other}' and '${wire}' are one and the same here`);
    roles.set(reading.role, wire);
  }
  return roles;
}

/** Longer than a year is a year; what is no length of time is refused. */
function failoverSeconds(seconds: number): number {
  if (!(seconds >= 0))
    throw new Invalid(`The framework failover_timeout (${seconds}) is invalid: it must not be negative`);
  return Math.min(seconds, FAILOVER_SECONDS_MAX);
}

type KnownRoles = ReadonlyMap<string, RolePath>;

function minimumsOf({ offer_filters: filters }: WireFrameworkInfo, known: KnownRoles): Wishes['minAllocatable'] {
  const minimums: Record<RolePath, Record<string, number>[]> = {};
  for (const [wire, { min_allocatable_resources: resources }] of Object.entries(filters)) {
    const role = known.get(wire);
    if (role === undefined) {
      throw new Invalid(`Invalid framework offer filters: role '${wire}' is not contained in the list of roles`);
    }
    if (resources === undefined) continue;
    minimums[role] = resources.quantities.map(({ quantities }) => amountsOf(quantities));
  }
  return minimums;
}

const NATIVE_NAMES: ReadonlyMap<string, string> = new Map([
  ['mem', 'memMiB'],
  ['disk', 'diskMiB'],
]);

function amountsOf(quantities: Readonly<Record<string, { readonly value: number }>>): Record<string, number> {
  const amounts = Object.entries(quantities).map(([name, { value }]): [string, number] => {
    if (value >= 0 && Number.isFinite(value)) return [NATIVE_NAMES.get(name) ?? name, value];
    throw new Invalid(`Invalid framework offer filters: invalid quantity '${name}': ${value}`);
  });
  return Object.fromEntries(amounts);
}

function suppressedOf(suppressed: readonly string[], known: KnownRoles): RolePath[] {
  const roles = suppressed.map((wire) => {
    const role = known.get(wire);
    if (role !== undefined) return role;
    throw new Invalid(`Suppressed role '${wire}' is not contained in the list of roles`);
  });
  return [...new Set(roles)];
}

function constraintsOf(
  { role_constraints: byRole }: NonNullable<WireWishes['offer_constraints']>,
  known: KnownRoles,
): Wishes['nodeConstraints'] {
  const constraints: Record<RolePath, Constraint[][]> = {};
  for (const [wire, { groups }] of Object.entries(byRole)) {
    const role = known.get(wire);
    if (role === undefined) throw invalidConstraints(`role '${wire}' is not contained in the list of roles`);
    if (groups.length === 0) throw invalidConstraints(`the constraints for role '${wire}' have no groups`);
    constraints[role] = groups.map(({ attribute_constraints: all }) => {
      // To Berth a list without constraints is met by any node.
      if (all.length === 0) throw invalidConstraints(`the constraints for role '${wire}' have an empty group`);
      return all.map(constraintOf);
    });
  }
  return constraints as Wishes['nodeConstraints'];
}

function invalidConstraints(why: string): Invalid {
  return new Invalid(`Framework's offer constraints are not valid: ${why}`);
}

function constraintOf({ selector, predicate }: WireAttributeConstraint): Constraint {
  const attribute = attributeOf(selector);
  const [told, ...others] = Object.entries(predicate).flatMap(([name, about]) => (about === undefined ? [] : [name]));
  if (told === undefined || others.length > 0) throw invalidConstraints('exactly one predicate must be set');
  const { text_equals: equals, text_not_equals: notEquals } = predicate;
  if (predicate.exists !== undefined) return { attribute, operator: 'exists' };
  if (predicate.not_exists !== undefined) return { attribute, operator: 'notExists' };
  if (equals !== undefined) return { attribute, operator: '=', value: equals.value };
  if (notEquals !== undefined) return { attribute, operator: '!=', value: notEquals.value };
  const [operator, regex] =
    predicate.text_matches === undefined
      ? (['notMatches', predicate.text_not_matches?.regex ?? ''] as const)
      : (['matches', predicate.text_matches.regex] as const);
  const pattern = readPattern(regex);
  if (typeof pattern !== 'string') return { attribute, operator, value: regex };
  throw invalidConstraints(`Failed to construct regex from pattern '${regex}': it ${pattern}`);
}

/** What Mesos keeps beside the attributes of an agent, Berth keeps among those of a node. */
const PSEUDO_ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['HOSTNAME', 'hostname'],
  ['REGION', 'region'],
  ['ZONE', 'zone'],
]);

function attributeOf({
  attribute_name: name,
  pseudoattribute_type: pseudo,
}: WireAttributeConstraint['selector']): string {
  const attribute = name ?? PSEUDO_ATTRIBUTES.get(pseudo ?? '');
  if (attribute === undefined || attribute === '') throw invalidConstraints('a selector names no attribute');
  return attribute;
}

function annotationsOf(
  info: WireFrameworkInfo,
  roles: ReadonlyMap<RolePath, string>,
  before: FrameworkNotes | null,
): Record<string, string> {
  const { id, role: _role, roles: _roles, ...kept } = info;
  const { user = kept.user, checkpoint = kept.checkpoint } = before?.info ?? {};
  const notes: FrameworkNotes = {
    info: { ...kept, user, ...(checkpoint !== undefined && { checkpoint }) },
    roles: Object.fromEntries(roles),
    ...(id !== undefined && frameworkIdOf(id.value) !== id.value && { id: id.value }),
  };
  const annotations = frameworkAnnotations(notes);
  if (annotations === null) throw new Invalid('FrameworkInfo is too large to be kept');
  return annotations;
}
