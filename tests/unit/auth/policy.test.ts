import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTION_PATTERNS, ACTIONS, type Action, authorize, canDelegate } from '../../../control-plane/auth/policy.ts';
import type { Grant, Principal } from '../../../control-plane/auth/principal.ts';

type Change = Partial<Pick<Principal, 'kind' | 'node'> & Grant>;

function user({ roles = ['eng'], actions = ['job:*'], ...change }: Change = {}): Principal {
  return { kind: 'user', subject: 'ci', tokenId: 't', grants: [{ roles, actions }], node: null, ...change };
}

describe('a principal may', () => {
  it.each<[string, Change, Action, string | null]>([
    ['what is named, in the role', { actions: ['job:read'] }, 'job:read', 'eng'],
    ['the same below the role', { actions: ['job:read'] }, 'job:read', 'eng/ml/vision'],
    ['all of a family', { actions: ['job:*'] }, 'job:write', 'eng'],
    ['everything everywhere', { actions: ['*'], roles: ['*'] }, 'job:privileged', 'any/thing'],
    ['a danger that is named', { actions: ['job:*', 'job:privileged'] }, 'job:privileged', 'eng'],
    ['what belongs to no role, with no role', { actions: ['node:read'], roles: [] }, 'node:read', null],
    ['run frameworks in its roles', { actions: ['framework:run'] }, 'framework:run', 'eng/ml'],
    ['join with a join token', { kind: 'join', actions: [], roles: [] }, 'node:join', null],
  ])('%s', (_name, change, action, role) => {
    expect(authorize(user(change), action, role)).toEqual({ allowed: true });
  });
});

describe('a principal may not', () => {
  it.each<[string, Change, Action, string | null, string]>([
    ['what is not named', { actions: ['job:read'] }, 'job:write', 'eng', "doesn't allow job:write"],
    ['the same in another role', {}, 'job:read', 'ops', 'it reaches eng'],
    ['the same above the role', { roles: ['eng/ml'] }, 'job:read', 'eng', "doesn't reach"],
    ['a role that begins alike', {}, 'job:read', 'engineering', "doesn't reach"],
    ['a danger by its family', { actions: ['job:*'] }, 'job:host-network', 'eng', "doesn't allow job:host-network"],
    ['run a framework as a reader of them', { actions: ['framework:read'] }, 'framework:run', 'eng', "doesn't allow"],
    ['anything with no action', { actions: [] }, 'job:read', 'eng', "doesn't allow"],
    ['anything in a role with no role', { roles: [] }, 'job:read', 'eng', 'it reaches none'],
    ['join as a user', { actions: ['*'], roles: ['*'] }, 'node:join', null, 'registers with a join token'],
    ['join by a family', { actions: ['node:*'] }, 'node:join', null, 'registers with a join token'],
    ['read jobs as a joiner', { kind: 'join', actions: ['*'], roles: ['*'] }, 'job:read', 'eng', 'join token'],
    ['read jobs as a node', { kind: 'node', actions: ['*'], roles: ['*'] }, 'job:read', 'eng', "node's token"],
    ['read jobs as a peer', { kind: 'peer', actions: ['*'], roles: ['*'] }, 'job:read', 'eng', "peer's token"],
    ['join as a node', { kind: 'node', actions: ['*'] }, 'node:join', null, "node's token"],
  ])('%s', (_name, change, action, role, why) => {
    expect(authorize(user(change), action, role)).toEqual({ allowed: false, why: expect.stringContaining(why) });
  });
});

describe('passing rights on', () => {
  const lead = user({ actions: ['token:create', 'job:*', 'job:devices', 'node:read'], roles: ['eng'] });

  it.each([
    ['less', { actions: ['job:read'], roles: ['eng/ml'] }],
    ['the same', { actions: ['job:*', 'job:devices'], roles: ['eng'] }],
    ['nothing', { actions: [], roles: [] }],
  ])('%s is fine', (_name, request) => {
    expect(canDelegate(lead, { kind: 'user', ...request })).toEqual({ allowed: true });
  });

  it.each([
    ['an action that is not held', { actions: ['task:read'], roles: ['eng'] }, 'action "task:read"'],
    ['a family of which one is held', { actions: ['node:*'], roles: ['eng'] }, 'action "node:*"'],
    ['everything', { actions: ['*'], roles: ['eng'] }, 'action "*"'],
    ['a danger that the family does not hold', { actions: ['job:privileged'], roles: ['eng'] }, 'job:privileged'],
    ['a wider role', { actions: ['job:read'], roles: ['*'] }, 'role "*"'],
    ['another role', { actions: ['job:read'], roles: ['eng', 'ops'] }, 'role "ops"'],
  ])('%s is not', (_name, request, why) => {
    const verdict = canDelegate(lead, { kind: 'user', ...request });
    expect(verdict).toEqual({ allowed: false, why: expect.stringContaining(why) });
  });

  it('takes the right to make tokens, and another one for join tokens', () => {
    expect(canDelegate(user(), { kind: 'user', actions: [], roles: [] }).allowed).toBe(false);
    expect(canDelegate(lead, { kind: 'join', actions: [], roles: [] }).allowed).toBe(false);
    const admitting = user({ actions: ['token:create', 'node:admit'] });
    expect(canDelegate(admitting, { kind: 'join', actions: [], roles: [] }).allowed).toBe(true);
  });

  it("holds for each action in each role: grants don't add up", () => {
    const apart: Principal = {
      ...lead,
      grants: [
        { roles: ['eng'], actions: ['token:create', 'job:write'] },
        { roles: ['ops'], actions: ['job:read'] },
      ],
    };
    const pass = (roles: string[], actions: string[]) => canDelegate(apart, { kind: 'user', roles, actions });
    expect(pass(['eng'], ['job:write'])).toEqual({ allowed: true });
    expect(pass(['ops'], ['job:read'])).toEqual({ allowed: true });
    expect(pass(['ops'], ['job:write'])).toEqual({
      allowed: false,
      why: '"ci" doesn\'t hold the action "job:write" in the role "ops" and can\'t pass it on',
    });
    expect(authorize(apart, 'job:read', 'eng')).toMatchObject({ allowed: false });
    expect(authorize(apart, 'job:read', 'ops')).toEqual({ allowed: true });
    expect(authorize(apart, 'job:write', 'ops')).toMatchObject({ why: expect.stringContaining('it reaches eng') });
  });

  it('never widens: whatever a delegate may do, the one who delegated may do', () => {
    const roles = fc.uniqueArray(fc.constantFrom('*', 'eng', 'eng/ml', 'ops', 'engine'), { maxLength: 3 });
    const actions = fc.uniqueArray(fc.constantFrom(...ACTION_PATTERNS), { maxLength: 5 });
    const grant = fc.record({ roles, actions });
    fc.assert(
      fc.property(grant, grant, (held, wanted) => {
        const giver = user({ roles: held.roles, actions: ['token:create', ...held.actions] });
        fc.pre(canDelegate(giver, { kind: 'user', ...wanted }).allowed);
        for (const action of ACTIONS) {
          for (const role of [null, 'eng', 'eng/ml', 'ops', 'engine', 'else']) {
            if (!authorize(user(wanted), action, role).allowed) continue;
            expect(authorize(giver, action, role)).toEqual({ allowed: true });
          }
        }
      }),
    );
  });
});
