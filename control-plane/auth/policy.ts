/**
 * Who may do what. A token grants actions in roles: one of its grants must cover both of what is asked for. Actions come in families
 * (`job:read` belongs to `job`), and `job:*` stands for a family, except for its dangers: what reaches past a container's
 * walls is granted by its own name, or by `*`, and never comes along with something milder.
 */
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { DANGERS } from '../../shared/domain/job.ts';
import type { TokenRequest } from '../../shared/protocol/views.ts';
import { unreachable } from '../../shared/util/assert.ts';
import type { Grant, Principal } from './principal.ts';

const ORDINARY_ACTIONS = [
  'job:read',
  'job:write',
  'task:read',
  'task:stop',
  'logs:read',
  'node:read',
  'node:write',
  'node:admit',
  'node:remove',
  'role:read',
  'role:write',
  'reservation:read',
  'reservation:write',
  'volume:read',
  'volume:write',
  'secret:read',
  'secret:write',
  'secret:use',
  'secret:reseal',
  'settings:read',
  'settings:write',
  'framework:read',
  'framework:run',
  'event:read',
  'audit:read',
  'status:read',
  'cluster:recover',
  'token:create',
  'policy:read',
  'policy:write',
  'metrics:read',
] as const;

const DANGEROUS_ACTIONS = DANGERS.map((danger) => `job:${danger}` as const);

/** What a join token is for. No list of actions grants it: admitting a node is told apart from being one. */
const JOIN_ACTION = 'node:join';

export type Action = (typeof ORDINARY_ACTIONS)[number] | (typeof DANGEROUS_ACTIONS)[number] | typeof JOIN_ACTION;

/** Everything that a list of actions can grant. */
export const ACTIONS: readonly Action[] = [...ORDINARY_ACTIONS, ...DANGEROUS_ACTIONS];

/** Everything that may stand in a token's list of actions: the actions, each family as `<family>:*`, and `*`. */
export const ACTION_PATTERNS: readonly string[] = [
  '*',
  ...new Set(ORDINARY_ACTIONS.map((action) => `${familyOf(action)}:*`)),
  ...ACTIONS,
];

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly why: string };

const ALLOWED: Verdict = { allowed: true };

/** Whether the principal may do this to things of `role`; null stands for what belongs to no role, such as nodes. */
export function authorize(principal: Principal, action: Action, role: RolePath | null): Verdict {
  if (principal.kind === 'join' && action === JOIN_ACTION) return ALLOWED;
  if (principal.kind !== 'user') return refuse(limitOfKind(principal.kind));
  if (action === JOIN_ACTION) return refuse('a node registers with a join token; make one with `kind: join`');
  const allowing = principal.grants.filter(({ actions }) => actions.some((granted) => covers(granted, action)));
  if (allowing.length === 0) {
    return refuse(
      `the token of "${principal.subject}" doesn't allow ${action}; ask for one with the action "${action}"`,
    );
  }
  if (role !== null && !allowing.some(({ roles }) => roles.some((granted) => roleWithin(role, granted)))) {
    return refuse(`the token of "${principal.subject}" doesn't reach the role "${role}"; ${describeRoles(allowing)}`);
  }
  return ALLOWED;
}

/** Whether the principal may do everything everywhere, whoever began it. */
export function mayEverything({ kind, grants }: Principal): boolean {
  return kind === 'user' && grants.some(({ roles, actions }) => roles.includes('*') && actions.includes('*'));
}

/** Whether the principal may have this token made. Nobody hands out more than they hold. */
export function canDelegate(principal: Principal, request: Pick<TokenRequest, 'kind' | 'roles' | 'actions'>): Verdict {
  const mayCreate = authorize(principal, 'token:create', null);
  if (!mayCreate.allowed) return mayCreate;
  if (request.kind === 'join') return authorize(principal, 'node:admit', null);
  return canPassOn(principal, request);
}

/** Whether the principal holds all of it: each of the actions in each of the roles. */
export function canPassOn({ subject, grants }: Principal, wanted: Grant): Verdict {
  const action = wanted.actions.find((each) => !grants.some((grant) => holdsAction(grant, each)));
  if (action !== undefined) return refuse(`"${subject}" doesn't hold the action "${action}" and can't pass it on`);
  const role = wanted.roles.find((each) => !grants.some((grant) => holdsRole(grant, each)));
  if (role !== undefined) return refuse(`"${subject}" doesn't hold the role "${role}" and can't pass it on`);
  for (const each of wanted.actions) {
    const missing = wanted.roles.find(
      (within) => !grants.some((grant) => holdsAction(grant, each) && holdsRole(grant, within)),
    );
    if (missing === undefined) continue;
    return refuse(`"${subject}" doesn't hold the action "${each}" in the role "${missing}" and can't pass it on`);
  }
  return ALLOWED;
}

export function holdsAction({ actions }: Grant, wanted: string): boolean {
  return actions.some((granted) => covers(granted, wanted));
}

export function holdsRole({ roles }: Grant, wanted: string): boolean {
  return roles.some((granted) => roleWithin(wanted, granted));
}

/** Whether what was granted (an action or a pattern) includes all of what is wanted (an action or a pattern). */
function covers(granted: string, wanted: string): boolean {
  if (granted === '*' || granted === wanted) return true;
  return granted === `${familyOf(wanted)}:*` && !DANGEROUS_ACTIONS.some((dangerous) => dangerous === wanted);
}

function familyOf(action: string): string {
  return action.split(':', 1)[0] ?? action;
}

function limitOfKind(kind: Exclude<Principal['kind'], 'user'>): string {
  switch (kind) {
    case 'join':
      return 'a join token lets an agent register and nothing else';
    case 'node':
      return "a node's token is for its agent's own calls only";
    case 'peer':
      return "a peer's token is for calls between replicas only";
    default:
      return unreachable(kind);
  }
}

function describeRoles(grants: readonly Grant[]): string {
  const roles = [...new Set(grants.flatMap((grant) => grant.roles))];
  return roles.length === 0 ? 'it reaches none' : `it reaches ${roles.join(', ')}`;
}

function refuse(why: string): Verdict {
  return { allowed: false, why };
}
