/** What several trusts bring together, and what is left of it when less is wished for. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { outsideIssuerSchema } from '../../../control-plane/auth/outside-issuer.ts';
import { authorize } from '../../../control-plane/auth/policy.ts';
import type { Grant, Principal } from '../../../control-plane/auth/principal.ts';
import {
  judgeTrusts,
  narrowGrants,
  trustOfIssuer,
  trustOfPolicy,
  type Wish,
} from '../../../control-plane/auth/trust.ts';
import { aPolicy, aTrustRule } from '../../support/builders.ts';

describe('what policies bring', () => {
  it('is a grant of its own for each rule that holds', () => {
    const rules = [
      aTrustRule({ claims: { ref: ['main'] }, roles: ['prod'], actions: ['job:read'] }),
      aTrustRule({ claims: { id: ['7'] }, roles: ['test'], actions: ['job:*'] }),
      aTrustRule({ claims: { id: ['8'] }, roles: ['*'], actions: ['*'] }),
    ];
    expect(judgeTrusts([trustOfPolicy(aPolicy({ rules }))], { ref: 'main', id: 7 }).grants).toEqual([
      { roles: ['prod'], actions: ['job:read'] },
      { roles: ['test'], actions: ['job:*'] },
    ]);
  });

  it('is the same grant once, for the shortest time of those that bring any', () => {
    const holding = aTrustRule({ claims: { id: ['7'] } });
    const policies = [
      aPolicy({ name: 'a', ttlSecondsMax: 1800, rules: [holding] }),
      aPolicy({ name: 'b', ttlSecondsMax: 600, singleUse: true, rules: [holding] }),
      aPolicy({ name: 'c', ttlSecondsMax: 60, rules: [aTrustRule({ claims: { id: ['8'] } })] }),
    ];
    const judged = (count: number) => judgeTrusts(policies.slice(0, count).map(trustOfPolicy), { id: '7' });
    expect(judged(3)).toMatchObject({ ttlSecondsMax: 600, singleUse: true, grants: [{ roles: ['ci'] }] });
    expect(judged(1)).toMatchObject({ ttlSecondsMax: 1800, singleUse: false });
  });

  it('is nothing where no rule holds', () => {
    expect(judgeTrusts([trustOfPolicy(aPolicy())], {})).toMatchObject({ grants: [], singleUse: false });
  });

  it('is the same as at a request where a replica trusts an issuer by itself', () => {
    const issuer = outsideIssuerSchema.parse({
      issuer: 'https://ci.example.com',
      rules: [{ claims: { repository: 'acme/*' }, roles: ['ci'], actions: ['job:read'] }],
    });
    const { grants } = judgeTrusts([trustOfIssuer(issuer)], { repository: 'acme/app' });
    expect(grants).toEqual([{ roles: ['ci'], actions: ['job:read'] }]);
  });
});

describe('a wish for less', () => {
  const held: readonly Grant[] = [
    { roles: ['eng'], actions: ['job:*', 'logs:read'] },
    { roles: ['ops'], actions: ['job:read'] },
  ];

  it.each<[Wish, readonly Grant[] | string]>([
    [{}, held],
    [{ roles: ['eng/ml'] }, [{ roles: ['eng/ml'], actions: ['job:*', 'logs:read'] }]],
    [
      { actions: ['job:read'] },
      [
        { roles: ['eng'], actions: ['job:read'] },
        { roles: ['ops'], actions: ['job:read'] },
      ],
    ],
    [{ roles: ['eng'], actions: ['job:write'] }, [{ roles: ['eng'], actions: ['job:write'] }]],
    [{ roles: ['ops'], actions: ['job:write'] }, 'the action "job:write" in the role "ops"'],
    [{ roles: ['sales'] }, 'the role "sales"'],
    [{ roles: ['*'] }, 'the role "*"'],
    [{ actions: ['*'] }, 'the action "*"'],
    [{ actions: ['job:privileged'] }, 'the action "job:privileged"'],
  ])('%j', (wish, expected) => {
    expect(narrowGrants(held, wish)).toEqual(expected);
  });
});

const role = fc.constantFrom('*', 'eng', 'eng/ml', 'ops');
const action = fc.constantFrom('*', 'job:*', 'job:read', 'job:write', 'job:privileged', 'logs:read');
const grants = fc.array(
  fc.record({ roles: fc.array(role, { maxLength: 3 }), actions: fc.array(action, { maxLength: 3 }) }),
  { maxLength: 3 },
);
const wishes = fc.record({
  roles: fc.option(fc.array(role, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  actions: fc.option(fc.array(action, { minLength: 1, maxLength: 3 }), { nil: undefined }),
});

test('what is narrowed never allows what the whole did not', () => {
  const as = (held: readonly Grant[]): Principal => ({
    kind: 'user',
    subject: 's',
    tokenId: 't',
    grants: held,
    node: null,
  });
  fc.assert(
    fc.property(grants, wishes, (held, wish) => {
      const narrowed = narrowGrants(held, wish);
      if (typeof narrowed === 'string') return;
      for (const asked of ['job:read', 'job:write', 'job:privileged', 'logs:read'] as const) {
        for (const within of ['eng', 'eng/ml', 'ops', 'sales', null]) {
          if (!authorize(as(narrowed), asked, within).allowed) continue;
          expect(authorize(as(held), asked, within).allowed).toBe(true);
        }
      }
    }),
  );
});
