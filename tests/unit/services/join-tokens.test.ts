/** How many nodes join with one token, which, and what a node's own token is good for afterwards. */

import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, JOINER, nodeOf, stampOf } from '../../support/replica.ts';

const LEASE_MS = 10_000;

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

async function joinToken(request: object = {}): Promise<string> {
  const json = { kind: 'join', subject: 'rack-7', ...request };
  const response = await a.send('POST', '/v1/tokens', { json });
  expect(response.status).toBe(201);
  return (await response.json()).token;
}

function register(token: string, node: string, options: { berth?: TestApi; stamp?: object } = {}): Promise<Response> {
  const { berth = a, stamp } = options;
  const json = { node: nodeOf(node), seen: null, tasks: [], ...(stamp !== undefined && { stamp }) };
  return berth.send('POST', '/v1/agent/register', { token, json });
}

async function detailOf(response: Response): Promise<[number, string]> {
  return [response.status, (await response.json()).detail];
}

async function usesLeft(): Promise<unknown> {
  await caughtUp(a.replica.ctx);
  const { items } = await (await a.send('GET', '/v1/tokens?type=join')).json();
  return items.map(({ usesLeft: left, lastUse }: { usesLeft: number; lastUse: { node: string } | null }) => [
    left,
    lastUse?.node ?? null,
  ]);
}

describe('a token to join with that is counted', () => {
  it('lets as many nodes in as it says, whoever comes at once on whatever replica', async () => {
    const token = await joinToken({ usesMax: 3 });
    await caughtUp(b.replica.ctx);
    const nodes = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'];
    const answers = await Promise.all(nodes.map((node, at) => register(token, node, { berth: at % 2 === 0 ? a : b })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 403, 403, 403]);
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.nodes.size).toBe(3);
    expect(await detailOf(await register(token, 'n7'))).toEqual([
      403,
      expect.stringMatching(/may be used 3 times, and was, by node "n\d" last; make another one/),
    ]);
  });

  it('counts a node once that comes again since its answer was lost', async () => {
    const token = await joinToken({ usesMax: 2 });
    const stamp = stampOf('p'.repeat(16), { next: 's'.repeat(16) });
    for (let tries = 0; tries < 3; tries++) {
      expect((await register(token, 'n1', { stamp })).status).toBe(200);
      await clock.advance(LEASE_MS * 2);
    }
    expect(await usesLeft()).toEqual([[1, 'n1']]);
  });

  it('is not used by who is refused', async () => {
    const token = await joinToken({ usesMax: 1 });
    const other = await joinToken();
    expect((await register(other, 'n1')).status).toBe(200);
    expect((await register(token, 'n1')).status).toBe(409);
    expect(await usesLeft()).toEqual(
      expect.arrayContaining([
        [1, null],
        [null, 'n1'],
      ]),
    );
  });
});

describe('a token to join with', () => {
  it.each([
    [{ node: 'n1' }, 'n1', 'n2', 'is for node "n1"'],
    [{ nodePattern: 'rack-7-[0-9]+' }, 'rack-7-1', 'a-rack-7-1', 'match "rack-7-[0-9]+"'],
  ])('for some nodes (%j) lets only them in', async (request, good, bad, why) => {
    const token = await joinToken(request);
    expect(await detailOf(await register(token, bad))).toEqual([403, expect.stringContaining(why)]);
    expect((await register(token, good)).status).toBe(200);
  });

  it('is known on a replica that is behind', async () => {
    const token = await joinToken({ usesMax: 1 });
    expect((await register(token, 'n1', { berth: b })).status).toBe(200);
  });

  it('is good for nothing once it is revoked, or its record has gone in whatever way', async () => {
    const token = await joinToken();
    const { jti } = decodeJwt(token);
    expect((await a.send('POST', `/v1/tokens/${jti}/revoke`)).status).toBe(200);
    expect((await register(token, 'n1')).status).toBe(401);
    expect(await usesLeft()).toEqual([]);
    const other = await joinToken();
    await a.replica.ctx.store.transact({
      compares: [],
      writes: [{ type: 'delete', key: `/berth/tokens/join/${decodeJwt(other).jti}` }],
    });
    await caughtUp(a.replica.ctx);
    expect(await detailOf(await register(other, 'n1'))).toEqual([403, expect.stringContaining('not good any more')]);
  });

  it('of an earlier version, which has no record, is bounded by its time alone', async () => {
    const { token } = await a.mint.mint({ kind: 'join', subject: 'x', grants: [], node: null, ttlSeconds: 60 });
    for (const node of ['n1', 'n2', 'n3']) expect((await register(token, node)).status).toBe(200);
    await clock.advance(91_000);
    expect((await register(token, 'n4')).status).toBe(401);
  });

  it('lives for an hour unless told otherwise, and for a week at most', async () => {
    const seconds = (token: string) => {
      const { iat = 0, exp = 0 } = decodeJwt(token);
      return exp - iat;
    };
    expect([seconds(await joinToken()), seconds(await joinToken({ ttlSeconds: 604_800 }))]).toEqual([3600, 604_800]);
    const json = { kind: 'join', subject: 'x', ttlSeconds: 604_801 };
    const response = await a.send('POST', '/v1/tokens', { json });
    expect((await response.json()).faults).toEqual([
      {
        path: '/ttlSeconds',
        message: 'is too long: a token of the kind join may live for at most 7 days, not for 604801 seconds',
      },
    ]);
  });

  it.each([
    [{ kind: 'join', usesMax: 0 }, '/usesMax'],
    [{ kind: 'join', usesMax: 1001 }, '/usesMax'],
    [{ kind: 'join', node: 'NO' }, '/node'],
    [{ kind: 'join', nodePattern: '(' }, '/nodePattern'],
    [{ kind: 'user', usesMax: 1 }, '/usesMax'],
    [{ kind: 'user', node: 'n1' }, '/node'],
    [{ kind: 'user', nodePattern: 'n' }, '/nodePattern'],
    [{ kind: 'user', ttlSeconds: 90 * 86_400 + 1 }, '/ttlSeconds'],
  ])('or another one is not made of %j', async (request, path) => {
    const response = await a.send('POST', '/v1/tokens', { json: { subject: 'x', ...request } });
    expect([response.status, (await response.json()).faults[0].path]).toEqual([400, path]);
  });

  it('is one for one idempotency key, with one record', async () => {
    const headers = { 'Idempotency-Key': 'j1' };
    const make = () => a.send('POST', '/v1/tokens', { json: { kind: 'join', subject: 'x', usesMax: 1 }, headers });
    expect((await (await make()).json()).id).toBe((await (await make()).json()).id);
    expect(await usesLeft()).toEqual([[1, null]]);
  });
});

describe("a node's own token", () => {
  const beat = (token: string, epoch: number, berth = a) =>
    berth.send('POST', '/v1/agent/heartbeat', {
      token,
      headers: { 'Berth-Epoch': String(epoch) },
      json: { sentAtMs: 0 },
    });

  it('counts no more once the node has joined anew, whoever holds it and whatever it says', async () => {
    const first = await (await register(await joinToken(), 'n1')).json();
    await clock.advance(LEASE_MS * 2);
    const second = await (await register(await joinToken(), 'n1')).json();
    expect((await beat(second.nodeToken, second.epoch)).status).toBe(200);
    expect(await detailOf(await beat(first.nodeToken, second.epoch))).toEqual([
      401,
      expect.stringContaining('node "n1" has joined anew since this token was made'),
    ]);
    expect((await register(first.nodeToken, 'n1')).status).toBe(401);
    for (const [method, path] of [
      ['GET', '/v1/agent/assignment'],
      ['POST', '/v1/agent/statuses'],
      ['POST', '/v1/agent/messages'],
      ['POST', '/v1/agent/streams/abc'],
    ] as const) {
      const headers: Record<string, string> = { 'Berth-Epoch': String(second.epoch) };
      if (path.includes('streams')) headers['content-type'] = 'application/x-ndjson';
      const json = path.includes('messages') ? { taken: [], said: [] } : { statuses: [], released: [] };
      const body = method === 'GET' || path.includes('streams') ? {} : { json };
      const response = await a.send(method, path, { token: first.nodeToken, headers, ...body });
      expect([path, response.status]).toEqual([path, 401]);
    }
  });

  it('of a machine that was declared gone stays out after another one has joined under its name', async () => {
    const first = await (await register(await joinToken(), 'n1')).json();
    await clock.advance(LEASE_MS * 2);
    await caughtUp(a.replica.ctx);
    expect((await a.send('POST', '/v1/nodes/n1/gone')).status).toBe(200);
    await caughtUp(a.replica.ctx);
    await a.replica.settle();
    expect((await register(first.nodeToken, 'n1')).status).toBe(410);
    const second = await register(await joinToken(), 'n1');
    expect(second.status).toBe(200);
    const { epoch } = await second.json();
    expect([(await beat(first.nodeToken, epoch)).status, (await register(first.nodeToken, 'n1')).status]).toEqual([
      401, 401,
    ]);
  });

  it('of before ids were noted is taken, and is the one from the next registration on', async () => {
    const mintOlder = async () => {
      const { ctx } = a.replica;
      await registerNode(ctx, JOINER, { node: nodeOf('n1'), seen: null, tasks: [] });
      const terms = { kind: 'node', subject: 'n1', grants: [], node: 'n1', ttlSeconds: 600 } as const;
      return [(await a.mint.mint(terms)).token, (await a.mint.mint(terms)).token] as const;
    };
    const [latest, former] = await mintOlder();
    expect([(await beat(latest, 1)).status, (await beat(former, 1)).status]).toEqual([200, 200]);
    const { nodeToken, epoch } = await (await register(latest, 'n1')).json();
    expect(decodeJwt(nodeToken).jti).toBe(decodeJwt(latest).jti);
    expect([(await beat(nodeToken, epoch)).status, (await beat(former, epoch)).status]).toEqual([200, 401]);
  });

  it('keeps its id when the node registers with it, so that nothing changes for the one before', async () => {
    const first = await (await register(await joinToken(), 'n1')).json();
    const again = await (await register(first.nodeToken, 'n1', { berth: b })).json();
    expect(decodeJwt(again.nodeToken).jti).toBe(decodeJwt(first.nodeToken).jti);
    expect((await beat(first.nodeToken, again.epoch)).status).toBe(200);
  });

  it('is no other node’s', async () => {
    const { nodeToken } = await (await register(await joinToken(), 'n1')).json();
    const other = await (await register(await joinToken(), 'n2')).json();
    expect((await register(nodeToken, 'n2')).status).toBe(403);
    // Under the epoch of the other one it still speaks for its own node only.
    expect((await beat(nodeToken, other.epoch + 5)).status).toBe(409);
  });
});
