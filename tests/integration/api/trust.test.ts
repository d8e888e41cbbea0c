/** Trust policies over the API, and what is exchanged by them. */
import { generateKeyPair } from 'jose';
import { HttpResponse, http } from 'msw';
import { setupServer } from 'msw/node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outsideIssuerSchema } from '../../../control-plane/auth/outside-issuer.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { FakeIssuer } from '../../support/outside-issuer.ts';
import { caughtUp } from '../../support/replica.ts';

const ISSUER = 'https://ci.example.com';
const FILE_ISSUER = 'https://file.example.com';
const AUDIENCE = 'https://berth.example.com';
const server = setupServer();

let clock: ManualClock;
let issuer: FakeIssuer;
let berth: TestApi;

beforeAll(() => server.listen({ onUnhandledFrame: 'error' }));
afterAll(() => server.close());
beforeEach(async () => {
  clock = new ManualClock();
  issuer = await FakeIssuer.create(ISSUER, () => clock.now());
  server.use(...issuer.handlers);
  const rules = [{ claims: { team: 'ops' }, roles: ['ops'], actions: ['job:read'] }];
  berth = await startApi({
    clock,
    outside: [outsideIssuerSchema.parse({ issuer: FILE_ISSUER, audience: AUDIENCE, rules })],
  });
});
afterEach(() => {
  server.resetHandlers();
  berth.stop();
});

const MAIN = {
  claims: { repository_id: 1234, ref: 'refs/heads/main' },
  roles: ['prod'],
  actions: ['job:*', 'logs:read'],
};
const ANY_REF = { claims: { repository_id: '1234' }, roles: ['test'], actions: ['job:*'] };

function policy(change: object = {}) {
  return { issuer: ISSUER, audience: AUDIENCE, rules: [MAIN, ANY_REF], ...change };
}

async function put(name: string, json: unknown, options: { token?: string; headers?: Record<string, string> } = {}) {
  const response = await berth.send('PUT', `/v1/policies/${name}`, { json, ...options });
  await caughtUp(berth.replica.ctx);
  return response;
}

async function exchange(token: string, more: object = {}): Promise<Response> {
  return berth.send('POST', '/v1/auth/exchange', { token: null, json: { token, ...more } });
}

const OF_MAIN = { repository_id: '1234', ref: 'refs/heads/main' };

describe('a trust policy', () => {
  it('is set, read, listed, changed and removed, by its versions', async () => {
    const made = await put('ci', policy(), { headers: { 'If-None-Match': '*' } });
    expect(made.status).toBe(201);
    const view = await made.json();
    expect(view).toMatchObject({
      name: 'ci',
      algorithms: ['RS256'],
      jwksUri: null,
      ttlSecondsMax: 3600,
      singleUse: false,
      updatedBy: 'admin',
      rules: [{ name: null, claims: { repository_id: ['1234'], ref: ['refs/heads/main'] } }, { roles: ['test'] }],
    });
    const etag = made.headers.get('etag');
    const read = await berth.send('GET', '/v1/policies/ci');
    expect([read.headers.get('etag'), await read.json()]).toEqual([etag, view]);
    expect((await put('ci', policy(), { headers: { 'If-None-Match': '*' } })).status).toBe(409);
    const same = await put('ci', policy());
    expect([same.status, same.headers.get('etag')]).toEqual([200, etag]);
    const changed = await put('ci', policy({ rules: [MAIN] }), { headers: { 'If-Match': `${etag}` } });
    expect(changed.status).toBe(200);
    expect((await put('ci', policy(), { headers: { 'If-Match': `${etag}` } })).status).toBe(412);
    expect(await (await berth.send('GET', '/v1/policies')).json()).toMatchObject({
      items: [{ name: 'ci' }],
      next: null,
    });
    expect((await berth.send('DELETE', '/v1/policies/ci', { headers: { 'If-Match': `${etag}` } })).status).toBe(412);
    expect((await berth.send('DELETE', '/v1/policies/ci')).status).toBe(200);
    await caughtUp(berth.replica.ctx);
    expect((await berth.send('GET', '/v1/policies/ci')).status).toBe(404);
    expect((await berth.send('DELETE', '/v1/policies/ci')).status).toBe(404);
  });

  it.each<[string, object, string, string]>([
    ['an issuer over plain HTTP', { issuer: 'http://ci.example.com' }, '/issuer', 'must be an https URL'],
    ['an issuer on this machine', { issuer: 'http://127.0.0.1' }, '/issuer', 'must be an https URL'],
    ['an issuer with a query', { issuer: `${ISSUER}?x=1` }, '/issuer', 'must be without user, query and fragment'],
    ['keys over plain HTTP', { jwksUri: 'http://localhost/keys' }, '/jwksUri', 'must be an https URL'],
    ['no audience', { audience: undefined }, '/audience', 'is required'],
    ['two audiences', { audience: ['a', 'b'] }, '/audience', ''],
    ['a shared secret', { algorithms: ['HS256'] }, '/algorithms/0', ''],
    ['a client that tokens are not for', { clientId: 'cli' }, '/audience', 'must be the clientId'],
    ['tokens for a day', { ttlSecondsMax: 86_400 }, '/ttlSecondsMax', ''],
    ['no rule', { rules: [] }, '/rules', ''],
    [
      'a pattern that is none',
      { rules: [{ ...MAIN, claims: { ref: { pattern: '(' } } }] },
      '/rules/0/claims/ref/pattern',
      'RE2',
    ],
    [
      'a pattern beyond its size',
      { rules: [{ ...MAIN, claims: { ref: { pattern: '(a{99}){9}' } } }] },
      '/rules/0/claims/ref/pattern',
      'too large',
    ],
    ['a claim that is an object', { rules: [{ ...MAIN, claims: { ref: { is: 'x' } } }] }, '/rules/0/claims/ref', ''],
    ['an id that is no whole number', { rules: [{ ...MAIN, claims: { id: 1.5 } }] }, '/rules/0/claims/id', ''],
    [
      'an action that there is not',
      { rules: [{ ...MAIN, actions: ['job:fly'] }] },
      '/rules/0/actions/0',
      '"job:fly" is not an action',
    ],
    ['a rule for everybody', { rules: [MAIN, { ...MAIN, claims: {} }] }, '/rules/1/claims', 'allowAnySubject'],
    [
      'a rule for every subject',
      { rules: [{ ...MAIN, claims: { sub: { pattern: '.*' } } }] },
      '/rules/0/claims',
      'whoever',
    ],
    ['a field that there is not', { audiense: 'x' }, '/audiense', 'did you mean "audience"?'],
  ])('with %s is refused, with its place', async (_name, change, path, message) => {
    const response = await put('ci', policy(change));
    expect(response.status).toBe(400);
    const { faults } = (await response.json()) as { faults: { path: string; message: string }[] };
    expect(faults).toContainEqual({ path, message: expect.stringContaining(message) });
    expect((await berth.send('GET', '/v1/policies/ci')).status).toBe(404);
  });

  it('for everybody can be meant', async () => {
    expect((await put('ci', policy({ rules: [{ ...MAIN, claims: {}, allowAnySubject: true }] }))).status).toBe(201);
  });

  it('brings no more than its writer holds', async () => {
    const writer = await berth.token({ subject: 'lead', roles: ['prod'], actions: ['policy:*', 'job:read'] });
    const response = await put('ci', policy(), { token: writer });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      detail: expect.stringContaining('"job:*" and can\'t pass it on by the rule /rules/0'),
    });
    const elsewhere = { ...MAIN, roles: ['other'], actions: ['job:read'] };
    expect((await put('ci', policy({ rules: [elsewhere] }), { token: writer })).status).toBe(403);
    const within = { ...MAIN, roles: ['prod/web'], actions: ['job:read'] };
    expect((await put('ci', policy({ rules: [within] }), { token: writer })).status).toBe(201);
  });

  it('takes a right of its own to read and to write', async () => {
    const other = await berth.token({ actions: ['job:*', 'token:create', 'settings:*'] });
    const reader = await berth.token({ actions: ['policy:read'] });
    expect((await put('ci', policy(), { token: other })).status).toBe(403);
    expect((await put('ci', policy(), { token: reader })).status).toBe(403);
    for (const path of ['/v1/policies', '/v1/policies/ci']) {
      expect((await berth.send('GET', path, { token: other })).status).toBe(403);
    }
    expect((await berth.send('DELETE', '/v1/policies/ci', { token: reader })).status).toBe(403);
    expect((await berth.send('GET', '/v1/policies', { token: reader })).status).toBe(200);
  });

  it("agrees with others on where its issuer's keys are", async () => {
    await put('ci', policy());
    const response = await put('mine', policy({ jwksUri: 'https://evil.example.com/keys' }));
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ faults: [{ path: '/jwksUri' }] });
  });
});

describe('a token of an outside issuer', () => {
  it('is exchanged for one that allows what the rules say that hold, for a quarter of an hour', async () => {
    await put('ci', policy());
    const response = await exchange(await issuer.token({ claims: OF_MAIN }));
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { token, ...exchanged } = (await response.json()) as { token: string; id: string };
    expect(exchanged).toMatchObject({
      subject: `${ISSUER}#repo:acme/app:ref:refs/heads/main`,
      grants: [
        { roles: ['prod'], actions: ['job:*', 'logs:read'] },
        { roles: ['test'], actions: ['job:*'] },
      ],
      expiresAt: new Date(Math.floor(clock.now() / 1000) * 1000 + 900_000).toISOString(),
    });
    expect((await berth.send('GET', '/v1/jobs?role=prod', { token })).status).toBe(200);
    expect((await berth.send('GET', '/v1/policies', { token })).status).toBe(403);
    const who = await (await berth.send('GET', '/v1/auth/whoami', { token })).json();
    const { id: tokenId, ...same } = exchanged;
    expect(who).toMatchObject({ kind: 'user', ...same, tokenId, node: null });
  });

  it('brings what holds for it and no more', async () => {
    await put('ci', policy());
    const response = await exchange(await issuer.token({ claims: { ...OF_MAIN, ref: 'refs/heads/main2' } }));
    expect(await response.json()).toMatchObject({ grants: [{ roles: ['test'], actions: ['job:*'] }] });
  });

  it('leaves on record who was given what', async () => {
    await put('ci', policy());
    const jti = 7;
    const { id } = await (await exchange(await issuer.token({ claims: { ...OF_MAIN, jti } }))).json();
    await caughtUp(berth.replica.ctx);
    const { items } = await (await berth.send('GET', '/v1/audit')).json();
    const told = JSON.stringify(items);
    expect(told).toContain(`"${id}"`);
    expect(told).toContain('POST /v1/auth/exchange');
    expect(told).toContain(`${ISSUER}#repo:acme/app:ref:refs/heads/main`);
    expect(told).toContain('"policy"');
  });

  it('is told only that nothing is granted where no rule holds', async () => {
    await put('ci', policy());
    const response = await exchange(await issuer.token({ claims: { ...OF_MAIN, repository_id: '666' } }));
    expect(response.status).toBe(403);
    const { detail } = (await response.json()) as { detail: string };
    expect(detail).toContain('"https://ci.example.com#repo:acme/app:ref:refs/heads/main"');
    for (const secret of ['1234', 'repository_id', 'prod', '"ci"']) expect(detail).not.toContain(secret);
  });

  it.each<[string, () => Promise<string>, string]>([
    [
      'of another issuer',
      async () => (await FakeIssuer.create('https://else.example.com', () => clock.now())).token(),
      'not trusted here',
    ],
    [
      'of a stranger in the name of the issuer',
      async () => issuer.token({ claims: OF_MAIN, signer: await generateKeyPair('RS256') }),
      'signature is not valid',
    ],
    [
      'for another audience',
      () => issuer.token({ claims: { ...OF_MAIN, aud: 'sts.amazonaws.com' } }),
      'for another audience',
    ],
    [
      'for another audience as well',
      () => issuer.token({ claims: { ...OF_MAIN, aud: [AUDIENCE, 'sts.amazonaws.com'] } }),
      'for several audiences',
    ],
    ['for nobody', () => issuer.token({ claims: { ...OF_MAIN, aud: undefined } }), 'for another audience'],
    ['for a number', () => issuer.token({ claims: { ...OF_MAIN, aud: 5 } }), 'for another audience'],
    [
      'that has expired',
      () => issuer.token({ claims: { ...OF_MAIN, exp: Math.floor(clock.now() / 1000) - 31 } }),
      'has expired',
    ],
    [
      'that is not valid yet',
      () => issuer.token({ claims: { ...OF_MAIN, nbf: Math.floor(clock.now() / 1000) + 60 } }),
      'not valid yet',
    ],
    ['without an end', () => issuer.token({ claims: { ...OF_MAIN, exp: undefined } }), '"exp" is missing'],
    ['without a subject', () => issuer.token({ claims: { ...OF_MAIN, sub: undefined } }), '"sub" is missing'],
    ['of another type', () => issuer.token({ claims: OF_MAIN, header: { typ: 'logout+jwt' } }), 'another type'],
    ['of our own', () => berth.token(), 'not trusted here'],
    ['that is none', async () => 'hello', 'not a signed JWT'],
  ])('%s is refused', async (_name, make, why) => {
    await put('ci', policy());
    const response = await exchange(await make());
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining(why) });
  });

  it('brings less when less is wished for, and nothing when more is', async () => {
    await put('ci', policy({ ttlSecondsMax: 600 }));
    const token = await issuer.token({ claims: OF_MAIN });
    const less = await exchange(token, { roles: ['prod/web'], actions: ['job:read'], ttlSeconds: 60 });
    expect(await less.json()).toMatchObject({
      grants: [{ roles: ['prod/web'], actions: ['job:read'] }],
      expiresAt: new Date(Math.floor(clock.now() / 1000) * 1000 + 60_000).toISOString(),
    });
    const more = [
      { roles: ['*'] },
      { actions: ['node:write'] },
      { roles: ['test'], actions: ['logs:read'] },
      { ttlSeconds: 601 },
    ];
    for (const wish of more) expect([wish, (await exchange(token, wish)).status]).toEqual([wish, 403]);
    expect((await exchange(token, { ttlSeconds: 3601 })).status).toBe(400);
    expect(await (await exchange(token)).json()).toMatchObject({
      expiresAt: new Date(Math.floor(clock.now() / 1000) * 1000 + 600_000).toISOString(),
    });
  });

  it('may be exchanged again, unless its policy takes it once', async () => {
    await put('ci', policy());
    const token = await issuer.token({ claims: { ...OF_MAIN, jti: 'j1' } });
    expect([(await exchange(token)).status, (await exchange(token)).status]).toEqual([200, 200]);
    await put('ci', policy({ singleUse: true }));
    const statuses = await Promise.all([1, 2, 3].map(async () => (await exchange(token)).status));
    expect(statuses.sort()).toEqual([200, 401, 401]);
    const again = await exchange(token);
    expect(await again.json()).toMatchObject({ detail: expect.stringContaining('has been taken before') });
    expect((await exchange(await issuer.token({ claims: { ...OF_MAIN, jti: 'j2' } }))).status).toBe(200);
    expect((await exchange(await issuer.token({ claims: OF_MAIN }))).status).toBe(401);
    const exp = Math.floor(clock.now() / 1000) + 2 * 86_400;
    expect((await exchange(await issuer.token({ claims: { ...OF_MAIN, jti: 'j3', exp } }))).status).toBe(401);
  });

  it('that nothing is granted to is not used up', async () => {
    await put('ci', policy({ singleUse: true, rules: [MAIN] }));
    const token = await issuer.token({ claims: { ...OF_MAIN, jti: 'j1' } });
    expect((await exchange(token, { roles: ['*'] })).status).toBe(403);
    expect((await exchange(token)).status).toBe(200);
  });

  it('is judged by the policies as they are now', async () => {
    const token = await issuer.token({ claims: OF_MAIN });
    expect((await exchange(token)).status).toBe(401);
    await put('ci', policy());
    expect((await exchange(token)).status).toBe(200);
    await put('ci', policy({ rules: [{ ...MAIN, claims: { repository_id: '5' } }] }));
    expect((await exchange(token)).status).toBe(403);
    await put('other', policy({ rules: [ANY_REF] }));
    expect(await (await exchange(token)).json()).toMatchObject({ grants: [{ roles: ['test'] }] });
    expect((await exchange(token, { policy: 'ci' })).status).toBe(403);
    expect((await exchange(token, { policy: 'other' })).status).toBe(200);
    expect((await exchange(token, { policy: 'none' })).status).toBe(401);
    await berth.send('DELETE', '/v1/policies/other');
    await caughtUp(berth.replica.ctx);
    expect((await exchange(token)).status).toBe(403);
    expect(issuer.fetches).toBe(1);
  });

  it('is no token here by itself', async () => {
    await put('ci', policy());
    expect((await berth.send('GET', '/v1/jobs', { token: await issuer.token({ claims: OF_MAIN }) })).status).toBe(401);
  });

  it('of an issuer in the configuration is taken as it is, and exchanged as well', async () => {
    const configured = await FakeIssuer.create(FILE_ISSUER, () => clock.now());
    server.use(...configured.handlers);
    const token = await configured.token({ claims: { team: ['ops'] } });
    expect((await berth.send('GET', '/v1/jobs?role=ops', { token })).status).toBe(200);
    expect(await (await exchange(token)).json()).toMatchObject({ grants: [{ roles: ['ops'], actions: ['job:read'] }] });
  });

  it('can wait until the keys of its issuer can be had', async () => {
    await put('ci', policy());
    server.use(http.get(`${ISSUER}/keys`, () => HttpResponse.error()));
    const response = await exchange(await issuer.token({ claims: OF_MAIN }));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '30']);
  });
});

describe('a test of what would be granted', () => {
  it('says of every rule whether it holds, and what is in the way, and uses nothing up', async () => {
    await put('ci', policy({ singleUse: true }));
    await put('other', policy({ audience: 'https://else.example.com' }));
    const token = await issuer.token({ claims: { ...OF_MAIN, ref: 'refs/heads/x', jti: 'j1' } });
    const response = await berth.send('POST', '/v1/auth/test', { json: { token } });
    expect(await response.json()).toMatchObject({
      grants: [{ roles: ['test'], actions: ['job:*'] }],
      policies: [
        {
          name: 'ci',
          objection: null,
          rules: [
            {
              rule: 0,
              holds: false,
              claims: [
                { claim: 'repository_id', holds: true },
                { claim: 'ref', holds: false, why: 'is "refs/heads/x", and it has to be "refs/heads/main"' },
              ],
            },
            { rule: 1, holds: true },
          ],
        },
        { name: 'other', objection: expect.stringContaining('for another audience') },
      ],
    });
    expect((await exchange(token)).status).toBe(200);
  });

  it('takes claims in place of a token', async () => {
    await put('ci', policy());
    const claims = { iss: ISSUER, aud: AUDIENCE, ...OF_MAIN };
    const response = await berth.send('POST', '/v1/auth/test', { json: { claims, policy: 'ci' } });
    expect(await response.json()).toMatchObject({ grants: [{ roles: ['prod'] }, { roles: ['test'] }] });
    const odd = await berth.send('POST', '/v1/auth/test', { json: { claims: { iss: 5, aud: { a: 1 } } } });
    expect(await odd.json()).toMatchObject({ grants: [], policies: [{ objection: expect.any(String) }] });
  });

  it('says what is wrong with a token that is not genuine', async () => {
    await put('ci', policy());
    const token = await issuer.token({ claims: OF_MAIN, signer: await generateKeyPair('RS256') });
    const response = await berth.send('POST', '/v1/auth/test', { json: { token } });
    expect(await response.json()).toMatchObject({
      grants: [],
      policies: [{ objection: expect.stringContaining("the token's signature is not valid") }],
    });
  });

  it('is for those who may read policies, and for requests that make sense', async () => {
    const other = await berth.token({ actions: ['job:*'] });
    expect((await berth.send('POST', '/v1/auth/test', { json: { claims: {} }, token: other })).status).toBe(403);
    expect((await berth.send('POST', '/v1/auth/test', { json: {} })).status).toBe(400);
    expect((await berth.send('POST', '/v1/auth/test', { json: { token: 'x' } })).status).toBe(400);
    expect((await berth.send('POST', '/v1/auth/test', { json: { claims: {}, policy: 'none' } })).status).toBe(404);
  });
});
