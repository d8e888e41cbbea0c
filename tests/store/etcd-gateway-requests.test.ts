/** What requests to etcd's JSON gateway need besides: tokens, tunnels and their headers, replies that fit, and an end. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { StoreRefusedError } from '../../control-plane/adapters/etcd-api/refusals.ts';
import type { GatewayOptions } from '../../control-plane/adapters/etcd-gateway/gateway.ts';
import { type Store, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { startEtcd, type TestEtcd } from '../support/etcd.ts';
import { Collector, eventually, put, type Subject, write } from './conformance/harness.ts';
import { expectInParts } from './etcd-outages.ts';
import { expectWorks, ROOT, startEtcdWithUsers, USER } from './etcd-settings.ts';
import { gatewayStore } from './subjects.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PREFIX = '/settings/';
const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function running(etcd: Promise<TestEtcd>): Promise<TestEtcd> {
  const started = await etcd;
  cleanups.push(() => started.stop());
  return started;
}

function storeOf(options: Parameters<typeof gatewayStore>[0]): Store {
  const store = gatewayStore(options);
  cleanups.push(() => store.close());
  return store;
}

function subjectOf(store: Store): Subject {
  return { store, tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), prefix: () => PREFIX };
}

/** What stands between the adapter and etcd: it sees every request, and may answer in etcd's place. */
class Between {
  readonly paths: string[] = [];
  readonly headers: Headers[] = [];
  /** Null: the request goes on to etcd, and its answer back. */
  answer: (path: string) => Response | null = () => null;
  /** What becomes of etcd's answer. */
  change: (response: Response, path: string) => Promise<Response> = async (response) => response;
  /** What becomes of a request's headers. */
  rewrite: (headers: Headers, path: string) => void = () => undefined;

  readonly fetch: GatewayOptions['fetch'] = async (input, init) => {
    const path = new URL(String(input)).pathname.replace('/v3/', '');
    const headers = new Headers(init?.headers);
    this.paths.push(path);
    this.headers.push(new Headers(headers));
    this.rewrite(headers, path);
    return this.answer(path) ?? this.change(await fetch(input, { ...init, headers }), path);
  };

  count(path: string): number {
    return this.paths.filter((one) => one === path).length;
  }
}

describe('tokens of etcd', () => {
  const logins = (between: Between) => between.count('auth/authenticate');

  /** As after somebody has changed the user: none of its tokens holds any more. */
  async function invalidate(etcd: TestEtcd): Promise<void> {
    const ask = async (path: string, body: object, token?: string) => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: token };
      const init = { method: 'POST', body: JSON.stringify(body), headers };
      return (await fetch(`${etcd.url}/v3/auth/${path}`, init)).json() as Promise<{ token?: string }>;
    };
    const { token } = await ask('authenticate', { ...ROOT, name: ROOT.username });
    await ask('user/changepw', { name: USER.username, password: USER.password }, token);
  }

  test('are asked for anew when they no longer hold, once for all who need one', async () => {
    const etcd = await running(startEtcdWithUsers());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], auth: USER, fetch: between.fetch });
    await write(store, put(`${PREFIX}a`, '1'));
    expect(logins(between)).toBe(1);
    await invalidate(etcd);
    const values = await Promise.all(Array.from({ length: 20 }, () => store.get(`${PREFIX}a`)));
    expect(new Set(values.map(({ keyValue }) => keyValue?.value))).toEqual(new Set(['1']));
    expect(logins(between)).toBe(2);
  });

  test('are asked for anew when their time is up', async () => {
    const etcd = await running(startEtcdWithUsers({ arguments: ['--auth-token-ttl=1'] }));
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], auth: USER, fetch: between.fetch });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    // A token that is used lives on, so that it may be looked for only now and then.
    const subject = { ...subjectOf(store), tick: () => new Promise<void>((resolve) => setTimeout(resolve, 2500)) };
    await eventually(subject, 'another login', async () => (await store.get(PREFIX)) && logins(between) === 2);
    expect(await write(store, put(`${PREFIX}a`, '2'))).toBe(first + 1);
  });

  test('that a write is refused for leave it to happen once', async () => {
    const etcd = await running(startEtcdWithUsers());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], auth: USER, fetch: between.fetch });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    await invalidate(etcd);
    expect(await write(store, put(`${PREFIX}a`, '2'))).toBe(first + 1);
    expect([logins(between), between.count('kv/txn')]).toEqual([2, 3]);
  });

  test('may be shared by several stores, which then log in once', async () => {
    const etcd = await running(startEtcdWithUsers());
    const [between, tokenCell] = [new Between(), { token: null }];
    for (let count = 0; count < 3; count++) {
      const store = storeOf({ hosts: [etcd.url], auth: USER, fetch: between.fetch, tokenCell });
      await store.get(PREFIX);
      await store.close();
    }
    expect(logins(between)).toBe(1);
  });

  test('that a watch is refused for are replaced, though calls with them go on to be answered', async () => {
    const etcd = await running(startEtcdWithUsers());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], auth: USER, fetch: between.fetch });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    // As where each member forgets tokens by itself: the one that is watched over no longer knows it.
    const stale = between.headers.at(-1)?.get('authorization');
    between.rewrite = (headers, path) => {
      if (path === 'watch' && headers.get('authorization') === stale) headers.set('authorization', 'forgotten.1');
    };
    const watch = new Collector(store, PREFIX, first);
    await eventually(subjectOf(store), 'the event', () => watch.events.length === 1);
    expect(await watch.stop()).toBe(null);
    expect([logins(between), between.count('watch')]).toEqual([2, 2]);
  });

  test('are not asked for over and over with a password that is wrong', async () => {
    const etcd = await running(startEtcdWithUsers());
    const between = new Between();
    const auth = { ...USER, password: 'wrong' };
    const store = storeOf({ hosts: [etcd.url], auth, fetch: between.fetch });
    for (let call = 0; call < 20; call++) {
      await expect(store.get(PREFIX)).rejects.toThrow(/logging in: .*invalid user ID or password/);
    }
    expect(logins(between)).toBeLessThanOrEqual(2);
    expect(between.count('kv/range')).toBe(0);
    await expect(store.get(PREFIX)).rejects.toThrow(StoreRefusedError);
  });
});

describe('a tunnel before etcd', () => {
  test('gets the headers that it asks for, with every request', async () => {
    const etcd = await running(startEtcdWithUsers());
    const between = new Between();
    const headers = { 'CF-Access-Client-Id': 'berth', 'CF-Access-Client-Secret': 'a secret' };
    const store = storeOf({ hosts: [etcd.url], auth: USER, headers, fetch: between.fetch });
    await expectWorks(store);
    expect(new Set(between.paths)).toContain('watch');
    expect(new Set(between.headers.map((sent) => sent.get('cf-access-client-secret')))).toEqual(new Set(['a secret']));
  });

  test("can't have the header that etcd's token takes", () => {
    const hosts = ['http://127.0.0.1:1'];
    const headers = { Authorization: 'Bearer x' };
    expect(() => gatewayStore({ hosts, auth: USER, headers })).toThrow('give a tunnel before it another one');
    expect(() => gatewayStore({ hosts, headers })).not.toThrow();
  });

  test.for([
    [302, StoreRefusedError, "redirects aren't followed"],
    [401, StoreRefusedError, 'check the extra headers'],
    [403, StoreRefusedError, 'check the extra headers'],
    [404, StoreRefusedError, 'no JSON gateway answers there'],
    [413, StoreRefusedError, 'must let requests of 4 MiB pass'],
    [429, StoreUnavailableError, 'HTTP status 429'],
    [502, StoreUnavailableError, 'HTTP status 502: <html>'],
  ] as const)('that answers %i is told from etcd', async ([status, kind, message]) => {
    const between = new Between();
    const headers = { location: 'http://127.0.0.1:1/', 'content-type': 'text/html' };
    between.answer = () => new Response('<html>no</html>', { status, headers });
    const store = storeOf({ hosts: ['http://127.0.0.1:1'], fetch: between.fetch });
    const failure = await store.transact({ compares: [], writes: [put('/a', '1')] }).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(kind);
    expect(String(failure)).toContain(message);
    expect(between.paths).toEqual(['kv/txn']);
  });

  test('that answers with something else than JSON is told from etcd', async () => {
    const between = new Between();
    between.answer = () => new Response('<html>welcome</html>');
    const store = storeOf({ hosts: ['http://127.0.0.1:1'], fetch: between.fetch });
    await expect(store.get('/a')).rejects.toThrow(StoreUnavailableError);
    await expect(store.get('/a')).rejects.toThrow('not JSON, but "<html>welcome</html>"');
  });
});

describe('a gateway that passes no more than 4 MiB on', () => {
  const CAP_BYTES = 4 * 1024 * 1024;

  /** What gateways of etcd before 3.4.9 say: they don't tell gRPC to take more. */
  function capped(): Between {
    const between = new Between();
    between.change = async (response, path) => {
      if (path === 'watch') return response;
      const text = await response.text();
      const bytes = (text.length * 3) / 4;
      if (bytes <= CAP_BYTES) return new Response(text, response);
      const message = `grpc: received message larger than max (${Math.round(bytes)} vs. ${CAP_BYTES})`;
      return Response.json({ error: message, message, code: 8 }, { status: 429 });
    };
    return between;
  }

  test('gets asked for pages that fit, and goes on to be', async () => {
    const etcd = await running(startEtcd());
    const between = capped();
    const store = storeOf({ hosts: [etcd.url], fetch: between.fetch });
    await expectInParts(store, 1_000_000);
    const before = between.count('kv/range');
    const page = await store.range({ prefix: '/faults/' });
    expect([page.keyValues.length > 0, page.more, between.count('kv/range') - before]).toEqual([true, true, 1]);
  });

  test('still tells all that stands in the way of a transaction', async () => {
    const etcd = await running(startEtcd());
    const between = capped();
    const store = storeOf({ hosts: [etcd.url], fetch: between.fetch });
    const keys = Array.from({ length: 9 }, (_, index) => `${PREFIX}${index}`);
    for (const key of keys.slice(1)) await write(store, put(key, key.repeat(90_000)));
    const compares = keys.map((key) => ({ key, modRevision: 0 }));
    const result = await store.transact({ compares, writes: [put(`${PREFIX}new`, '')] });
    if (result.committed) throw new Error('a compare fails');
    expect(result.observed.map((one) => one?.key ?? null)).toEqual([null, ...keys.slice(1)]);
    expect(result.observed.at(-1)?.value).toBe(keys.at(-1)?.repeat(90_000));
    expect((await store.get(`${PREFIX}new`)).keyValue).toBe(null);
  });

  test('leaves it open whether a transaction that it found too long has lost', async () => {
    const etcd = await running(startEtcd());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], fetch: between.fetch });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    const message = 'grpc: received message larger than max (1400000 vs. 1000000)';
    let refusals = 1;
    between.answer = (path) =>
      path === 'kv/txn' && refusals-- > 0 ? Response.json({ message, code: 8 }, { status: 429 }) : null;
    const transaction = { compares: [{ key: `${PREFIX}a`, modRevision: first }], writes: [put(`${PREFIX}a`, '2')] };
    await expect(store.transact(transaction)).rejects.toThrow(StoreUnavailableError);
    expect((await store.get(`${PREFIX}a`)).keyValue?.value).toBe('1');
  });

  test('is a matter of settings: a client may want less', async () => {
    const etcd = await running(startEtcd());
    await expectInParts(storeOf({ hosts: [etcd.url], replyBytesMax: 1_000_000 }), 300_000);
  });
});

describe('a watch over the gateway', () => {
  /** Less than connections are kept that nobody uses. */
  const QUICKLY_MS = 3000;

  test('ends at once while it waits for an answer, and takes its connection along', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
      socket.resume();
    });
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    cleanups.push(async () => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const store = storeOf({ hosts: [`http://127.0.0.1:${port}`], requestTimeoutMs: 60_000 });
    const watch = new Collector(store, PREFIX, 1);
    // The platform may open another one in its place, over which nothing has been asked yet.
    const isAsked = () => [...sockets].some(({ bytesRead }) => bytesRead > 0);
    await eventually(subjectOf(store), 'the request', isAsked);
    const begunMs = performance.now();
    expect(await watch.stop()).toBe(null);
    await eventually(subjectOf(store), 'the end of the connection', () => !isAsked());
    expect(performance.now() - begunMs).toBeLessThan(QUICKLY_MS);
  });

  /** By etcd's own account. */
  async function streamsOf(etcd: TestEtcd): Promise<number> {
    const metrics = await (await fetch(`${etcd.url}/metrics`)).text();
    return Number(/^etcd_debugging_mvcc_watch_stream_total (\d+)$/m.exec(metrics)?.[1]);
  }

  test('takes its stream along when it ends', async () => {
    const etcd = await running(startEtcd());
    const store = storeOf({ hosts: [etcd.url] });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    const watches = Array.from({ length: 8 }, () => new Collector(store, PREFIX, first));
    await eventually(subjectOf(store), 'the events', () => watches.every((watch) => watch.events.length === 1));
    expect(await streamsOf(etcd)).toBe(8);
    const begunMs = performance.now();
    expect(await Promise.all(watches.map((watch) => watch.stop()))).toEqual(watches.map(() => null));
    await eventually(subjectOf(store), 'the end of the streams', async () => (await streamsOf(etcd)) === 0);
    expect(performance.now() - begunMs).toBeLessThan(QUICKLY_MS);
  });

  test('on which nothing comes stays the same as long as nothing was written', async () => {
    const etcd = await running(startEtcd());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], progressIntervalMs: 20, requestTimeoutMs: 200, fetch: between.fetch });
    const watch = new Collector(store, PREFIX, await write(store, put(`${PREFIX}a`, '1')));
    await eventually(subjectOf(store), 'the event', () => watch.events.length === 1);
    const looks = between.count('kv/range');
    await eventually(subjectOf(store), 'many looks', () => between.count('kv/range') > looks + 30);
    expect(between.count('watch')).toBe(1);
    expect(await watch.stop()).toBe(null);
  });

  test('is opened anew when something was written elsewhere and nothing comes, and sees all the same', async () => {
    const etcd = await running(startEtcd());
    const between = new Between();
    const store = storeOf({ hosts: [etcd.url], progressIntervalMs: 20, requestTimeoutMs: 200, fetch: between.fetch });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    const watch = new Collector(store, PREFIX, first);
    await write(store, put('/elsewhere', '1'));
    await eventually(subjectOf(store), 'another stream', () => between.count('watch') > 2);
    const last = await write(store, put(`${PREFIX}a`, '2'));
    await eventually(subjectOf(store), 'the event', () => watch.events.length === 2);
    expect(watch.described).toEqual([`put ${PREFIX}a=1@${first}`, `put ${PREFIX}a=2@${last}`]);
    expect(await watch.stop()).toBe(null);
  });
});

test('a transaction is sent once, whatever becomes of it', async () => {
  const etcd = await running(startEtcd());
  const between = new Between();
  const store = storeOf({ hosts: [etcd.url], fetch: between.fetch });
  between.change = async () => {
    throw new TypeError('fetch failed', { cause: new Error('other side closed') });
  };
  await expect(write(store, put(`${PREFIX}a`, '1'))).rejects.toThrow('fetch failed: other side closed');
  between.change = async (response) => response;
  expect((await store.get(`${PREFIX}a`)).keyValue?.value).toBe('1');
  expect(between.count('kv/txn')).toBe(1);
});

test('a store that is closed ends what is under way', async () => {
  const etcd = await running(startEtcd());
  const proxy = await TcpProxy.start(etcd.port);
  cleanups.push(() => proxy.close());
  const store = storeOf({ hosts: [proxy.url], requestTimeoutMs: 60_000 });
  proxy.hold('answers');
  const call = store.get(PREFIX).catch((error: Error) => error);
  const watch = new Collector(store, PREFIX, 1);
  await eventually(subjectOf(store), 'the requests', () => proxy.heldAnswerBytes > 0);
  await store.close();
  expect(String(await call)).toContain('the store is closed');
  expect(String(await watch.done)).toContain('the store is closed');
  await expect(store.get(PREFIX)).rejects.toThrow(StoreUnavailableError);
});
