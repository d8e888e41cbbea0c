import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { HttpResponse, http } from 'msw';
import { setupServer } from 'msw/node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeyRing } from '../../../control-plane/auth/keys.ts';
import { outsideIssuerSchema } from '../../../control-plane/auth/outside-issuer.ts';
import { NOTHING_REVOKED } from '../../../control-plane/auth/revocations.ts';
import { createVerifier, type Verifier } from '../../../control-plane/auth/verify.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const ISSUER = 'https://ci.example.com';
const JWKS = `${ISSUER}/keys`;
const server = setupServer();

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

let clock: ManualClock;
let pair: KeyPair;
let fetches: number;

beforeAll(async () => {
  server.listen({ onUnhandledFrame: 'error' });
  pair = await generateKeyPair('RS256', { extractable: true });
});
afterAll(() => server.close());
afterEach(() => server.resetHandlers());
beforeEach(() => {
  clock = new ManualClock();
  fetches = 0;
  publish({ a: pair });
});

/** What the issuer's key set holds from now on. */
function publish(pairs: Record<string, KeyPair>): void {
  server.use(
    http.get(JWKS, async () => {
      fetches += 1;
      const keys = Object.entries(pairs).map(async ([kid, { publicKey }]) => ({
        ...(await exportJWK(publicKey)),
        kid,
        alg: 'RS256',
      }));
      return HttpResponse.json({ keys: await Promise.all(keys) });
    }),
  );
}

function verifierOf(config: object = {}): Verifier {
  const outside = outsideIssuerSchema.parse({
    issuer: ISSUER,
    audience: 'berth',
    jwksUri: JWKS,
    roles: ['ci'],
    ...config,
  });
  const ring = new KeyRing({ clock, load: async () => [] });
  return createVerifier({
    clock,
    ring,
    revocations: NOTHING_REVOKED,
    issuer: 'berth:here',
    outside: [outside],
    fetch: globalThis.fetch,
  });
}

function token(claims: object = {}, { kid = 'a', signer = pair, header = {} } = {}): Promise<string> {
  const nowSeconds = Math.floor(clock.now() / 1000);
  const payload = {
    iss: ISSUER,
    aud: 'berth',
    sub: 'repo:acme/app',
    iat: nowSeconds,
    exp: nowSeconds + 300,
    ...claims,
  };
  return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid, ...header }).sign(signer.privateKey);
}

describe('a token of an outside issuer', () => {
  it('stands for its subject, under the name of the issuer, with what is configured', async () => {
    const { principal } = await verifierOf({ actions: ['job:*'] }).verify(await token());
    expect(principal).toMatchObject({
      kind: 'user',
      subject: `${ISSUER}#repo:acme/app`,
      grants: [{ roles: ['ci'], actions: ['job:*'] }],
      node: null,
    });
  });

  it('may do nothing where nothing is granted to it', async () => {
    expect((await verifierOf().verify(await token())).principal.grants).toEqual([]);
  });

  it('is never more than a user, whatever it claims', async () => {
    const { principal } = await verifierOf({ actions: ['job:read'] }).verify(
      await token({ kind: 'node', node: 'edge-1', roles: ['*'], actions: ['*'] }),
    );
    expect(principal).toMatchObject({ kind: 'user', node: null, grants: [{ roles: ['ci'], actions: ['job:read'] }] });
  });

  it('brings roles and actions in the claims that are named, and nothing that we do not know', async () => {
    const verifier = verifierOf({ rolesClaim: 'groups', actionsClaim: 'scope' });
    const { principal } = await verifier.verify(
      await token({ groups: ['eng/ml', 'Not A Role', 7, '../x'], scope: 'openid job:read launch:missiles' }),
    );
    expect(principal.grants).toEqual([{ roles: ['ci', 'eng/ml'], actions: ['job:read'] }]);
  });

  it.each([
    [{ repository: 'acme/app', ref: 'refs/heads/main' }, ['job:read', 'job:write']],
    [{ repository: 'acme/app', ref: 'refs/heads/feature' }, ['job:read']],
    [{ repository: 'acme/other', ref: 'refs/heads/main' }, ['job:read']],
    [{ repository: 'evil/app', ref: 'refs/heads/main' }, []],
    [{ repository: { name: 'acme/app' } }, []],
    [{}, []],
  ])('is granted what the rules say that its claims match: %j', async (claims, actions) => {
    const verifier = verifierOf({
      rules: [
        { claims: { repository: 'acme/*' }, actions: ['job:read'] },
        { claims: { repository: 'acme/app', ref: 'refs/heads/main' }, actions: ['job:write'] },
      ],
    });
    const { grants } = (await verifier.verify(await token(claims))).principal;
    expect(grants).toEqual(actions.map((action) => ({ roles: ['ci'], actions: [action] })));
  });

  it('has what a rule names in the roles that it names, and nowhere else', async () => {
    const rules = [
      { claims: { team: 'ml' }, roles: ['eng/ml'], actions: ['job:write'] },
      { claims: { id: '7' }, roles: ['ops'] },
    ];
    const { principal } = await verifierOf({ actions: ['job:read'], rules }).verify(
      await token({ team: ['web', 'ml'], id: 7 }),
    );
    expect(principal.grants).toEqual([
      { roles: ['ci'], actions: ['job:read'] },
      { roles: ['eng/ml'], actions: ['job:write'] },
      { roles: ['ops'], actions: ['job:read'] },
    ]);
  });

  it.each(['acme/app', 'acme/a+b', 'acme/two\nlines'])('matches what begins as a rule says: %j', async (repository) => {
    const verifier = verifierOf({ rules: [{ claims: { repository: 'acme/*' }, actions: ['job:read'] }] });
    expect((await verifier.verify(await token({ repository }))).principal.grants).toHaveLength(1);
  });

  it('takes what stands before an asterisk by the letter', async () => {
    const verifier = verifierOf({ rules: [{ claims: { repository: 'a.c*' }, actions: ['job:read'] }] });
    expect((await verifier.verify(await token({ repository: 'abc' }))).principal.grants).toEqual([]);
  });

  it.each<[string, () => Promise<string>, string]>([
    ['of another audience', () => token({ aud: 'sts.example.com' }), 'another audience'],
    ['without an end', () => token({ exp: undefined }), '"exp" is missing'],
    ['that has expired', () => token({ exp: Math.floor(clock.now() / 1000) - 60 }), 'has expired'],
    ['without a subject', () => token({ sub: undefined }), '"sub" is missing'],
    ['with an empty subject', () => token({ sub: '' }), 'no usable subject'],
    ['that is a logout token', () => token({}, { header: { typ: 'logout+jwt' } }), 'another type'],
    [
      'of a key of its own',
      async () => token({}, { signer: await generateKeyPair('RS256') }),
      'signature is not valid',
    ],
    ['of a key that the issuer has not', () => token({}, { kid: 'z' }), 'a key that is not known'],
  ])('%s is refused', async (_name, make, why) => {
    await expect(verifierOf().verify(await make())).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining(why),
    });
  });
});

describe('the algorithms of an outside issuer', () => {
  it('are those that are configured, whatever its keys could do', async () => {
    await expect(verifierOf({ algorithms: ['ES256'] }).verify(await token())).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'the token is signed in a way that is not accepted here',
    });
    expect(fetches).toBe(0);
  });
});

describe('the keys of an outside issuer', () => {
  it('that are broken are no fault of the caller, nor of ours', async () => {
    const broken = { kty: 'RSA', kid: 'a', alg: 'RS256', n: 'AQ', e: '' };
    server.use(http.get(JWKS, () => HttpResponse.json({ keys: [broken] })));
    await expect(verifierOf().verify(await token())).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('are fetched once for many tokens', async () => {
    const verifier = verifierOf();
    await Promise.all([1, 2, 3].map(async (n) => verifier.verify(await token({ jti: String(n) }))));
    expect(fetches).toBe(1);
  });

  it('are fetched again for a key that is new, but not for every one that is made up', async () => {
    const verifier = verifierOf();
    await verifier.verify(await token());
    const next = await generateKeyPair('RS256', { extractable: true });
    publish({ a: pair, b: next });
    await clock.advance(31_000);
    await verifier.verify(await token({}, { kid: 'b', signer: next }));
    expect(fetches).toBe(2);
    for (const kid of ['x', 'y', 'z']) {
      await expect(verifier.verify(await token({}, { kid }))).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    expect(fetches).toBe(2);
  });

  it('that were withdrawn are no longer good after a while', async () => {
    const verifier = verifierOf();
    await verifier.verify(await token());
    publish({ b: await generateKeyPair('RS256', { extractable: true }) });
    await clock.advance(601_000);
    await expect(verifier.verify(await token({ jti: 'new' }))).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('stay good while the issuer is away', async () => {
    const verifier = verifierOf();
    await verifier.verify(await token());
    server.use(http.get(JWKS, () => HttpResponse.error()));
    await clock.advance(601_000);
    expect((await verifier.verify(await token({ jti: 'new' }))).principal.kind).toBe('user');
  });

  it.each([
    ['it is away', () => HttpResponse.error()],
    ['it fails', () => new HttpResponse(null, { status: 500 })],
    ['it sends something else', () => HttpResponse.text('<html>')],
    ['it sends too much', () => HttpResponse.text('x'.repeat(1_100_000))],
    ['it sends us elsewhere', () => HttpResponse.redirect('https://evil.example.com/keys')],
  ])('can not be had at first when %s, and the caller may try again', async (_name, answer) => {
    server.use(http.get(JWKS, answer));
    await expect(verifierOf().verify(await token())).rejects.toMatchObject({
      code: 'unavailable',
      retryAfterSeconds: expect.any(Number),
    });
  });

  it('are found by discovery, if the document speaks for the issuer', async () => {
    const discovery = `${ISSUER}/.well-known/openid-configuration`;
    server.use(http.get(discovery, () => HttpResponse.json({ issuer: ISSUER, jwks_uri: JWKS })));
    const verifier = verifierOf({ jwksUri: undefined });
    expect((await verifier.verify(await token())).principal.kind).toBe('user');
    server.use(http.get(discovery, () => HttpResponse.json({ issuer: 'https://else.example.com', jwks_uri: JWKS })));
    await expect(verifierOf({ jwksUri: undefined }).verify(await token())).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('are not asked for on this machine because an issuer elsewhere says so', async () => {
    let asked = 0;
    server.use(
      http.get(`${ISSUER}/.well-known/openid-configuration`, () =>
        HttpResponse.json({ issuer: ISSUER, jwks_uri: 'http://127.0.0.1:2379/keys' }),
      ),
      http.get('http://127.0.0.1:2379/keys', () => {
        asked += 1;
        return HttpResponse.json({ keys: [] });
      }),
    );
    await expect(verifierOf({ jwksUri: undefined }).verify(await token())).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect(asked).toBe(0);
  });
});

describe('the configuration of an outside issuer', () => {
  it.each([
    ['a shared secret', { algorithms: ['HS256'] }, 'algorithms'],
    ['no signature', { algorithms: ['none'] }, 'algorithms'],
    ['no algorithm', { algorithms: [] }, 'algorithms'],
    ['keys over plain HTTP', { jwksUri: 'http://ci.example.com/keys' }, 'jwksUri'],
    ['an action that there is not', { actions: ['job:fly'] }, 'actions'],
    ['a role that can not be', { roles: ['A B'] }, 'roles'],
    ['a rule for everybody', { rules: [{ claims: {}, actions: ['*'] }] }, 'rules'],
    ['a setting that there is not', { audiense: 'x' }, ''],
  ])('with %s is refused', (_name, change, place) => {
    const result = outsideIssuerSchema.safeParse({ issuer: ISSUER, jwksUri: JWKS, ...change });
    expect(result.error?.issues[0]?.path[0] ?? '').toBe(place);
    expect(result.success).toBe(false);
  });

  it('may have plain HTTP on this machine', () => {
    expect(outsideIssuerSchema.safeParse({ issuer: 'dev', jwksUri: 'http://127.0.0.1:9000/keys' }).success).toBe(true);
  });

  it('twice, or in our own name, is refused', () => {
    const one = outsideIssuerSchema.parse({ issuer: 'x', jwksUri: JWKS });
    const ring = new KeyRing({ clock, load: async () => [] });
    const make = (issuer: string, outside: (typeof one)[]) => () =>
      createVerifier({ clock, ring, revocations: NOTHING_REVOKED, issuer, outside, fetch });
    expect(make('berth:here', [one, one])).toThrow('"x" is configured twice');
    expect(make('x', [one])).toThrow('"x" is configured twice');
  });
});
