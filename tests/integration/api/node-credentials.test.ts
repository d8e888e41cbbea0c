/** The agent's own client and its folder against a replica behind a socket: what a node shows that it is that node, over weeks. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpControlPlane } from '../../../node-agent/adapters/control-plane/http-control-plane.ts';
import { StateDir } from '../../../node-agent/adapters/journal/state-dir.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

const DAY_MS = 86_400_000;
const NODE = 'edge-1';

let clock: ManualClock;
let berth: TestApi;
let server: Server;
let folder: string;
/** Absent: the operator has taken it away. */
let joinToken: string | null;
const never = new AbortController().signal;
const ends: (() => unknown)[] = [];

beforeEach(async () => {
  clock = new ManualClock();
  berth = await startApi({ clock });
  server = createAdaptorServer({ fetch: berth.api.fetch }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  folder = await mkdtemp(join(tmpdir(), 'berth-credential-'));
  joinToken = await joinTokenFor(1);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  berth.stop();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function joinTokenFor(usesMax: number): Promise<string> {
  const json = { kind: 'join', subject: 'rack', usesMax, node: NODE };
  const token = await berth.token();
  return (await (await berth.send('POST', '/v1/tokens', { json, token })).json()).token;
}

/** What a start of the agent has of what was there before: its folder. */
async function started(name = 'state'): Promise<{ agent: HttpControlPlane; dir: StateDir }> {
  const dir = await StateDir.open({ path: join(folder, name), pid: process.pid, isRunning: () => false });
  const agent = new HttpControlPlane({
    urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
    userAgent: 'test',
    https: () => {
      throw new Error('nothing here is encrypted');
    },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    tokens: {
      readNodeToken: () => dir.readNodeToken(),
      writeNodeToken: (token) => dir.writeNodeToken(token),
      readJoinToken: async () => joinToken,
    },
  });
  ends.push(() => agent.close());
  return { agent, dir };
}

async function register(agent: HttpControlPlane): Promise<number> {
  const { epoch } = await agent.register({ node: nodeOf(NODE), seen: null, tasks: [] }, never);
  await caughtUp(berth.replica.ctx);
  return epoch;
}

async function adminSend(path: string, json: object = {}): Promise<void> {
  expect((await berth.send('POST', path, { json, token: await berth.token() })).status).toBe(200);
}

describe("a node's token", () => {
  it('is renewed before its end, kept in the folder, and good after a restart, for as long as the node is heard of', async () => {
    const { agent, dir } = await started();
    let epoch = await register(agent);
    joinToken = null;
    const first = await dir.readNodeToken();
    const ids = new Set([decodeJwt(first ?? '').jti]);
    for (let week = 0; week < 5; week++) {
      // Away for less than half of its life, and back at once: its lease is over, its token isn't.
      await clock.advance(8 * DAY_MS);
      const restarted = await started();
      epoch = await register(restarted.agent);
      await restarted.agent.heartbeat(epoch, clock.now(), never);
      ids.add(decodeJwt((await restarted.dir.readNodeToken()) ?? '').jti);
    }
    expect(ids.size).toBe(1);
    expect(await dir.readNodeToken()).not.toBe(first);
    await clock.advance(15 * DAY_MS);
    await expect(register((await started()).agent)).rejects.toMatchObject({ kind: 'unauthenticated' });
  });

  it('that is revoked takes what it is renewed to with it; the agent gets in again with a new token to join', async () => {
    const { agent, dir } = await started();
    const epoch = await register(agent);
    await clock.advance(1000);
    const id = decodeJwt((await dir.readNodeToken()) ?? '').jti ?? '';
    await adminSend(`/v1/tokens/${id}/revoke`);
    await expect(agent.heartbeat(epoch, clock.now(), never)).rejects.toMatchObject({ kind: 'unauthenticated' });
    await clock.advance(20_000);
    // Its token to join was good for one node, and has let that in: it is the same one.
    const again = await started();
    expect(await register(again.agent)).toBeGreaterThan(epoch);
    expect(decodeJwt((await again.dir.readNodeToken()) ?? '').jti).not.toBe(id);
  });

  it('on a copy of the folder is good for nothing once the machine has had to join anew', async () => {
    const { agent, dir } = await started();
    await register(agent);
    const copy = await started('copy');
    await copy.dir.writeNodeToken(await dir.readNodeToken());
    await clock.advance(15 * DAY_MS);
    joinToken = await joinTokenFor(1);
    const epoch = await register((await started()).agent);
    joinToken = null;
    await expect(register(copy.agent)).rejects.toMatchObject({ kind: 'unauthenticated' });
    await expect(copy.agent.heartbeat(epoch, clock.now(), never)).rejects.toMatchObject({ kind: 'unauthenticated' });
  });
});
