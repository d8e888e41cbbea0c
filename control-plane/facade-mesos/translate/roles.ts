/**
 * Roles as Mesos spells them and as Berth does. Mesos allows nearly any text between slashes, so what is no name of Berth's is
 * given one, and whoever subscribed with it keeps its own spelling (see `annotations.ts`). Pure.
 */
import { nameFor, type RolePath } from '../../../shared/domain/ids.ts';

/** What nobody has named: Mesos's `*` is Berth's `default`. */
const WIRE_DEFAULT = '*';
const BERTH_DEFAULT = 'default';

export const ROLE_LEVELS_MAX = 8;
const ROLE_LENGTH_MAX = 200;

export type RoleReading =
  | { readonly ok: true; readonly role: RolePath }
  | { readonly ok: false; readonly message: string };

/** The role of Berth that a role of Mesos stands for, or why it is none, in Mesos's words. */
export function berthRole(wireRole: string): RoleReading {
  if (wireRole === WIRE_DEFAULT) return { ok: true, role: BERTH_DEFAULT };
  const message = roleFault(wireRole);
  if (message !== null) return { ok: false, message };
  const components = wireRole.split('/');
  if (components.length > ROLE_LEVELS_MAX) {
    return { ok: false, message: `Role '${wireRole}' has more than ${ROLE_LEVELS_MAX} components` };
  }
  const role = components.map(nameFor).join('/');
  if (role.length <= ROLE_LENGTH_MAX) return { ok: true, role };
  return { ok: false, message: `Role '${wireRole}' is longer than ${ROLE_LENGTH_MAX} characters` };
}

/** The rules of Mesos, in its order. Null: it keeps them. */
function roleFault(role: string): string | null {
  if (role === '') return 'Empty role name is invalid';
  if (role.startsWith('/')) return `Role '${role}' cannot start with a slash`;
  if (role.endsWith('/')) return `Role '${role}' cannot end with a slash`;
  for (const component of role.split('/')) {
    if (component === '') return `Role '${role}' cannot contain two adjacent slashes`;
    if (component === '.' || component === '..' || component === WIRE_DEFAULT) {
      return `Role '${role}' cannot include '${component}' as a component`;
    }
    if (component.startsWith('-')) {
      return `Role component '${component}' is invalid because it begins with a dash`;
    }
    if (UNUSABLE.test(component)) {
      return `Role component '${component}' is invalid because it contains backspace or whitespace`;
    }
  }
  return null;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: Mesos forbids these by number.
const UNUSABLE = /[\u0008\u0009\u000a\u000b\u000c\u000d\u0020\u007f]/;

/** As those see it who didn't spell it: Berth's path, but for the role that nobody has named. */
export function plainWireRole(role: RolePath): string {
  return role === BERTH_DEFAULT ? WIRE_DEFAULT : role;
}

/** As the framework that subscribed with it spells it. `spelled`: its own spellings, by Berth's paths. */
export function wireRole(spelled: Readonly<Record<RolePath, string>>, role: RolePath): string {
  return Object.hasOwn(spelled, role) ? (spelled[role] ?? plainWireRole(role)) : plainWireRole(role);
}
