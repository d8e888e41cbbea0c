import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACTION_PATTERNS,
  ACTIONS,
  type Action,
  actsFor,
  admits,
  authorize,
  canDelegate,
  DANGEROUS_ACTIONS,
  holdsAction,
  isCalled,
  isJoining,
  isProgram,
  mayEverything,
  mayRegister,
  nodeOf,
} from '../../../control-plane/auth/policy.ts';
import type { Grant, Principal } from '../../../control-plane/auth/principal.ts';
import { type GrantResource, namesResource, RESOURCE_PATTERN } from '../../../shared/domain/grant-resource.ts';

type Change = Partial<Pick<Principal, 'kind' | 'node'> & Grant>;

function user({ roles = ['eng'], actions = ['job:*'], resources, ...change }: Change = {}): Principal {
  return { kind: 'user', subject: 'ci', tokenId: 't', grants: [{ roles, actions, resources }], node: null, ...change };
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

describe('a grant that is narrowed to certain things', () => {
  const web: GrantResource = { kind: 'job', name: 'web' };
  const narrowed = (...resources: string[]) => user({ actions: ['*'], roles: ['eng'], resources });

  it.each<[string, readonly string[], GrantResource | null]>([
    ['the thing itself', ['job/web'], web],
    ['one of several', ['job/api', 'job/web'], web],
    ['what begins so', ['job/we*'], web],
    ['all of the kind', ['job/*'], web],
    ['a name that ends where the star begins', ['job/web*'], web],
  ])('reaches %s', (_name, resources, resource) => {
    expect(authorize(narrowed(...resources), 'job:write', 'eng', resource)).toEqual({ allowed: true });
  });

  it.each<[string, readonly string[], Action, string | null, GrantResource | null]>([
    ['another thing', ['job/api'], 'job:write', 'eng', web],
    ['what only begins so', ['job/we'], 'job:write', 'eng', web],
    ['what only ends so', ['job/eb'], 'job:write', 'eng', web],
    ['another kind of that name', ['framework/web'], 'job:write', 'eng', web],
    ['the same in another role', ['job/web'], 'job:write', 'ops', web],
    ['no certain thing', ['job/*'], 'job:read', 'eng', null],
    ['what is of no role', ['job/*'], 'node:write', null, null],
    ['what the whole cluster is of', ['job/*'], 'settings:write', null, null],
    ['the making of tokens', ['job/*'], 'token:create', null, null],
  ])('does not reach %s', (_name, resources, action, role, resource) => {
    expect(authorize(narrowed(...resources), action, role, resource)).toMatchObject({ allowed: false });
  });

  it('is told in the refusal', () => {
    const refused = authorize(narrowed('job/web', 'job/ci-*'), 'job:write', 'eng', { kind: 'job', name: 'api' });
    expect(refused).toMatchObject({ why: 'the token of "ci" allows job:write only for job/web, job/ci-*' });
  });

  it('is no right to everything', () => {
    expect(mayEverything(user({ actions: ['*'], roles: ['*'] }))).toBe(true);
    expect(mayEverything(user({ actions: ['*'], roles: ['*'], resources: ['job/*'] }))).toBe(false);
    expect(mayEverything(user({ kind: 'node', actions: ['*'], roles: ['*'] }))).toBe(false);
  });

  it('is passed on no wider', () => {
    const lead: Principal = {
      ...user(),
      grants: [
        { roles: ['eng'], actions: ['token:create'] },
        { roles: ['eng'], actions: ['job:*'], resources: ['job/ci-*', 'job/web'] },
      ],
    };
    const pass = (resources: string[] | undefined, actions = ['job:write']) =>
      canDelegate(lead, { kind: 'user', roles: ['eng'], actions, resources });
    expect(pass(['job/ci-nightly', 'job/web'])).toEqual({ allowed: true });
    expect(pass(['job/ci-n*'])).toEqual({ allowed: true });
    expect(pass(['job/ci*'])).toMatchObject({ why: expect.stringContaining('for "job/ci*"') });
    expect(pass(['job/*'])).toMatchObject({ allowed: false });
    expect(pass(undefined)).toMatchObject({ why: expect.stringContaining('for everything there is') });
    expect(pass(undefined, ['token:create'])).toEqual({ allowed: true });
  });

  it.each(['job/web', 'job/*', 'job/ci-*', 'framework/My own (2)', 'reservation/r1', 'volume/v-1'])(
    '%s is one',
    (text) => {
      expect(text).toMatch(RESOURCE_PATTERN);
    },
  );

  it.each([
    '',
    '*',
    'job',
    'job/',
    'jobs/web',
    'job/*web',
    'job/a*b',
    'job/**',
    'node/a',
    ' job/web',
    'job/\u0000',
    'job/ci-*\n',
  ])('%j is none', (text) => {
    expect(text).not.toMatch(RESOURCE_PATTERN);
  });
});

describe('laws', () => {
  const roles = fc.uniqueArray(fc.constantFrom('*', 'eng', 'eng/ml', 'ops', 'engine'), { maxLength: 3 });
  const actions = fc.uniqueArray(fc.constantFrom(...ACTION_PATTERNS), { maxLength: 5 });
  const patterns = fc.uniqueArray(fc.constantFrom('job/*', 'job/a*', 'job/ab', 'job/b', 'framework/ab', 'volume/*'), {
    minLength: 1,
    maxLength: 3,
  });
  const resources = fc.option(patterns, { nil: undefined });
  const grant = fc.record({ roles, actions, resources });
  const asked = fc.record({
    action: fc.constantFrom(...ACTIONS),
    role: fc.constantFrom(null, 'eng', 'eng/ml', 'ops', 'engine', 'else'),
    resource: fc.constantFrom<(GrantResource | null)[]>(
      null,
      { kind: 'job', name: 'ab' },
      { kind: 'job', name: 'b' },
      { kind: 'framework', name: 'ab' },
      { kind: 'volume', name: 'v' },
    ),
  });
  const may = (
    grants: readonly Grant[],
    { action, role, resource }: typeof asked extends fc.Arbitrary<infer A> ? A : never,
  ) => authorize({ ...user(), grants }, action, role, resource).allowed;

  it('more grants never allow less', () => {
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 3 }), grant, asked, (some, more, what) => {
        if (may(some, what)) expect(may([...some, more], what)).toBe(true);
      }),
    );
  });

  it("grants don't add up: what several allow, one of them allows", () => {
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 3 }), asked, (some, what) => {
        expect(may(some, what)).toBe(some.some((one) => may([one], what)));
      }),
    );
  });

  it('to narrow never widens', () => {
    fc.assert(
      fc.property(grant, patterns, asked, (one, to, what) => {
        if (!may([{ ...one, resources: to }], what)) return;
        expect(may([{ ...one, resources: undefined }], what)).toBe(true);
        expect(what.resource).not.toBeNull();
      }),
    );
  });

  it('roles cover by whole segments', () => {
    fc.assert(
      fc.property(fc.constantFrom('eng', 'en', 'engi', 'eng/m', 'eng/ml'), asked, (role, what) => {
        fc.pre(what.role !== null);
        const isWithin = what.role === role || what.role?.startsWith(`${role}/`);
        expect(may([{ roles: [role], actions: ['*'] }], what)).toBe(isWithin);
      }),
    );
  });

  it('a delegate may do nothing that the one who delegated may not', () => {
    const request = fc.record({ roles, actions, resources });
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 3 }), request, asked, (held, wanted, what) => {
        const giver = { ...user(), grants: [...held, { roles: ['eng'], actions: ['token:create'] }] };
        fc.pre(canDelegate(giver, { kind: 'user', ...wanted }).allowed);
        if (may([wanted], what)) expect(may(giver.grants, what)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('whoever may do it to something holds the action, and whoever holds it may do it to something', () => {
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 3 }), asked, (held, what) => {
        const holds = holdsAction({ ...user(), grants: held }, what.action).allowed;
        if (may(held, what)) expect(holds).toBe(true);
        const anywhere = held.some((one) =>
          may([{ ...one, resources: undefined }], { ...what, role: null, resource: null }),
        );
        expect(holds).toBe(anywhere);
      }),
    );
  });

  it('a pattern names what it covers', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(name, name, fc.boolean(), (pattern, of, isOpen) => {
        const names = isOpen ? of.startsWith(pattern) : of === pattern;
        expect(namesResource(`job/${pattern}${isOpen ? '*' : ''}`, { kind: 'job', name: of })).toBe(names);
      }),
    );
  });
});

describe('kinds of callers', () => {
  const kinds = ['user', 'join', 'node', 'peer'] as const;
  const of = (kind: Principal['kind'], change: Partial<Principal> = {}): Principal => ({ ...user(), kind, ...change });

  it.each(kinds)('an endpoint for %s is for no others', (wanted) => {
    for (const kind of kinds) expect(admits([wanted], of(kind)).allowed).toBe(kind === wanted);
  });

  it('register nodes with a join token, and the node itself', () => {
    const node = of('node', { subject: 'a', node: 'a' });
    expect(mayRegister(of('join'), 'b')).toEqual({ allowed: true });
    expect(mayRegister(node, 'a')).toEqual({ allowed: true });
    expect(mayRegister(node, 'b')).toMatchObject({ why: expect.stringContaining(`can't register node "b"`) });
    for (const kind of ['user', 'peer'] as const) expect(mayRegister(of(kind, { node: 'a' }), 'a').allowed).toBe(false);
    expect(kinds.filter((kind) => isJoining(of(kind)))).toEqual(['join']);
    expect(kinds.filter((kind) => isProgram(of(kind)))).toEqual(['node', 'peer']);
  });

  it('only a node is one, whatever else a token says', () => {
    expect(kinds.map((kind) => nodeOf(of(kind, { node: 'a' })))).toEqual([null, null, 'a', null]);
  });

  it('go by the name of a user only as users', () => {
    expect(kinds.filter((kind) => isCalled(of(kind), 'ci'))).toEqual(['user']);
    expect(actsFor(user(), 'ci')).toBe(true);
    expect(actsFor(user(), 'else')).toBe(false);
    expect(actsFor(user({ actions: ['*'], roles: ['*'] }), 'else')).toBe(true);
  });
});

describe('the README', () => {
  it('says of every action what it lets its bearer do, and which are dangers', () => {
    const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `([a-z]+:[a-z-]+)`( !)? \| \S/gm)];
    expect(rows.map(([, action]) => action).sort()).toEqual([...ACTIONS].sort());
    const marked = rows.flatMap(([, action, mark]) => (mark === undefined ? [] : [action]));
    expect(marked.sort()).toEqual([...DANGEROUS_ACTIONS].sort());
  });
});
