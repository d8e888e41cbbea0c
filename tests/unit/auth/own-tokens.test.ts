import { decodeProtectedHeader, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { generateSigningKey, importSigningKey, KeyRing, type SigningKey } from '../../../control-plane/auth/keys.ts';
import { NOTHING_REVOKED } from '../../../control-plane/auth/revocations.ts';
import { type Claims, OWN_TYPE, ownIssuer, TokenMint, type TokenTerms } from '../../../control-plane/auth/tokens.ts';
import { createVerifier, type Verifier } from '../../../control-plane/auth/verify.ts';
import type { KeyStateRecord } from '../../../control-plane/store/record-types.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const ISSUER = ownIssuer('here');
const TERMS: TokenTerms = {
  kind: 'user',
  subject: 'ci',
  grants: [{ roles: ['eng'], actions: ['job:read'] }],
  node: null,
  ttlSeconds: 600,
};

let clock: ManualClock;
let key: SigningKey;
let ring: KeyRing;
let loads: number;
let records: Awaited<ReturnType<typeof generateSigningKey>>[];
let mint: TokenMint;
let verifier: Verifier;

beforeEach(async () => {
  clock = new ManualClock();
  records = [await generateSigningKey('1', clock.now())];
  loads = 0;
  ring = new KeyRing({
    clock,
    load: async () => {
      loads += 1;
      return records;
    },
  });
  await ring.load();
  key = ring.current;
  mint = new TokenMint({ issuer: ISSUER, ring, clock, random: new CryptoRandom() });
  verifier = verifierOf(ring);
});

function verifierOf(keys: KeyRing): Verifier {
  const fetch = () => Promise.reject(new Error('nothing is fetched for our own tokens'));
  return createVerifier({ clock, ring: keys, revocations: NOTHING_REVOKED, issuer: ISSUER, outside: [], fetch });
}

interface Forgery {
  readonly claims?: Partial<Record<keyof Claims, unknown>>;
  readonly header?: Record<string, unknown>;
  readonly signer?: CryptoKey | Uint8Array;
}

/** Our own token, but for what the forger changes. */
function forge({ claims = {}, header = {}, signer = key.privateKey }: Forgery): Promise<string> {
  const payload = Object.fromEntries(
    Object.entries({ ...mint.draft(TERMS), ...claims }).filter(([, v]) => v !== undefined),
  );
  return new SignJWT(payload).setProtectedHeader({ alg: 'EdDSA', typ: OWN_TYPE, kid: key.kid, ...header }).sign(signer);
}

/** With a header that no library would write. */
async function signedByHand(header: Record<string, unknown>): Promise<string> {
  const input = `${base64url({ alg: 'EdDSA', typ: OWN_TYPE, kid: key.kid, ...header })}.${base64url(mint.draft(TERMS))}`;
  const signature = await crypto.subtle.sign('Ed25519', key.privateKey, new TextEncoder().encode(input));
  return `${input}.${Buffer.from(signature).toString('base64url')}`;
}

function base64url(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

describe('a token of ours', () => {
  it('stands for whom it was made for', async () => {
    const { token, id, expiresAtMs } = await mint.mint({ ...TERMS, kind: 'node', node: 'edge-1' });
    const verified = await verifier.verify(token);
    expect(verified.principal).toEqual({
      kind: 'node',
      subject: 'ci',
      tokenId: id,
      grants: [{ roles: ['eng'], actions: ['job:read'] }],
      node: 'edge-1',
    });
    expect(verified.expiresAtMs).toBe(expiresAtMs);
    expect(expiresAtMs - verified.issuedAtMs).toBe(600_000);
  });

  it('is the same to the letter when it is signed again', async () => {
    const claims = mint.draft(TERMS);
    expect((await mint.sign(claims)).token).toBe((await mint.sign(claims)).token);
  });

  it('ends with its time, give or take the tolerance, also when it has been seen before', async () => {
    const { token } = await mint.mint(TERMS);
    await verifier.verify(token);
    await clock.advance(600_000 + 29_000);
    await expect(verifier.verify(token)).resolves.toBeDefined();
    await clock.advance(2000);
    await expect(verifier.verify(token)).rejects.toMatchObject({ message: 'the token has expired' });
  });

  it('is verified once and remembered', async () => {
    const { token } = await mint.mint(TERMS);
    expect(await verifier.verify(token)).toBe(await verifier.verify(token));
  });

  it('of a key that another replica has made since is accepted, after one look at the store', async () => {
    const newer = await generateSigningKey('2', clock.now() + 1);
    const token = await forge({ header: { kid: '2' }, signer: (await importSigningKey(newer)).privateKey });
    records = [...records, newer];
    await clock.advance(11_000);
    expect((await verifier.verify(token)).principal.subject).toBe('ci');
    expect(loads).toBe(2);
    expect(ring.current.kid).toBe('2');
  });
});

describe('a token of an earlier version', () => {
  const { grants: _, ...TERMS_BEFORE } = TERMS;
  const older = (claims: Record<string, unknown> = {}) => {
    const { grants: _grants, ...draft } = mint.draft({ ...TERMS_BEFORE, grants: [] });
    return new SignJWT({ ...draft, roles: ['eng'], actions: ['job:read'], ...claims })
      .setProtectedHeader({ alg: 'EdDSA', typ: OWN_TYPE, kid: key.kid })
      .sign(key.privateKey);
  };
  const expAfter = (days: number) => Math.floor(clock.now() / 1000) + days * 86_400;

  it('spells its only grant as two claims, and is taken', async () => {
    const { principal } = await verifier.verify(await older());
    expect(principal.grants).toEqual([{ roles: ['eng'], actions: ['job:read'] }]);
    expect(principal.isRecorded).toBeUndefined();
  });

  it('may live for a year, which no other may', async () => {
    await expect(verifier.verify(await older({ exp: expAfter(365) }))).resolves.toBeDefined();
    await expect(verifier.verify(await older({ exp: expAfter(366) }))).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    await expect(verifier.verify(await forge({ claims: { exp: expAfter(91) } }))).rejects.toMatchObject({
      message:
        'the token\'s claims "iat" and "exp" are too far apart: a token of the kind user may live for at most 90 days, not for 91 days',
    });
  });

  it('says both, or is none', async () => {
    await expect(verifier.verify(await older({ actions: undefined }))).rejects.toMatchObject({
      message: 'the token lacks a claim, or one is not what it should be',
    });
  });
});

describe('keys that are rotated', () => {
  const stateOf = (kid: string, signsFromMs: number, change: Partial<KeyStateRecord> = {}): KeyStateRecord => ({
    ...{ kid, createdAtMs: 0, createdBy: 'alice', signsFromMs, verifiesUntilMs: null, longestSeconds: 60 },
    ...{ revoked: null, ...change },
  });
  let states: Map<string, KeyStateRecord>;
  let rotated: KeyRing;
  beforeEach(async () => {
    states = new Map([['1', stateOf('1', clock.now())]]);
    const load = async () => {
      loads += 1;
      return records;
    };
    rotated = new KeyRing({ clock, states: () => states, load });
    await rotated.load();
    loads = 0;
    mint = new TokenMint({ issuer: ISSUER, ring: rotated, clock, random: new CryptoRandom() });
    verifier = verifierOf(rotated);
  });
  const kidOf = (token: string) => decodeProtectedHeader(token).kid;
  const publishNext = async () => {
    records = [...records, await generateSigningKey('2', clock.now())];
    states.set('2', stateOf('2', clock.now() + 1000));
  };

  it('sign only from their time on, and are published before', async () => {
    await publishNext();
    await rotated.complete();
    expect(rotated.publicKeys.keys.map(({ kid }) => kid)).toEqual(['1', '2']);
    const before = (await mint.mint(TERMS)).token;
    await clock.advance(1000);
    const after = (await mint.mint(TERMS)).token;
    expect([kidOf(before), kidOf(after)]).toEqual(['1', '2']);
    for (const token of [before, after]) await expect(verifier.verify(token)).resolves.toBeDefined();
  });

  it('sign also where they are not read yet, and are read once', async () => {
    await publishNext();
    await clock.advance(1000);
    expect(kidOf((await mint.mint(TERMS)).token)).toBe('2');
    await mint.mint(TERMS);
    expect(loads).toBe(1);
  });

  it('verify and are published no more once they were retired at once', async () => {
    const { token } = await mint.mint(TERMS);
    await publishNext();
    await rotated.complete();
    await clock.advance(1000);
    states.set('1', stateOf('1', 0, { revoked: { atMs: clock.now(), by: 'alice', reason: 'leaked' } }));
    expect(rotated.publicKeys.keys.map(({ kid }) => kid)).toEqual(['2']);
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(await rotated.find('1')).toBeNull();
  });
});

describe('a token that is signed by hand', () => {
  it('is good when nothing is wrong with it', async () => {
    expect((await verifier.verify(await signedByHand({}))).principal.subject).toBe('ci');
  });
});

describe('the keys that are published', () => {
  it('hold no private part', () => {
    const [jwk] = ring.publicKeys.keys;
    expect(Object.keys(jwk ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  it('are looked for at most every ten seconds, whatever tokens say', async () => {
    for (let n = 0; n < 20; n++) {
      const token = await forge({ header: { kid: `made-up-${n}` } });
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    expect(loads).toBe(1);
    await clock.advance(10_000);
    await Promise.allSettled([1, 2, 3].map(async (n) => verifier.verify(await forge({ header: { kid: `x${n}` } }))));
    expect(loads).toBe(2);
  });
});

const ATTACKS: readonly [string, () => string | Promise<string>, string][] = [
  ['of the algorithm none', () => `${base64url({ alg: 'none' })}.${base64url(mint.draft(TERMS))}.`, 'not a signed JWT'],
  [
    'of the algorithm none with a signature',
    () => `${base64url({ alg: 'none', typ: OWN_TYPE, kid: '1' })}.${base64url(mint.draft(TERMS))}.AAAA`,
    'a way that is not accepted',
  ],
  [
    'signed with the public key as a shared secret',
    async () => forge({ header: { alg: 'HS256' }, signer: new TextEncoder().encode(await exportSPKI(key.publicKey)) }),
    'a way that is not accepted',
  ],
  [
    'signed with a key of its own',
    async () => forge({ signer: (await generateKeyPair('EdDSA')).privateKey }),
    'signature is not valid',
  ],
  [
    'that brings its own key along',
    async () => {
      const own = await generateKeyPair('EdDSA', { extractable: true });
      return forge({ signer: own.privateKey, header: { jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AA' } } });
    },
    'signature is not valid',
  ],
  [
    'that says where its key is',
    async () =>
      forge({ signer: (await generateKeyPair('EdDSA')).privateKey, header: { jku: 'https://evil.test/jwks' } }),
    'signature is not valid',
  ],
  ['of an unknown key', () => forge({ header: { kid: '../secrets/signing/1' } }), 'a key that is not known'],
  ['of no key', () => forge({ header: { kid: undefined } }), 'a key that is not known'],
  ['with a critical extension', () => signedByHand({ crit: ['x'], x: 1 }), 'not a valid signed JWT'],
  ['of another type', () => forge({ header: { typ: 'JWT' } }), 'another type'],
  ['of no type', () => forge({ header: { typ: undefined } }), 'another type'],
  ['that has expired', () => forge({ claims: { exp: Math.floor(clock.now() / 1000) - 31 } }), 'has expired'],
  ['that is not valid yet', () => forge({ claims: { nbf: Math.floor(clock.now() / 1000) + 31 } }), 'not valid yet'],
  ['for another audience', () => forge({ claims: { aud: 'someone-else' } }), 'another audience'],
  ['for no audience', () => forge({ claims: { aud: undefined } }), 'another audience'],
  ['of another issuer', () => forge({ claims: { iss: ownIssuer('elsewhere') } }), 'an issuer that is not trusted'],
  ['of no issuer', () => forge({ claims: { iss: undefined } }), 'an issuer that is not trusted'],
  ['without an end', () => forge({ claims: { exp: undefined } }), 'lacks a claim'],
  [
    'with an end that is no number',
    () => forge({ claims: { exp: 'never' } }),
    '"exp" is missing or not what it should be',
  ],
  ['without a kind', () => forge({ claims: { kind: undefined } }), 'lacks a claim'],
  ['of an unknown kind', () => forge({ claims: { kind: 'root' } }), 'lacks a claim'],
  ['with grants that are no list', () => forge({ claims: { grants: '*' } }), 'lacks a claim'],
  ['with roles that are no list', () => forge({ claims: { grants: [{ roles: '*', actions: [] }] } }), 'lacks a claim'],
  [
    'with actions that are no text',
    () => forge({ claims: { grants: [{ roles: [], actions: [{}] }] } }),
    'lacks a claim',
  ],
  ['without a subject', () => forge({ claims: { sub: undefined } }), 'lacks a claim'],
  ['with its signature cut off', async () => (await forge({})).replace(/[^.]+$/, ''), 'not a signed JWT'],
  ['with its signature left out', async () => (await forge({})).split('.').slice(0, 2).join('.'), 'not a signed JWT'],
  [
    'with its claims exchanged',
    async () => {
      const [head, , tail] = (await forge({})).split('.');
      return `${head}.${base64url({ ...mint.draft(TERMS), grants: [{ roles: ['*'], actions: ['*'] }] })}.${tail}`;
    },
    'signature is not valid',
  ],
  ['with a dot too many', async () => (await forge({})).replace('.', '..'), 'not a signed JWT'],
  ['of five parts', () => 'a.b.c.d.e', 'not a signed JWT'],
  ['of nothing', () => '', 'not a signed JWT'],
  ['of dots', () => '..', 'not a signed JWT'],
  ['of garbage', () => `${'x'.repeat(50)}.${'y'.repeat(50)}.${'z'.repeat(50)}`, 'not a signed JWT'],
  ['whose claims are a list', () => `${base64url({ alg: 'EdDSA' })}.${base64url([])}.AAAA`, 'not a signed JWT'],
  ['whose claims are no JSON', () => `${base64url({ alg: 'EdDSA' })}.${base64url('{')}.AAAA`, 'not a signed JWT'],
  ['that is huge', () => `${'a'.repeat(8000)}.${'b'.repeat(200)}.c`, 'longer than 8192'],
];

describe('a forged token', () => {
  it.each(ATTACKS)('%s is refused', async (_name, make, why) => {
    await expect(verifier.verify(await make())).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining(why),
    });
  });

  it('is refused in words that give nothing away', async () => {
    for (const [, make] of ATTACKS) {
      const error = await verifier.verify(await make()).catch((reason: Error) => reason);
      expect((error as Error).message).not.toMatch(/eng|job:read|AAAA|kid|jose|undefined/);
    }
  });
});
