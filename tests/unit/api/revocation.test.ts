/** Tokens that are taken back: by whom, from when on, on which replicas, and what they had opened. */
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { SCHEDULER, subscription } from '../../support/mesos-client.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

let clock: ManualClock;
let a: TestApi;
let b: TestApi;

beforeEach(async () => {
  clock = new ManualClock();
  const store = new MemoryStore({ clock });
  a = await startApi({ clock, store, id: 'a' });
  b = await startApi({ clock, store, id: 'b' });
});
afterEach(() => {
  a.stop();
  b.stop();
});

function idOf(token: string): string {
  return decodeJwt(token).jti ?? '';
}

async function statusOf(berth: TestApi, token: string): Promise<number> {
  return (await berth.send('GET', '/v1/status', { token })).status;
}

function revoke(token: string, options: { by?: string; json?: object } = {}): Promise<Response> {
  const { by = a.admin, json = {} } = options;
  return a.send('POST', `/v1/tokens/${encodeURIComponent(idOf(token))}/revoke`, { token: by, json });
}

describe('a token that is revoked by its id', () => {
  it('is refused from the answer on by the replica that answered, and by others once they hear of it', async () => {
    const [token, other] = [await a.token(), await a.token()];
    expect([await statusOf(a, token), await statusOf(b, token)]).toEqual([200, 200]);
    const answer = await revoke(token, { json: { reason: 'lost a laptop' } });
    expect(await answer.json()).toMatchObject({
      type: 'revoked',
      id: idOf(token),
      by: 'admin',
      reason: 'lost a laptop',
    });
    expect(await statusOf(a, token)).toBe(401);
    await caughtUp(b.replica.ctx);
    const refused = await b.send('GET', '/v1/jobs', { token });
    expect(await refused.json()).toMatchObject({ code: 'unauthenticated', detail: 'the token was revoked' });
    expect([await statusOf(a, other), await statusOf(b, other)]).toEqual([200, 200]);
  });

  it('stays so when that is said again', async () => {
    const token = await a.token();
    const first = await (await revoke(token)).json();
    await clock.advance(1000);
    expect(await (await revoke(token, { json: { reason: 'again' } })).json()).toEqual(first);
  });

  it('ends what it has opened at once, on every replica and at every door, and nothing else', async () => {
    const [token, other] = [await a.token(), await a.token()];
    const events = (berth: TestApi, by: string) =>
      berth.send('GET', '/v1/events', { token: by, headers: { accept: 'text/event-stream' } });
    const opened = [await events(a, token), await events(b, token)];
    const framework = await b.send('POST', SCHEDULER, { token, json: subscription() });
    const stays = await events(b, other);
    await settle();
    await revoke(token);
    for (const stream of opened) {
      const last = createEventParser()(await stream.text()).at(-1);
      expect(last?.type).toBe('error');
      expect(JSON.parse(last?.data ?? '')).toMatchObject({ status: 401, detail: 'the token was revoked' });
    }
    expect(await framework.text()).toContain('SUBSCRIBED');
    let isOver = false;
    void stays.text().then(() => {
      isOver = true;
    });
    await settle();
    expect([isOver, await statusOf(b, other)]).toEqual([false, 200]);
    await revoke(other);
    await settle();
    expect(isOver).toBe(true);
  });

  it('takes the right to, but for the token that asks', async () => {
    const [mine, other] = [await a.token({ actions: ['job:read'] }), await a.token()];
    const refused = await revoke(other, { by: mine });
    expect([refused.status, (await refused.json()).detail]).toEqual([403, expect.stringContaining('token:revoke')]);
    expect((await revoke(mine, { by: mine })).status).toBe(200);
    expect([await statusOf(a, other), await statusOf(a, mine)]).toEqual([200, 401]);
  });

  it('is kept on record until it would have expired, and no longer than any token may live', async () => {
    const token = await a.token();
    const days = (text: string) => (Date.parse(text) - clock.now()) / 86_400_000;
    const soon = new Date(clock.now() + 1000).toISOString();
    expect(days((await (await revoke(token, { json: { expiresAt: soon } })).json()).until)).toBe(15);
    const late = new Date(clock.now() + 1e12).toISOString();
    expect(days((await (await revoke(await a.token(), { json: { expiresAt: late } })).json()).until)).toBe(366);
  });
});

describe('tokens that were issued before a time', () => {
  const revokeBefore = (json: object) => a.send('POST', '/v1/tokens/revoke', { json });

  it('are refused, of one subject or of all; later ones are not', async () => {
    const [ci, anna] = [await a.token({ subject: 'ci' }), await a.token({ subject: 'anna' })];
    await clock.advance(5000);
    const later = await a.token({ subject: 'ci' });
    const before = new Date(clock.now()).toISOString();
    expect(await (await revokeBefore({ before, subject: 'ci' })).json()).toMatchObject({ subject: 'ci', before });
    expect([await statusOf(a, ci), await statusOf(a, anna), await statusOf(a, later)]).toEqual([401, 200, 200]);
    await clock.advance(5000);
    expect((await revokeBefore({ all: true })).status).toBe(200);
    expect([await statusOf(a, anna), await statusOf(a, later), await statusOf(a, a.admin)]).toEqual([401, 401, 401]);
    expect(await statusOf(a, await a.token())).toBe(200);
  });

  it('stay so when an earlier time is said afterwards', async () => {
    const token = await a.token({ subject: 'ci' });
    await clock.advance(5000);
    await revokeBefore({ subject: 'ci' });
    const before = new Date(clock.now() - 60_000).toISOString();
    expect((await (await revokeBefore({ subject: 'ci', before })).json()).before).not.toBe(before);
    expect(await statusOf(a, token)).toBe(401);
  });

  it.each([
    [{}, '/'],
    [{ all: true, subject: 'ci' }, '/'],
    [{ all: false }, '/all'],
    [{ kind: 'robot' }, '/kind'],
    [{ node: 'NO' }, '/node'],
    [{ all: true, before: '2099-01-01T00:00:00Z' }, '/before'],
    [{ all: true, before: 'yesterday' }, '/before'],
  ])('are not told by %j', async (json, path) => {
    const response = await revokeBefore(json);
    expect([response.status, (await response.json()).faults[0].path]).toEqual([400, path]);
  });
});

describe("a node's token that is revoked", () => {
  const beat = (agent: ApiAgent, token = agent.session.nodeToken) =>
    agent.send('POST', '/v1/agent/heartbeat', { token, json: { sentAtMs: 0 } });
  const register = (token: string, node = 'edge-1') =>
    a.send('POST', '/v1/agent/register', { token, json: { node: nodeOf(node), seen: null, tasks: [] } });

  it('is neither renewed nor good to register with; the node joins again', async () => {
    const agent = await ApiAgent.register(a);
    const other = await ApiAgent.register(a, 'edge-2');
    await clock.advance(1000);
    expect((await a.send('POST', '/v1/tokens/revoke', { json: { node: 'edge-1' } })).status).toBe(200);
    expect([(await beat(agent)).status, (await register(agent.session.nodeToken)).status]).toEqual([401, 401]);
    expect((await beat(other)).status).toBe(200);
    await clock.advance(20_000);
    const joined = await register(await a.token({ kind: 'join', roles: [], actions: [] }));
    expect(joined.status).toBe(200);
    const { nodeToken, epoch } = await joined.json();
    const headers = { 'Berth-Epoch': String(epoch) };
    const answer = await a.send('POST', '/v1/agent/heartbeat', { token: nodeToken, headers, json: { sentAtMs: 0 } });
    expect(answer.status).toBe(200);
  });

  it('takes all that it was renewed to with it, and all that it was renewed from', async () => {
    const agent = await ApiAgent.register(a);
    const first = agent.session.nodeToken;
    await clock.advance(8 * 86_400_000);
    const again = await (await register(first)).json();
    agent.session = { ...agent.session, epoch: again.epoch };
    const renewed: string = (await (await beat(agent, first)).json()).nodeToken;
    expect(renewed).not.toBe(first);
    expect((await beat(agent, renewed)).status).toBe(200);
    expect((await revoke(first, { by: await a.token() })).status).toBe(200);
    expect([(await beat(agent, renewed)).status, (await beat(agent, first)).status]).toEqual([401, 401]);
  });
});

it('what is known of tokens is listed by those who may, type by type and page by page', async () => {
  const token = await a.token();
  await revoke(token);
  await a.send('POST', '/v1/tokens/revoke', { json: { kind: 'join' } });
  await clock.advance(1000);
  const make = { kind: 'join', subject: 'rack-7', usesMax: 2, nodePattern: 'edge-.*' };
  const { id } = await (await a.send('POST', '/v1/tokens', { json: make })).json();
  const list = async (query = '', by = a.admin) => a.send('GET', `/v1/tokens${query}`, { token: by });
  const { items } = await (await list()).json();
  expect(items.map(({ type }: { type: string }) => type).sort()).toEqual(['join', 'revoked', 'revoked-before']);
  expect((await (await list('?type=join')).json()).items).toMatchObject([
    { id, subject: 'rack-7', by: 'admin', usesMax: 2, usesLeft: 2, nodePattern: 'edge-.*', lastUse: null },
  ]);
  const { next } = await (await list('?limit=1')).json();
  expect((await (await list(`?limit=5&after=${encodeURIComponent(next)}`)).json()).items).toHaveLength(2);
  expect((await list('', await a.token({ actions: ['token:create'] }))).status).toBe(403);
  await clock.advance(400 * 86_400_000);
  expect((await (await list('', await a.token())).json()).items).toEqual([]);
});
