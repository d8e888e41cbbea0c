/** The tunnel between a Worker and etcd: who gets through, with what, and how it ends. */

import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdGatewayStore } from '../../../control-plane/adapters/etcd-gateway/etcd-gateway-store.ts';
import { startTunnel } from '../../support/edge.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually, type Process } from '../../support/processes.ts';

let folder: string;
let etcd: TestEtcd;
let tunnel: { url: string; secret: string; process: Process };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-tunnel-'));
  etcd = await startEtcd();
  tunnel = await startTunnel(etcd, folder);
});
afterAll(async () => {
  await tunnel?.process.stop();
  await etcd?.stop();
  await rm(folder, { recursive: true, force: true });
});

function storeThrough(secret: string): EtcdGatewayStore {
  const headers = { 'berth-tunnel-secret': secret };
  return new EtcdGatewayStore({ hosts: [tunnel.url], fetch, clock: new SystemClock(), headers });
}

async function statusOf(path: string, { secret = tunnel.secret, ...init }: RequestInit & { secret?: string } = {}) {
  const headers = secret === '' ? {} : { 'berth-tunnel-secret': secret };
  const answer = await fetch(`${tunnel.url}${path}`, { method: 'POST', body: '{"key":"YQ=="}', headers, ...init });
  await answer.text();
  return answer.status;
}

/** Of a request whose body never comes. */
function rawStatusOf(path: string, contentLength: number): Promise<number | undefined> {
  const headers = { 'berth-tunnel-secret': tunnel.secret, 'content-length': contentLength };
  return new Promise((resolve, reject) => {
    const sent = request({ port: new URL(tunnel.url).port, path, method: 'POST', headers }, (answer) => {
      resolve(answer.statusCode);
      sent.destroy();
    });
    sent.once('error', reject);
    sent.flushHeaders();
  });
}

async function watchers(): Promise<number> {
  const text = await (await fetch(`${etcd.url}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\S+)$/m.exec(text)?.[1]);
}

it('lets the adapter do all that it does', async () => {
  const store = storeThrough(tunnel.secret);
  const lease = await store.grantLease(60);
  const put = { type: 'put', key: '/berth/a', value: '1', lease } as const;
  const { revision } = await store.transact({ compares: [{ key: '/berth/a', modRevision: 0 }], writes: [put] });
  expect((await store.get('/berth/a')).keyValue).toMatchObject({ value: '1', lease });
  expect((await store.range({ prefix: '/berth/' })).keyValues).toHaveLength(1);
  expect(await store.keepLeaseAlive(lease)).toBe(true);
  expect(await store.leaseSilenceSeconds(lease)).toBeLessThan(10);
  const over = new AbortController();
  for await (const { events } of store.watch({ prefix: '/berth/', fromRevision: revision, signal: over.signal })) {
    expect(events).toMatchObject([{ type: 'put', keyValue: { key: '/berth/a' } }]);
    break;
  }
  over.abort();
  await store.revokeLease(lease);
  expect((await store.get('/berth/a')).keyValue).toBe(null);
  await store.compact((await store.status()).revision);
  await store.close();
});

it('takes the largest transaction that there is', async () => {
  const store = storeThrough(tunnel.secret);
  const value = '"'.repeat(690_000);
  const writes = ['a', 'b'].map((name) => ({ type: 'put', key: `/large/${name}`, value }) as const);
  expect(await store.transact({ compares: [], writes })).toMatchObject({ committed: true });
  await store.close();
});

describe('it refuses', () => {
  it.each([
    ['a caller without the secret', { secret: '' }, 401],
    ['one with another', { secret: 'x'.repeat(43) }, 401],
    ['another method', { method: 'GET', body: null }, 405],
    ['a body whose length is not told', { body: new Blob(['{}']).stream(), duplex: 'half' } as RequestInit, 411],
  ])('%s', async (_, init, status) => {
    expect(await statusOf('/v3/kv/range', init)).toBe(status);
  });

  it.each([
    '/v3/auth/enable',
    '/v3/auth/user/add',
    '/v3/maintenance/snapshot',
    '/v3/cluster/member/list',
    '/metrics',
    '/v3/kv/range/',
    '/v3//kv/range',
  ])('what the adapter does not ask for: %s', async (path) => expect(await statusOf(path)).toBe(404));

  it('a body that is too long, before it has come', async () => {
    expect(await rawStatusOf('/v3/kv/range', 4_194_304 + 1)).toBe(413);
  });

  it('a way around its list of paths', async () => {
    // fetch would tidy the path up before it is sent.
    expect(await rawStatusOf('/v3/kv/../auth/enable', 2)).toBe(404);
  });

  it('in a way that the store names', async () => {
    const store = storeThrough('wrong');
    await expect(store.get('/berth/a')).rejects.toThrow(/what stands before etcd wants other credentials/);
    await store.close();
  });
});

it('ends a watch at etcd as soon as nobody reads it', async () => {
  const before = await watchers();
  const over = new AbortController();
  const answer = await fetch(`${tunnel.url}/v3/watch`, {
    method: 'POST',
    body: '{"create_request":{"key":"YQ=="}}',
    headers: { 'berth-tunnel-secret': tunnel.secret },
    signal: over.signal,
  });
  await answer.body?.getReader().read();
  expect(await watchers()).toBe(before + 1);
  over.abort();
  await eventually('the watch to end', async () => (await watchers()) === before, 5000);
});
