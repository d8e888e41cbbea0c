/** Signing keys over two replicas: the next one, the change to it, and the end of one that has leaked. */
import { decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { LIFETIMES_MAX } from '../../../control-plane/auth/lifetimes.ts';
import { ROTATE_AFTER_MS_DEFAULT, tendCredentials } from '../../../control-plane/services/credential-upkeep.ts';
import { PUBLISHED_BEFORE_SIGNING_MS } from '../../../control-plane/services/signing-keys.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { KeyView } from '../../../shared/protocol/tokens.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp } from '../../support/replica.ts';

const DAY_MS = 86_400_000;
const UPKEEP = { lifetimes: LIFETIMES_MAX, rotateAfterMs: ROTATE_AFTER_MS_DEFAULT };

let clock: ManualClock;
let store: MemoryStore;
let a: TestApi;
let b: TestApi;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore({ clock });
  a = await startApi({ clock, store, id: 'a' });
  b = await startApi({ clock, store, id: 'b' });
});
afterEach(() => {
  a.stop();
  b.stop();
});

const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const rotate = async (berth: TestApi, token = berth.admin) => berth.send('POST', '/v1/keys/rotate', { token });
const published = async (berth: TestApi) =>
  (await (await berth.send('GET', '/.well-known/jwks.json')).json()).keys.map(({ kid }: { kid: string }) => kid);
const statusOf = async (berth: TestApi, token: string) => (await berth.send('GET', '/v1/status', { token })).status;

async function list(berth = a, token = berth.admin): Promise<KeyView[]> {
  return (await (await berth.send('GET', '/v1/keys', { token })).json()).items;
}

async function retire(kid: string, berth = a): Promise<Response> {
  return berth.send('POST', `/v1/keys/${kid}/retire`, { json: { now: true, reason: 'leaked' } });
}

describe('the next key', () => {
  it('is published on every replica long before it signs, and nothing that was signed is refused meanwhile', async () => {
    const first = await a.token();
    const made = await rotate(a);
    expect(made.status).toBe(201);
    const { kid, state } = await made.json();
    expect(state).toBe('next');
    await caughtUp(b.replica.ctx);
    // Whoever hears of it reads it first.
    for (const berth of [a, b]) await vi.waitFor(async () => expect(await published(berth)).toEqual(['1', kid]));
    await clock.advance(PUBLISHED_BEFORE_SIGNING_MS - 1);
    expect([kidOf(await a.token()), kidOf(await b.token())]).toEqual(['1', '1']);
    await clock.advance(1);
    const after = await b.token();
    expect([kidOf(await a.token()), kidOf(after)]).toEqual([kid, kid]);
    for (const berth of [a, b]) {
      for (const token of [first, after]) expect(await statusOf(berth, token)).toBe(200);
    }
    expect((await list()).map((key) => [key.kid, key.state])).toEqual([
      [kid, 'signing'],
      ['1', 'verifying'],
    ]);
  });

  it('is one, though two replicas are asked at once, and again while it waits', async () => {
    const [one, other] = await Promise.all([rotate(a), rotate(b)]);
    const kids = new Set([(await one.json()).kid, (await other.json()).kid]);
    expect([kids.size, [one.status, other.status].sort()]).toEqual([1, [200, 201]]);
    expect((await rotate(b)).status).toBe(200);
    expect((await list()).length).toBe(2);
    const { keyValues } = await store.range({ prefix: keys.signingKey('') });
    expect(keyValues.length).toBe(2);
  });

  it('is made by itself once one has signed for 90 days, by one of the replicas that look', async () => {
    await clock.advance(90 * DAY_MS - 1);
    await tendCredentials(a.replica.ctx, UPKEEP);
    expect((await list(a, await a.token())).length).toBe(1);
    await clock.advance(1);
    await Promise.all([tendCredentials(a.replica.ctx, UPKEEP), tendCredentials(b.replica.ctx, UPKEEP)]);
    await caughtUp(a.replica.ctx);
    expect((await list(a, await a.token())).map(({ createdBy, state }) => [createdBy, state])).toEqual([
      ['berth', 'next'],
      ['berth', 'signing'],
    ]);
  });

  it('takes a right of its own', async () => {
    const token = await a.token({ actions: ['token:*', 'key:read'] });
    expect([(await rotate(a, token)).status, (await list(a, token)).length]).toEqual([403, 1]);
    expect((await a.send('GET', '/v1/keys', { token: await a.token({ actions: ['token:*'] }) })).status).toBe(403);
  });
});

describe('a key that another one has followed', () => {
  it('verifies until all that it has signed has expired, and then goes, with its private half', async () => {
    await rotate(a);
    await caughtUp(b.replica.ctx);
    await clock.advance(PUBLISHED_BEFORE_SIGNING_MS);
    const [, old] = await list(a, await a.token());
    const signedUntilMs = clock.now() + 365 * DAY_MS;
    expect(Date.parse(old?.verifiesUntil ?? '')).toBeGreaterThan(signedUntilMs);
    await clock.advance(Date.parse(old?.verifiesUntil ?? '') - clock.now() - 1);
    const never = { ...UPKEEP, rotateAfterMs: Number.POSITIVE_INFINITY };
    await tendCredentials(a.replica.ctx, never);
    expect((await list(a, await a.token())).length).toBe(2);
    await clock.advance(1);
    await tendCredentials(a.replica.ctx, never);
    await caughtUp(a.replica.ctx);
    expect((await list(a, await a.token())).map(({ state }) => state)).toEqual(['signing']);
    expect((await store.range({ prefix: keys.signingKey('') })).keyValues.length).toBe(1);
  });
});

describe('a key that is retired at once', () => {
  it('ends all that it has signed and what that has opened; another one signs from the answer on', async () => {
    const old = await b.token();
    const events = await b.send('GET', '/v1/events', { token: old, headers: { accept: 'text/event-stream' } });
    await settle();
    const answer = await retire('1');
    expect(await answer.json()).toMatchObject({
      kid: '1',
      state: 'retired',
      retired: { by: 'admin', reason: 'leaked' },
    });
    await caughtUp(b.replica.ctx);
    expect(await events.text()).toContain('"status":401');
    expect([await statusOf(a, old), await statusOf(b, old), await statusOf(a, a.admin)]).toEqual([401, 401, 401]);
    const fresh = await a.token();
    expect([kidOf(fresh) === '1', await statusOf(a, fresh), await statusOf(b, fresh)]).toEqual([false, 200, 200]);
    expect(kidOf(await b.token())).toBe(kidOf(fresh));
    expect(await published(b)).toEqual([kidOf(fresh)]);
    expect((await store.get(keys.signingKey('1'))).keyValue).toBeNull();
  });

  it('lets the one that waits sign before its time', async () => {
    const { kid } = await (await rotate(a)).json();
    await retire('1');
    const fresh = await a.token();
    expect([kidOf(fresh), await statusOf(a, fresh), (await list(a, fresh)).length]).toEqual([kid, 200, 2]);
  });

  it('before it signs changes nothing for others, and the one that signs goes on for ever', async () => {
    const { kid } = await (await rotate(a)).json();
    expect((await retire(kid)).status).toBe(200);
    await clock.advance(PUBLISHED_BEFORE_SIGNING_MS);
    const token = await a.token();
    expect([kidOf(token), await statusOf(a, a.admin)]).toEqual(['1', 200]);
    const signing = (await list()).find(({ state }) => state === 'signing');
    expect([signing?.kid, signing?.verifiesUntil]).toEqual(['1', null]);
  });

  it('is not one that nobody knows, and says once what it was retired for', async () => {
    expect((await retire('nope')).status).toBe(404);
    const { kid } = await (await rotate(a)).json();
    const first = await (await retire(kid)).json();
    await clock.advance(1000);
    expect(await (await retire(kid)).json()).toEqual(first);
    const json = { reason: 'no' };
    expect((await a.send('POST', '/v1/keys/1/retire', { json })).status).toBe(400);
  });
});
