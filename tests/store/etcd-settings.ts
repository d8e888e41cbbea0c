/** How an adapter of etcd fares with users, with several members, and with an etcd that is full. */
import { Etcd3, Range } from 'etcd3';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
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

export interface SettingsOptions {
  readonly hosts: readonly string[];
  readonly auth?: { readonly username: string; readonly password: string };
  readonly requestTimeoutMs?: number;
}

/** Runs the suite over an adapter that reaches etcd by TCP connections to its hosts. */
export function etcdSettings(connect: (options: SettingsOptions) => Store): void {
  const cleanups: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function etcdWith(options: Parameters<typeof startEtcd>[0]): Promise<TestEtcd> {
    const etcd = await startEtcd(options);
    cleanups.push(() => etcd.stop());
    return etcd;
  }

  function storeOf(options: SettingsOptions): Store {
    const store = connect(options);
    cleanups.push(() => store.close());
    return store;
  }

  describe('an etcd with users', () => {
    test('lets the right one in, to what is its own', async () => {
      const etcd = await startEtcdWithUsers();
      cleanups.push(() => etcd.stop());
      const store = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password } });
      await expectWorks(store);
      await expect(store.get('/other')).rejects.toThrow(StoreRefusedError);
      expect(await new Collector(store, '/other', 1).done).toBeInstanceOf(StoreRefusedError);
    });

    test('refuses a wrong password, and nobody at all', async () => {
      const etcd = await startEtcdWithUsers();
      cleanups.push(() => etcd.stop());
      const wrong = storeOf({ hosts: [etcd.url], auth: { username: 'berth', password: 'wrong' } });
      await expect(wrong.get(PREFIX)).rejects.toThrow(StoreRefusedError);
      await expect(storeOf({ hosts: [etcd.url] }).get(PREFIX)).rejects.toThrow(StoreRefusedError);
    });

    test('that has forgotten its sessions is logged in to again', async () => {
      const etcd = await startEtcdWithUsers();
      cleanups.push(() => etcd.stop());
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

  describe('several members', () => {
    test('one that is dead is passed over', async () => {
      const etcd = await etcdWith({});
      const dead = `http://127.0.0.1:${await freePort()}`;
      const store = storeOf({
        hosts: [dead, etcd.url, dead.replace('127.0.0.1', 'localhost')],
        requestTimeoutMs: 2000,
      });
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
      for (const [name, outcome] of accounts)
        expect([name, outcome]).toEqual([name, present.has(name) ? 'won' : 'full']);
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
    return { accounts, present: new Set(await keysOf(store)), full };
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
}

const password = 'correct horse';

export const ROOT = { username: 'root', password } as const;
export const USER = { username: 'berth', password };

/** Has the user `berth`, who may read and write below the prefix and nothing else. */
export async function startEtcdWithUsers(options: Parameters<typeof startEtcd>[0] = {}): Promise<TestEtcd> {
  const etcd = await startEtcd(options);
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

/** Everything that Berth does with a store, once. */
export async function expectWorks(store: Store): Promise<void> {
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

function subjectOf(store: Store): Subject {
  return { store, tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), prefix: () => PREFIX };
}

function unavailable(error: unknown): null {
  if (error instanceof StoreUnavailableError) return null;
  throw error;
}

/** All of them, on however many pages. */
async function keysOf(store: Store): Promise<string[]> {
  const found: string[] = [];
  for (let more = true; more; ) {
    const after = found.at(-1);
    const page = await store.range({ prefix: PREFIX, ...(after === undefined ? {} : { after }) });
    found.push(...page.keyValues.map(({ key }) => key));
    more = page.more;
  }
  return found;
}
