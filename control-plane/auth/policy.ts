/**
 * Who may do what: a principal, an action, a role and, where it is about one thing, that thing. Pure, and the only place where it is
 * decided. A token grants actions in roles: one of its grants must cover all of what is asked for. Actions come in families
 * (`job:read` belongs to `job`), and `job:*` stands for a family, except for its dangers: what reaches past a container's
 * walls is granted by its own name, or by `*`, and never comes along with something milder. A grant that is narrowed to certain
 * things reaches nothing else: not what stands beside them, nor what is of the cluster as a whole.
 */
import { coversPattern, type GrantResource, namesResource } from '../../shared/domain/grant-resource.ts';
import { type NodeId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
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
  'token:read',
  'token:revoke',
  'key:read',
  'key:rotate',
  'policy:read',
  'policy:write',
  'metrics:read',
] as const;

/** Each is granted by its own name, or by `*`. */
export const DANGEROUS_ACTIONS = DANGERS.map((danger) => `job:${danger}` as const);

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

/**
 * Whether the principal may do this to `resource` in `role`. A null role stands for what belongs to no role, such as nodes; a null
 * resource for no certain thing: all that there is in the role, or the role itself.
 */
export function authorize(
  principal: Principal,
  action: Action,
  role: RolePath | null,
  resource: GrantResource | null = null,
): Verdict {
  if (principal.kind === 'join' && action === JOIN_ACTION) return ALLOWED;
  const held = holdsAction(principal, action);
  if (!held.allowed) return held;
  const allowing = principal.grants.filter(({ actions }) => actions.some((granted) => covers(granted, action)));
  const reaching = role === null ? allowing : allowing.filter((grant) => reachesRole(grant, role));
  if (reaching.length === 0) {
    return refuse(`the token of "${principal.subject}" doesn't reach the role "${role}"; ${describeRoles(allowing)}`);
  }
  if (reaching.some((grant) => reachesResource(grant, resource))) return ALLOWED;
  return refuse(`the token of "${principal.subject}" allows ${action} only for ${describeResources(reaching)}`);
}

/**
 * Whether there is anything at all to which the principal may do this: for lists, of which it sees its part, and where what was asked
 * for isn't there, so that whoever may do it nowhere isn't told even that.
 */
export function holdsAction(principal: Principal, action: Action): Verdict {
  if (principal.kind !== 'user') return refuse(limitOfKind(principal.kind));
  if (action === JOIN_ACTION) return refuse('a node registers with a join token; make one with `kind: join`');
  if (principal.grants.some(({ actions }) => actions.some((granted) => covers(granted, action)))) return ALLOWED;
  return refuse(`the token of "${principal.subject}" doesn't allow ${action}; ask for one with the action "${action}"`);
}

/** Whether the principal may do everything everywhere, whoever began it. */
export function mayEverything({ kind, grants }: Principal): boolean {
  return (
    kind === 'user' &&
    grants.some(
      ({ roles, actions, resources }) => roles.includes('*') && actions.includes('*') && resources === undefined,
    )
  );
}

/** Whether the principal may go on with what `owner` has begun: its own, or anything. */
export function actsFor(principal: Principal, owner: string): boolean {
  return isCalled(principal, owner) || mayEverything(principal);
}

/** Whether a user's token was made out in this name. */
export function isCalled({ kind, subject }: Principal, name: string): boolean {
  return kind === 'user' && subject === name;
}

/** Whether an endpoint that is for these kinds of callers is for this one. */
export function admits(kinds: readonly Principal['kind'][], { kind }: Principal): Verdict {
  if (kinds.includes(kind)) return ALLOWED;
  return refuse(`this takes a token of the kind ${kinds.join(' or ')}, not of the kind ${kind}`);
}

/** Whether the principal may become the agent of this node: with a join token of any, with a node's own of that node. */
export function mayRegister(principal: Principal, node: NodeId): Verdict {
  switch (principal.kind) {
    case 'join':
      return ALLOWED;
    case 'node':
      if (principal.node === node) return ALLOWED;
      return refuse(`this token is node "${principal.node}"'s and can't register node "${node}"`);
    case 'user':
    case 'peer':
      return refuse('a node registers with a join token; make one with `berth token create NAME --join`');
    default:
      return unreachable(principal.kind);
  }
}

/** The node that the principal is the agent of; null: none. */
export function nodeOf({ kind, node }: Principal): NodeId | null {
  return kind === 'node' ? node : null;
}

/** Whether it is a part of Berth itself that calls, on nobody's behalf. */
export function isProgram({ kind }: Principal): boolean {
  return kind === 'node' || kind === 'peer';
}

/** Whether the principal comes with a join token: it is not known yet which node it is. */
export function isJoining({ kind }: Principal): boolean {
  return kind === 'join';
}

type Delegation = Pick<TokenRequest, 'kind' | 'roles' | 'actions' | 'resources'>;

/** Whether the principal may have this token made. Nobody hands out more than they hold. */
export function canDelegate(principal: Principal, request: Delegation): Verdict {
  const mayCreate = authorize(principal, 'token:create', null);
  if (!mayCreate.allowed) return mayCreate;
  if (request.kind === 'join') return authorize(principal, 'node:admit', null);
  return canPassOn(principal, request);
}

/** Whether the principal holds all of it: each of the actions in each of the roles, for each of the things. */
export function canPassOn({ subject, grants }: Principal, request: Grant): Verdict {
  const refuseLacking = (what: string) => refuse(`"${subject}" doesn't hold ${what} and can't pass it on`);
  const action = request.actions.find((wanted) => !grants.some((grant) => holds(grant, wanted)));
  if (action !== undefined) return refuseLacking(`the action "${action}"`);
  const role = request.roles.find((wanted) => !grants.some((grant) => reachesRole(grant, wanted)));
  if (role !== undefined) return refuseLacking(`the role "${role}"`);
  for (const wanted of request.actions) {
    const holding = grants.filter((grant) => holds(grant, wanted));
    // What belongs to no role needs none: so the action is passed on in these roles, and in none.
    const beyond = beyondResources(holding, request.resources);
    if (beyond !== null) return refuseLacking(`the action "${wanted}" for ${beyond}`);
    for (const within of request.roles) {
      const reaching = holding.filter((grant) => reachesRole(grant, within));
      if (reaching.length === 0) return refuseLacking(`the action "${wanted}" in the role "${within}"`);
      const lacking = beyondResources(reaching, request.resources);
      if (lacking !== null) return refuseLacking(`the action "${wanted}" in the role "${within}" for ${lacking}`);
    }
  }
  return ALLOWED;
}

/** What of the things that are wanted (undefined: all) none of the grants covers; null: nothing. */
function beyondResources(grants: readonly Grant[], wanted: readonly string[] | undefined): string | null {
  if (grants.some(({ resources }) => resources === undefined)) return null;
  if (wanted === undefined) return 'everything there is';
  const granted = grants.flatMap(({ resources = [] }) => resources);
  const beyond = wanted.find((one) => !granted.some((pattern) => coversPattern(pattern, one)));
  return beyond === undefined ? null : `"${beyond}"`;
}

export function holds({ actions }: Grant, wanted: string): boolean {
  return actions.some((granted) => covers(granted, wanted));
}

export function reachesRole({ roles }: Grant, wanted: string): boolean {
  return roles.some((granted) => roleWithin(wanted, granted));
}

function reachesResource({ resources }: Grant, wanted: GrantResource | null): boolean {
  if (resources === undefined) return true;
  return wanted !== null && resources.some((pattern) => namesResource(pattern, wanted));
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

function describeResources(grants: readonly Grant[]): string {
  return [...new Set(grants.flatMap(({ resources = [] }) => resources))].join(', ');
}

function refuse(why: string): Verdict {
  return { allowed: false, why };
}
