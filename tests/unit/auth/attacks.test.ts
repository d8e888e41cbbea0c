/**
 * Attacks on tokens, each shown at the API and at both ways into the Mesos door. What makes one slow is a signature that is checked or keys
 * that are looked for, so these are counted; how long it takes is not asked, since that is up to the machine.
 */

import { decodeJwt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { decodeRecord } from '../../../control-plane/store/records.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';
import { type Forge, forgeOf, signerOf, theirKeys } from './attacks/forge.ts';
import { OWN_TOKEN_ATTACKS } from './attacks/own-tokens.ts';

const ATTACKS_MIN = 200;

let berth: TestApi;
let forge: Forge;

beforeAll(async () => {
  berth = await startApi();
  const { keyValue } = await berth.replica.ctx.store.get(keys.signingKey('1'));
  const { key, value } = present(keyValue, 'the signing key');
  const jwk = JSON.parse(present(decodeRecord('secrets', key, value).privateJwk, 'its private half')) as JWK;
  const privateKey = (await importJWK(jwk, 'EdDSA')) as CryptoKey;
  const { d: _secret, ...publicJwk } = jwk;
  const token = await berth.token({ roles: ['eng'], actions: ['job:read'] });
  forge = forgeOf({
    good: { header: decodeProtectedHeader(token), claims: decodeJwt(token) },
    publicJwk,
    ours: signerOf(privateKey, 'Ed25519'),
    theirs: await theirKeys(),
  });
});
afterAll(() => berth.stop());

/** Null: no header can say it. */
async function statusOf(path: string, authorization: string): Promise<number | null> {
  if (!isSendable(authorization)) return null;
  return (await berth.send('GET', path, { token: null, headers: { authorization } })).status;
}

function isSendable(value: string): boolean {
  try {
    return new Headers({ authorization: value }).has('authorization');
  } catch {
    return false;
  }
}

it('a token that is forged with nothing wrong is let in', async () => {
  expect(await statusOf('/v1/jobs', `Bearer ${await forge()}`)).toBe(200);
  expect(await statusOf('/state', `Basic ${btoa(`painter:${await forge()}`)}`)).toBe(200);
});

it('there are many attacks', () => {
  expect(new Set(OWN_TOKEN_ATTACKS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(ATTACKS_MIN);
});

describe('a token of ours is refused by', () => {
  it.each(OWN_TOKEN_ATTACKS)('$name', async ({ token }) => {
    const forged = await token(forge);
    const signatures = vi.spyOn(crypto.subtle, 'verify');
    const reads = vi.spyOn(berth.replica.ctx.store, 'range');
    const doors = [
      statusOf('/v1/jobs', `Bearer ${forged}`),
      statusOf('/state', `Bearer ${forged}`),
      statusOf('/state', `Basic ${btoa(`painter:${Buffer.from(forged).toString('latin1')}`)}`),
    ];
    for (const status of await Promise.all(doors)) expect([401, null]).toContain(status);
    expect(signatures.mock.calls.length).toBeLessThanOrEqual(doors.length);
    // The keys are looked for once in a while, and not for each.
    expect(reads.mock.calls.length).toBeLessThanOrEqual(1);
  });
});

describe('a way to show a token that is none is refused:', () => {
  it.each<[string, (token: string) => Record<string, string>, string?]>([
    ['no header', () => ({})],
    ['an empty header', () => ({ authorization: '' })],
    ['the scheme alone', () => ({ authorization: 'Bearer' })],
    ['no scheme', (token) => ({ authorization: token })],
    ['another scheme', (token) => ({ authorization: `Token ${token}` })],
    ['the name of its kind as scheme', (token) => ({ authorization: `JWT ${token}` })],
    ['a digest', (token) => ({ authorization: `Digest ${token}` })],
    ['no space', (token) => ({ authorization: `Bearer${token}` })],
    ['a tab', (token) => ({ authorization: `Bearer\t${token}` })],
    ['a scheme that looks alike', (token) => ({ authorization: `Beаrer ${token}`.replace('а', '\u00e0') })],
    ['in quotes', (token) => ({ authorization: `Bearer "${token}"` })],
    ['as a parameter', (token) => ({ authorization: `Bearer token=${token}` })],
    ['after another', (token) => ({ authorization: `Bearer x, Bearer ${token}` })],
    ['before another', (token) => ({ authorization: `Bearer ${token}, Bearer x` })],
    ['the password of HTTP basic, at the API', (token) => ({ authorization: `Basic ${btoa(`painter:${token}`)}` })],
    ['a cookie', (token) => ({ cookie: `authorization=Bearer ${token}; token=${token}` })],
    ['for a proxy', (token) => ({ 'proxy-authorization': `Bearer ${token}` })],
    ['forwarded', (token) => ({ 'x-forwarded-authorization': `Bearer ${token}`, 'x-original-authorization': token })],
    ['a header of its own', (token) => ({ 'x-auth-token': token, 'x-api-key': token })],
    ['a user that a proxy vouches for', () => ({ 'x-forwarded-user': 'admin', 'x-remote-user': 'admin' })],
    ['in the query', () => ({}), 'query'],
  ])('%s', async (_name, headersOf, where) => {
    const token = await forge();
    const path = where === 'query' ? `/v1/jobs?access_token=${token}&token=${token}` : '/v1/jobs';
    expect((await berth.send('GET', path, { token: null, headers: headersOf(token) })).status).toBe(401);
  });
});

describe('a good token is refused', () => {
  const revoked = 'the token was revoked';

  async function shown(token: string): Promise<[number, string]> {
    const response = await berth.send('GET', '/v1/jobs', { token });
    return [response.status, response.ok ? '' : ((await response.json()) as { detail: string }).detail];
  }

  async function change(path: string, json: object): Promise<void> {
    expect((await berth.send('POST', path, { json })).status).toBeLessThan(300);
    await caughtUp(berth.replica.ctx);
  }

  it('after it was revoked, also where it has been seen before, and under any other spelling', async () => {
    const token = await berth.token({ subject: 'eve' });
    expect(await shown(token)).toEqual([200, '']);
    await change(`/v1/tokens/${decodeJwt(token).jti}/revoke`, { reason: 'lost' });
    expect(await shown(token)).toEqual([401, revoked]);
    expect((await shown(`${token}=`))[0]).toBe(401);
    expect(
      (await berth.send('GET', '/state', { token: null, headers: { authorization: `Basic ${btoa(`x:${token}`)}` } }))
        .status,
    ).toBe(401);
  });

  it('after all of its subject were revoked, and not one that was made since', async () => {
    const before = await forge({ claims: { sub: 'mallory', iat: Number(forge.good.claims['iat']) - 10 } });
    expect((await shown(before))[0]).toBe(200);
    await change('/v1/tokens/revoke', { subject: 'mallory', reason: 'left' });
    expect((await shown(before))[0]).toBe(401);
    expect((await shown(await berth.token({ subject: 'mallory' })))[0]).toBe(200);
    expect((await shown(await berth.token({ subject: 'Mallory' })))[0]).toBe(200);
  });

  it.each([
    ['node', { kind: 'node', subject: 'edge-1', node: 'edge-1' }],
    ['join', { kind: 'join', subject: 'joiner' }],
    ['peer', { kind: 'peer', subject: 'replica-2' }],
  ] as const)('of the kind %s where users call, whatever it grants', async (_kind, terms) => {
    const token = await berth.token({ ...terms, roles: ['*'], actions: ['*'] });
    expect((await shown(token))[0]).toBe(403);
    expect((await berth.send('POST', '/v1/tokens', { token, json: { subject: 'x' } })).status).toBe(403);
    expect((await berth.send('GET', '/state', { token })).status).toBe(403);
  });

  it.each([
    ['a user', {}],
    ['a joiner', { kind: 'join', subject: 'joiner' }],
    ['a peer', { kind: 'peer', subject: 'replica-2' }],
  ] as const)('of %s where agents call', async (_kind, terms) => {
    const token = await berth.token(terms);
    const sent = { token, json: { sentAtMs: 1 }, headers: { 'berth-epoch': '1' } };
    expect((await berth.send('POST', '/v1/agent/heartbeat', sent)).status).toBe(403);
  });

  it('of a node, to register another', async () => {
    const token = await berth.token({ kind: 'node', subject: 'edge-1', node: 'edge-1' });
    const json = { node: nodeOf('edge-2'), seen: null, tasks: [] };
    expect((await berth.send('POST', '/v1/agent/register', { token, json })).status).toBe(403);
  });
});
