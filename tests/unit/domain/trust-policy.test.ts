import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  type ClaimMatcher,
  type Claims,
  isCatchAll,
  judgeRule,
  ruleHolds,
} from '../../../shared/domain/trust-policy.ts';

const GITHUB = 'https://token.actions.githubusercontent.com';
const GITLAB = 'https://gitlab.com';
const OTHER = 'https://login.example.com';

describe('what a rule wants of a claim', () => {
  it.each<[string, ClaimMatcher, unknown, boolean]>([
    ['a text', ['main'], 'main', true],
    ['one of some texts', ['push', 'schedule'], 'schedule', true],
    ['a text, where there is a longer one', ['main'], 'main2', false],
    ['a text, where there is one in another case', ['acme'], 'Acme', false],
    ['a text, where there is a look-alike', ['acme'], '\u0430cme', false],
    ['a text, where there is the same with a mark more', ['acme'], 'acme\u200b', false],
    ['a number as a text', ['42'], 42, true],
    ['a boolean as a text', ['true'], true, true],
    ['the text of a boolean', ['true'], 'true', true],
    ['a number, where there is another', ['42'], 420, false],
    ['a number that is too large to be told from its neighbours', ['9007199254740992'], 2 ** 53, false],
    ['a member of a list', ['ml'], ['web', 'ml'], true],
    ['a member of a list of numbers', ['7'], [5, 7], true],
    ['a member of an empty list', ['ml'], [], false],
    ['a text, where there is an object', ['ml'], { ml: 'ml' }, false],
    ['a text, where there is null', ['null'], null, false],
    ['a pattern', { pattern: 'refs/heads/release-[0-9]+' }, 'refs/heads/release-12', true],
    ['a pattern, of which only the middle is', { pattern: 'main' }, 'domain-1', false],
    ['a pattern, of which only the beginning is', { pattern: 'refs/heads/main' }, 'refs/heads/main-evil', false],
    ['a pattern with alternatives, of which only the end is', { pattern: 'a|b' }, 'xb', false],
    ['a pattern, of which only the first line is', { pattern: 'main' }, 'main\nevil', false],
    ['a pattern that can not be read', { pattern: '(' }, '(', false],
    ['nothing that is there', ['x'], undefined, false],
  ])('%s', (_name, matcher, value, holds) => {
    const rule = { claims: { claim: matcher } };
    const claims = value === undefined ? {} : { claim: value };
    expect(ruleHolds(rule, claims)).toBe(holds);
    expect(judgeRule(rule, claims).map((verdict) => verdict.holds)).toEqual([holds]);
  });

  it.each<[string, Claims, boolean]>([
    ['/realm_access/roles', { realm_access: { roles: ['admin'] } }, true],
    ['/realm_access/roles', { realm_access: { roles: ['user'] } }, false],
    ['/realm_access/roles', { 'realm_access/roles': 'admin' }, false],
    ['/kubernetes.io/namespace', { 'kubernetes.io': { namespace: 'admin' } }, true],
    ['/a~1b/c~0d', { 'a/b': { 'c~d': 'admin' } }, true],
    ['https://acme.example/team', { 'https://acme.example/team': 'admin' }, true],
    ['/list/0', { list: ['admin'] }, false],
    ['/gone/below', {}, false],
  ])('is found at %s', (name, claims, holds) => {
    expect(ruleHolds({ claims: { [name]: ['admin'] } }, claims)).toBe(holds);
  });

  it.each(['constructor', '__proto__', '/constructor/name', 'toString'])(
    'is nothing that objects inherit: %s',
    (name) => {
      expect(ruleHolds({ claims: { [name]: { pattern: '(?s:.*)' } } }, {})).toBe(false);
    },
  );

  it('is said, for those who may read it', () => {
    const claims = { ref: ['refs/heads/main'], event_name: ['push', 'schedule'], id: { pattern: '[0-9]+' } };
    expect(judgeRule({ claims }, { ref: 'refs/heads/x', id: 7 })).toEqual([
      { claim: 'ref', holds: false, why: 'is "refs/heads/x", and it has to be "refs/heads/main"' },
      { claim: 'event_name', holds: false, why: 'is not in the token, and it has to be one of "push", "schedule"' },
      { claim: 'id', holds: true, why: 'is 7, as it has to be of the pattern "[0-9]+"' },
    ]);
  });
});

const anyClaims = fc.dictionary(
  fc.constantFrom('a', 'b', 'c'),
  fc.oneof(
    fc.string({ maxLength: 3 }),
    fc.integer({ min: 0, max: 9 }),
    fc.boolean(),
    fc.array(fc.constantFrom('x', 'y')),
  ),
);
const anyMatcher: fc.Arbitrary<ClaimMatcher> = fc.oneof(
  fc.array(fc.constantFrom('x', 'y', '1', 'true'), { minLength: 1, maxLength: 3 }),
  fc.constantFrom('x|y', '[0-9]', '.*').map((pattern) => ({ pattern })),
);
const anyRule = fc.dictionary(fc.constantFrom('a', 'b', 'c'), anyMatcher);

test('a rule that wants more never holds for more', () => {
  fc.assert(
    fc.property(anyRule, anyRule, anyClaims, (some, more, claims) => {
      if (ruleHolds({ claims: { ...more, ...some } }, claims)) expect(ruleHolds({ claims: some }, claims)).toBe(true);
    }),
  );
});

test('a rule holds exactly where each of its claims does', () => {
  fc.assert(
    fc.property(anyRule, anyClaims, (rule, claims) => {
      const verdicts = judgeRule({ claims: rule }, claims);
      expect(ruleHolds({ claims: rule }, claims)).toBe(verdicts.every(({ holds }) => holds));
    }),
  );
});

describe('a rule that would let in whoever its issuer knows', () => {
  it.each<[string, string, Record<string, ClaimMatcher>]>([
    ['names no claim', OTHER, {}],
    ['names what every token has', OTHER, { iss: [OTHER], aud: ['berth'], jti: { pattern: '.*' } }],
    ['takes every subject', OTHER, { sub: { pattern: '.*' } }],
    ['takes every subject that there can be', OTHER, { sub: { pattern: '(?s:.+)' } }],
    ['names what strangers have as well', GITHUB, { ref: ['refs/heads/main'], event_name: ['push'] }],
    ['takes every repository', GITHUB, { sub: { pattern: 'repo:.*' } }],
    ['takes every repository on one branch', GITHUB, { sub: { pattern: 'repo:[^:]+:ref:refs/heads/main' } }],
    ['takes every repository by its id', GITHUB, { repository_id: { pattern: '[0-9]+' } }],
    ['takes every owner', GITHUB, { repository: { pattern: '[^/]+/.*' } }],
    ['takes every protected branch', GITLAB, { ref_protected: ['true'], ref: ['main'] }],
    ['takes every project', GITLAB, { sub: { pattern: 'project_path:.*' } }],
  ])('%s', (_name, issuer, claims) => {
    expect(isCatchAll(issuer, { claims })).toBe(true);
  });

  it.each<[string, string, Record<string, ClaimMatcher>]>([
    ['names a subject', OTHER, { sub: ['alice'] }],
    ['names a group', OTHER, { groups: ['ops'] }],
    ['names a part of the subjects', OTHER, { sub: { pattern: 'spiffe://acme/.*' } }],
    ['names a repository', GITHUB, { repository_id: ['1234'] }],
    ['names an owner', GITHUB, { repository_owner_id: ['12'], event_name: { pattern: '.*' } }],
    ['names a repository in the subject', GITHUB, { sub: { pattern: 'repo:acme/app:.*' } }],
    ['names a project', GITLAB, { project_id: ['22'] }],
    ['names projects of a group', GITLAB, { project_path: { pattern: 'acme/.*' } }],
  ])('is not one that %s', (_name, issuer, claims) => {
    expect(isCatchAll(issuer, { claims })).toBe(false);
  });
});
