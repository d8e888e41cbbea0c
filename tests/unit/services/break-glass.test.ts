/** An admin's token past all rights: with a reason, for minutes, and seen by everybody. */
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { breakGlass } from '../../../control-plane/services/break-glass.ts';
import { tendCredentials } from '../../../control-plane/services/credential-upkeep.ts';
import { StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { changed } from '../../support/changed-store.ts';
import { caughtUp } from '../../support/replica.ts';

const BY = { by: 'root@rack', reason: 'the identity provider is down', minutes: 15 };
const SUBJECT = 'break-glass:root@rack';

let clock: ManualClock;
let berth: TestApi;

beforeEach(async () => {
  clock = new ManualClock();
  berth = await startApi({ clock });
});
afterEach(() => berth.stop());

async function made(change: Partial<typeof BY> = {}): Promise<string> {
  const { token } = await breakGlass(berth.replica.ctx, berth.mint, { ...BY, ...change });
  await caughtUp(berth.replica.ctx);
  return token;
}

async function shown(): Promise<unknown[]> {
  return (await (await berth.send('GET', '/v1/status', { token: await berth.token() })).json()).breakGlass;
}

describe('a token that is made past all rights', () => {
  it('is an admin for minutes, and stands in records, events and the status until it ends', async () => {
    expect(await shown()).toEqual([]);
    const after = (await berth.send('GET', '/v1/status')).headers.get('berth-revision');
    const token = await made();
    const { jti, sub } = decodeJwt(token);
    expect(sub).toBe(SUBJECT);
    expect((await berth.send('POST', '/v1/keys/rotate', { token })).status).toBe(201);
    const until = new Date(clock.now() + 15 * 60_000).toISOString();
    expect(await shown()).toEqual([{ id: jti, by: SUBJECT, reason: BY.reason, until }]);
    const { items } = await (await berth.send('GET', `/v1/events?after=${after}&type=token.break-glass`)).json();
    expect(items).toMatchObject([
      { message: `${SUBJECT} has made an admin's token past all rights, good until ${until}: ${BY.reason}` },
    ]);
    await clock.advance(15 * 60_000);
    expect(await shown()).toEqual([]);
    await clock.advance(31_000);
    expect((await berth.send('GET', '/v1/status', { token })).status).toBe(401);
    await tendCredentials(berth.replica.ctx, { lifetimes: berth.mint.lifetimes, rotateAfterMs: 1e15 });
    await caughtUp(berth.replica.ctx);
    expect(berth.replica.ctx.mirror.snapshot.tokens.size).toBe(0);
  });

  it.each([
    ['by its id', (token: string) => [`/v1/tokens/${decodeJwt(token).jti}/revoke`, {}] as const],
    ['by its subject', () => ['/v1/tokens/revoke', { subject: SUBJECT }] as const],
    ['with all of its kind', () => ['/v1/tokens/revoke', { kind: 'user' }] as const],
    ['with all', () => ['/v1/tokens/revoke', { all: true }] as const],
  ])('is no longer shown once it is revoked %s', async (_how, ask) => {
    const token = await made();
    await clock.advance(1000);
    const [path, json] = ask(token);
    expect((await berth.send('POST', path, { json })).status).toBe(200);
    expect((await berth.send('GET', '/v1/status', { token })).status).toBe(401);
    expect(await shown()).toEqual([]);
  });

  it('is on record with who has made it', async () => {
    const { jti } = decodeJwt(await made());
    const { items } = await (await berth.send('GET', '/v1/audit', { token: await berth.token() })).json();
    expect(items).toMatchObject([
      {
        who: { kind: 'user', subject: SUBJECT, tokenId: jti },
        operation: 'berth control-plane --break-glass',
        objects: [{ kind: 'token', id: jti, change: 'created', grants: [expect.stringContaining(BY.reason)] }],
      },
    ]);
  });

  it('lives for an hour at most', async () => {
    const { iat = 0, exp = 0 } = decodeJwt(await made({ minutes: 600 }));
    expect(exp - iat).toBe(3600);
  });

  it.each(['', ' ', 'a\0b', 'x'.repeat(1001)])('is not made for the reason %j', async (reason) => {
    await expect(made({ reason })).rejects.toMatchObject({ code: 'invalid-request', faults: [{ path: '/reason' }] });
    expect(await shown()).toEqual([]);
  });

  it('is not handed out where it could not be put on record', async () => {
    const { ctx } = berth.replica;
    const transact = () => Promise.reject(new StoreUnavailableError('the store is away'));
    const away = { ...ctx, store: changed(ctx.store, { transact }) };
    await expect(breakGlass(away, berth.mint, BY)).rejects.toBeInstanceOf(StoreUnavailableError);
  });
});
