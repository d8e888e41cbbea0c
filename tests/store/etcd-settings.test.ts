/** The etcd adapter over stores that are set up in other ways: with users, with TLS, with several members, nearly full. */
import { readFile } from 'node:fs/promises';
import { Etcd3, Range } from 'etcd3';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import type { EtcdOptions } from '../../control-plane/adapters/etcd/connection.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { StoreRefusedError } from '../../control-plane/adapters/etcd-api/refusals.ts';
import { type Store, StoreFullError, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { Mirror } from '../../control-plane/store/mirror.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import { commitOnce, OpLeases } from '../../control-plane/store/transact.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';
import { changed } from '../support/changed-store.ts';
import { freePort, startEtcd, type TestEtcd } from '../support/etcd.ts';
import { Collector, eventually, put, type Subject, write } from './conformance/harness.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PREFIX = '/settings/';
const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function etcdWith(options: Parameters<typeof startEtcd>[0]): Promise<TestEtcd> {
  const etcd = await startEtcd(options);
  cleanups.push(() => etcd.stop());
  return etcd;
}

function storeOf(options: EtcdOptions): EtcdStore {
  const store = new EtcdStore(options);
  cleanups.push(() => store.close());
  return store;
}

function subjectOf(store: Store): Subject {
  return { store, tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), prefix: () => PREFIX };
}

/** Everything that Berth does with a store, once. */
async function expectWorks(store: Store): Promise<void> {
  const lease = await store.grantLease(60);
  const revision = await write(store, put(`${PREFIX}a`, '1', lease));
  expect(await store.keepLeaseAlive(lease)).toBe(true);
  const watch = new Collector(store, PREFIX, revision);
  await eventually(subjectOf(store), 'the event', () => watch.events.length === 1);
  expect(await watch.stop()).toBe(null);
  expect((await store.range({ prefix: PREFIX })).keyValues).toHaveLength(1);
  expect((await store.status()).revision).toBeGreaterThanOrEqual(revision);
  await store.revokeLease(lease);
  await store.compact((await store.get(`${PREFIX}a`)).revision);
}

describe('an etcd with users', () => {
  const password = 'correct horse';

  /** Has the user `berth`, who may read and write below the prefix and nothing else. */
  async function etcdWithUsers(): Promise<TestEtcd> {
    const etcd = await etcdWith({});
    const admin = new Etcd3({ hosts: etcd.url });
    await admin.role('root').create();
    await (await admin.user('root').create(password)).addRole('root');
    const role = await admin.role('berth').create();
    await role.grant({ permission: 'Readwrite', range: Range.prefix(PREFIX) });
    await (await admin.user('berth').create(password)).addRole('berth');
    await admin.auth.authEnable();
    admin.close();
    return etcd;
  }

  test('lets the right one in, to what is its own', async () => {
    const etcd = await etcdWithUsers();
    const store = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password } });
    await expectWorks(store);
    await expect(store.get('/other')).rejects.toThrow(StoreRefusedError);
    expect(await new Collector(store, '/other', 1).done).toBeInstanceOf(StoreRefusedError);
  });

  test('refuses a wrong password, and nobody at all', async () => {
    const etcd = await etcdWithUsers();
    const wrong = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password: 'wrong' } });
    await expect(wrong.get(PREFIX)).rejects.toThrow(StoreRefusedError);
    await expect(storeOf({ hosts: [etcd.url] }).get(PREFIX)).rejects.toThrow(StoreRefusedError);
  });

  test('that has forgotten its sessions is logged in to again', async () => {
    const etcd = await etcdWithUsers();
    const store = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password }, requestTimeoutMs: 2000 });
    const first = await write(store, put(`${PREFIX}a`, '1'));
    const watch = new Collector(store, PREFIX, first);
    await eventually(subjectOf(store), 'the first event', () => watch.events.length === 1);
    await etcd.kill();
    await etcd.restart();
    await eventually(subjectOf(store), 'a write', () => write(store, put(`${PREFIX}a`, '2')).catch(unavailable));
    await eventually(subjectOf(store), 'the second event', () => watch.events.length >= 2);
    expect(await watch.stop()).toBe(null);
  });

  test('is refused by a store that has none', async () => {
    const etcd = await etcdWith({});
    const store = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password } });
    await expect(store.get(PREFIX)).rejects.toThrow(StoreRefusedError);
  });
});

describe('an etcd with TLS', () => {
  test('is trusted by its certificate, and only by it', async () => {
    const etcd = await etcdWith({ tls: true });
    const ca = await readFile(etcd.certificateFile, 'utf8');
    await expectWorks(storeOf({ hosts: [etcd.url], tls: { ca } }));
    const distrustful = storeOf({ hosts: [etcd.url], requestTimeoutMs: 1000 });
    await expect(distrustful.get(PREFIX)).rejects.toThrow(StoreUnavailableError);
  });

  test('is asked for by the name in its certificate, when its host has another', async () => {
    const etcd = await etcdWith({ tls: true });
    const ca = await readFile(etcd.certificateFile, 'utf8');
    const hosts = [`https://127.0.0.1:${etcd.port}`];
    await expectWorks(storeOf({ hosts, tls: { ca, serverName: 'localhost' } }));
    const misled = storeOf({ hosts, tls: { ca, serverName: 'example.org' }, requestTimeoutMs: 1000 });
    await expect(misled.get(PREFIX)).rejects.toThrow(StoreUnavailableError);
    expect(() => storeOf({ hosts, tls: { ca } })).toThrow('give the name in its certificate');
  });
});

describe('several members', () => {
  test('one that is dead is passed over', async () => {
    const etcd = await etcdWith({});
    const dead = `http://127.0.0.1:${await freePort()}`;
    const store = storeOf({ hosts: [dead, etcd.url, dead.replace('127.0.0.1', 'localhost')], requestTimeoutMs: 2000 });
    let failed = 0;
    for (let call = 0; call < 30; call++) {
      try {
        await store.get(PREFIX);
      } catch (error) {
        expect(error).toBeInstanceOf(StoreUnavailableError);
        failed += 1;
      }
    }
    // Each dead one fails at most once before it is left alone for a moment.
    expect(failed).toBeLessThanOrEqual(2);
  });

  test('one that stands still costs a caller the time of one call, and is used again when it goes on', async () => {
    const etcd = await etcdWith({});
    const wire = await TcpProxy.start(etcd.port);
    cleanups.push(() => wire.close());
    const store = storeOf({ hosts: [etcd.url, wire.url], requestTimeoutMs: 1000 });
    const isUsed = async () => {
      const before = wire.requestBytes;
      for (let call = 0; call < 20; call++) await store.get(PREFIX);
      return wire.requestBytes - before > 500;
    };
    await eventually(subjectOf(store), 'the member is used', isUsed);
    for (const direction of ['requests', 'answers'] as const) wire.hold(direction);
    let failed = 0;
    // Several times as long as a member that failed would be left alone if it were tried again by chance.
    for (const untilMs = performance.now() + 6000; performance.now() < untilMs; ) {
      await store.get(PREFIX).catch(() => {
        failed += 1;
      });
    }
    expect(failed).toBeLessThanOrEqual(1);
    wire.heal();
    await eventually(subjectOf(store), 'the member is used again', isUsed);
  });

  test('one that is slow is passed over long before a call to it has to give up', { timeout: 12_000 }, async () => {
    const etcd = await etcdWith({});
    const wire = await TcpProxy.start(etcd.port);
    cleanups.push(() => wire.close());
    const store = storeOf({ hosts: [etcd.url, wire.url], requestTimeoutMs: 60_000 });
    const subject = subjectOf(store);
    const allAnswered = () => Promise.all(Array.from({ length: 20 }, () => store.get(PREFIX))).then(() => true);
    expect(await allAnswered()).toBe(true);
    wire.hold('answers');
    await eventually(subject, 'calls go elsewhere', async () => {
      const answered = allAnswered().catch(() => false);
      return Promise.race([answered, subject.tick(700).then(() => false)]);
    });
  });

  test('when all are dead every call says so', async () => {
    const hosts = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
    const store = storeOf({ hosts, requestTimeoutMs: 1000 });
    for (let call = 0; call < 5; call++) await expect(store.get(PREFIX)).rejects.toThrow(StoreUnavailableError);
  });
});

/** etcd finds out how large it is when it commits, ten times a second: what comes in meanwhile it takes beyond its quota. */
const FILL_WRITES_MAX = 5000;

test('a full etcd refuses writes and says so; reading goes on', async () => {
  const etcd = await etcdWith({ arguments: ['--quota-backend-bytes=200000'] });
  const store = storeOf({ hosts: [etcd.url] });
  await write(store, put(`${PREFIX}small`, '1'));
  const fill = async () => {
    for (let index = 0; index < FILL_WRITES_MAX; index++) {
      await write(store, put(`${PREFIX}${index}`, 'x'.repeat(50_000)));
    }
  };
  await expect(fill()).rejects.toThrow(StoreFullError);
  expect((await store.get(`${PREFIX}small`)).keyValue?.value).toBe('1');
});

test('an etcd that fills up while many write leaves none of them in error about what was written', async () => {
  let writtenThoughFull = 0;
  for (let attempt = 0; attempt < FILLS_MAX && writtenThoughFull === 0; attempt++) {
    const { accounts, present, full } = await fillTogether();
    for (const [name, outcome] of accounts) expect([name, outcome]).toEqual([name, present.has(name) ? 'won' : 'full']);
    writtenThoughFull = full.filter((name) => present.has(name)).length;
  }
  // Without this, etcd would have kept its promise, and nothing would have been shown.
  expect(writtenThoughFull).toBeGreaterThan(0);
});

const FILLS_MAX = 10;
/** More than it takes between two commits. */
const FILLING_WRITES = 600;

/** How each of many writers fared by its own account, what is there, and whom etcd had told that it is full. */
async function fillTogether() {
  const etcd = await etcdWith({ arguments: ['--quota-backend-bytes=3000000'] });
  const store = storeOf({ hosts: [etcd.url] });
  const leases = new OpLeases({ store, clock: new SystemClock() });
  await leases.opsLease();
  const full: string[] = [];
  const watched = changed(store, {
    transact: (transaction) =>
      store.transact(transaction).catch((error) => {
        if (error instanceof StoreFullError) full.push(...transaction.writes.map((write) => write.key));
        throw error;
      }),
  });
  const accounts = await Promise.all(
    Array.from({ length: FILLING_WRITES }, async (_, index): Promise<[string, string]> => {
      const key = `${PREFIX}${index}`;
      const compares = [{ key, modRevision: 0 }];
      const operation = { opId: String(index), leases, by: 'test', compares, writes: [put(key, 'x'.repeat(50_000))] };
      const outcome = commitOnce(watched, operation).then(
        ({ committed }) => (committed ? 'won' : 'lost'),
        (error) => (error instanceof StoreFullError ? 'full' : String(error)),
      );
      return [key, await outcome];
    }),
  );
  const { keyValues } = await store.range({ prefix: PREFIX });
  return { accounts, present: new Set(keyValues.map(({ key }) => key)), full };
}

test('a mirror starts in an etcd where somebody else wrote last', async () => {
  const etcd = await etcdWith({});
  const store = storeOf({ hosts: [etcd.url] });
  const raise = (epoch: number) => putRecord('epochs', keys.epoch('n1'), { epoch, unreachableSinceMs: null });
  await write(store, raise(1));
  await write(store, put('/somebody/else', ''));
  const end = new AbortController();
  const mirror = await Mirror.start({ store, clock: new SystemClock(), signal: end.signal, log: SILENT_LOGGER });
  expect(mirror.snapshot.epochOf('n1')).toBe(1);
  expect(await mirror.waitFor(await write(store, raise(2)), { timeoutMs: 5000 })).toBe(true);
  end.abort();
  expect(await mirror.stopped).toBe(null);
});

test('connections last, with something to wait for on them and without', async () => {
  // Pings more often than each 5 s are allowed here, so that some come within the time of a test.
  const etcd = await etcdWith({ arguments: ['--grpc-keepalive-min-time=10ms'] });
  const proxy = await TcpProxy.start(etcd.port);
  cleanups.push(() => proxy.close());
  const store = storeOf({ hosts: [proxy.url], pingIntervalMs: 100, progressIntervalMs: 10_000 });
  const watch = new Collector(store, PREFIX, await write(store, put(`${PREFIX}a`, '1')));
  await eventually(subjectOf(store), 'the first event', () => watch.events.length === 1);
  const { connections, requestBytes } = proxy;
  await eventually(subjectOf(store), 'many pings', () => proxy.requestBytes > requestBytes + 20 * PING_BYTES);
  await write(store, put(`${PREFIX}a`, '2'));
  await eventually(subjectOf(store), 'the second event', () => watch.events.length === 2);
  expect(proxy.connections).toBe(connections);
  expect(await watch.stop()).toBe(null);
});

/** The header of an HTTP/2 frame and what a ping carries. */
const PING_BYTES = 17;

test('a reader that is far too slow still gets everything, once and in order', async () => {
  const etcd = await etcdWith({});
  const store = storeOf({ hosts: [etcd.url] });
  const start = await write(store, put(`${PREFIX}start`, ''));
  const abort = new AbortController();
  const watch = store.watch({ prefix: PREFIX, fromRevision: start, signal: abort.signal })[Symbol.asyncIterator]();
  await watch.next();
  let last = start;
  for (let count = 0; count < 1000; count++) last = await write(store, put(`${PREFIX}a`, String(count)));
  const seen: number[] = [];
  while (seen.at(-1) !== last) {
    const next = await watch.next();
    if (next.done) break;
    seen.push(...next.value.events.map((event) => (event.type === 'put' ? event.keyValue.modRevision : -1)));
  }
  abort.abort();
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => start + 1 + index));
  expect((await watch.next()).done).toBe(true);
});

function unavailable(error: unknown): null {
  if (error instanceof StoreUnavailableError) return null;
  throw error;
}
