/** The adapter against what gateways of several versions answer. Which of that was recorded is told in `replies/README.md`. */
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../../../control-plane/adapters/clock/system-clock.ts';
import { StoreRefusedError } from '../../../../control-plane/adapters/etcd-api/refusals.ts';
import { EtcdGatewayStore } from '../../../../control-plane/adapters/etcd-gateway/etcd-gateway-store.ts';
import {
  HistoryGoneError,
  LeaseGoneError,
  type Store,
  StoreFullError,
  StoreUnavailableError,
  type WatchBatch,
} from '../../../../control-plane/store/contract.ts';
import { InvariantError } from '../../../../shared/util/assert.ts';
import { LEASE, readReplies } from '../../../support/gateway-replies.ts';

const VALUE = '{"v":"ü"}';
const FIRST = { key: '/a/1', value: VALUE, createRevision: 2, modRevision: 2, lease: null };
const SECOND = { key: '/a/2', value: '3', createRevision: 2, modRevision: 3, lease: LEASE };
const PUT = { type: 'put', key: '/a/1', value: VALUE } as const;
const LOST = { compares: [{ key: '/a/1', modRevision: 0 }], writes: [PUT] };
const WRITE = { compares: [], writes: [PUT] };

describe.each(['v3.4', 'v3.5', 'v3.6', 'camel-case'])('replies as of %s', (version) => {
  const { replies } = readReplies(version);

  /** A store whose gateway gives these replies, one after the other; then the last one again and again. */
  function storeThatHears(...names: readonly string[]): Store {
    const queue = [...names];
    const answer = () => {
      const [name = ''] = queue.length > 1 ? queue.splice(0, 1) : queue;
      const reply = replies[name];
      if (reply === undefined) throw new Error(`${version} has no reply "${name}"`);
      return new Response(reply.body, { status: reply.status });
    };
    const clock = new SystemClock();
    return new EtcdGatewayStore({ hosts: ['http://etcd.test'], clock, fetch: async () => answer() });
  }

  test('what is read', async () => {
    expect(await storeThatHears('nothing there').get('/a/1')).toEqual({ keyValue: null, revision: 1 });
    expect(await storeThatHears('one key').get('/a/1')).toEqual({ keyValue: FIRST, revision: 2 });
    const page = await storeThatHears('a page').range({ prefix: '/a/', limit: 1 });
    expect(page).toEqual({ keyValues: [FIRST], more: true, revision: 2 });
    const all = await storeThatHears('a page with a lease').range({ prefix: '/a/' });
    expect(all).toEqual({ keyValues: [FIRST, SECOND], more: false, revision: 3 });
  });

  test('what becomes of transactions', async () => {
    expect(await storeThatHears('written').transact(WRITE)).toEqual({ committed: true, revision: 2 });
    const lost = await storeThatHears('compare failed').transact(LOST);
    expect(lost).toEqual({ committed: false, revision: 2, observed: [FIRST] });
  });

  test('leases', async () => {
    expect(await storeThatHears('lease granted').grantLease(60)).toBe(LEASE);
    expect(await storeThatHears('lease kept alive', 'one key').keepLeaseAlive(LEASE)).toBe(true);
    expect(await storeThatHears('lease kept alive too late', 'one key').keepLeaseAlive(LEASE)).toBe(false);
    expect(await storeThatHears('lease asked about').leaseSilenceSeconds(LEASE)).toBeLessThanOrEqual(1);
    expect(await storeThatHears('lease asked about too late').leaseSilenceSeconds(LEASE)).toBe(null);
    await storeThatHears('lease revoked').revokeLease(LEASE);
    await storeThatHears('lease not found').revokeLease(LEASE);
  });

  test('upkeep', async () => {
    const { revision, dbSizeBytes, dbSizeInUseBytes } = await storeThatHears('status').status();
    expect([revision, dbSizeBytes > 0, (dbSizeInUseBytes ?? 0) > 0]).toEqual([4, true, true]);
    const store = storeThatHears('status', 'defragmented');
    expect(await store.maintenance?.members()).toMatchObject([{ name: 'http://etcd.test', isLeader: true }]);
    expect(await store.maintenance?.defragment('http://etcd.test')).toBe(true);
    expect(await storeThatHears('not allowed').maintenance?.defragment('http://etcd.test')).toBe(false);
    await storeThatHears('compacted').compact(4);
    await storeThatHears('compacted before').compact(4);
    await expect(storeThatHears('yet to come').compact(1000)).rejects.toThrow(HistoryGoneError);
  });

  test.each([
    ['history gone', HistoryGoneError, 'has been compacted'],
    ['yet to come', HistoryGoneError, 'future revision'],
    ['written with a lease that has ended', LeaseGoneError, 'lease not found'],
    ['database full', StoreFullError, 'database space exceeded'],
    ['too many operations', InvariantError, 'too many operations'],
    ['token unknown', StoreRefusedError, 'invalid auth token'],
    ['nobody named', StoreRefusedError, 'user name is empty'],
    ['not allowed', StoreRefusedError, 'permission denied'],
    ['wrong password', StoreRefusedError, 'invalid user ID or password'],
    ['users not enabled', StoreRefusedError, 'authentication is not enabled'],
  ] as const)('a refusal: %s', async (name, kind, message) => {
    const failure = await storeThatHears(name)
      .transact(WRITE)
      .catch((error: Error) => error);
    expect(failure).toBeInstanceOf(kind);
    expect(String(failure)).toContain(message);
  });

  /** What a watch sees until it ends or has seen so many batches. */
  async function watched(store: Store, batchesMax: number): Promise<WatchBatch[]> {
    const end = new AbortController();
    const seen: WatchBatch[] = [];
    for await (const batch of store.watch({ prefix: '/a/', fromRevision: 2, signal: end.signal })) {
      seen.push(batch);
      if (seen.length >= batchesMax) end.abort();
    }
    return seen;
  }

  const beforeStream = ['one key', 'status'] as const;

  test('events', async () => {
    const [batch] = await watched(storeThatHears(...beforeStream, 'events'), 1);
    expect(batch).toEqual({
      revision: 4,
      events: [
        { type: 'put', keyValue: FIRST },
        { type: 'put', keyValue: { ...SECOND, value: '2', modRevision: 2, lease: null } },
        { type: 'put', keyValue: SECOND },
        { type: 'delete', key: '/a/2', modRevision: 4 },
      ],
    });
  });

  test('a watch of what is gone, or of what may not be read', async () => {
    const gone = watched(storeThatHears(...beforeStream, 'watch of what is gone'), 1);
    await expect(gone).rejects.toThrow(HistoryGoneError);
    const refused = watched(storeThatHears('not allowed'), 1);
    await expect(refused).rejects.toThrow(StoreRefusedError);
  });

  test('a watch that a token ended goes on', async () => {
    const cancelled = 'watch with a token unknown';
    const [batch] = await watched(storeThatHears(...beforeStream, cancelled, ...beforeStream, 'events'), 1);
    expect(batch?.events).toHaveLength(4);
  });

  test('a stream that breaks off with an error goes on', async () => {
    const store = storeThatHears(...beforeStream, 'stream broken', ...beforeStream, 'events');
    expect((await watched(store, 1))[0]?.events).toHaveLength(4);
  });

  test('logging in', async () => {
    const tokens: (string | null)[] = [];
    const store = new EtcdGatewayStore({
      hosts: ['http://etcd.test/'],
      clock: new SystemClock(),
      auth: { username: 'berth', password: 'right' },
      fetch: async (input, init) => {
        const name = String(input).endsWith('authenticate') ? 'logged in' : 'one key';
        tokens.push(new Headers(init?.headers).get('authorization'));
        return new Response(replies[name]?.body ?? '', { status: 200 });
      },
    });
    await store.get('/a/1');
    const { token } = JSON.parse(replies['logged in']?.body ?? '') as { token: string };
    expect(tokens).toEqual([null, token]);
  });
});

test('an error without a body that is known leaves the outcome open', async () => {
  const fetch = async () => new Response('', { status: 503 });
  const store = new EtcdGatewayStore({ hosts: ['http://etcd.test'], clock: new SystemClock(), fetch });
  await expect(store.transact(WRITE)).rejects.toThrow(StoreUnavailableError);
});

test("a platform's fetch is called as a function, not as somebody's method", async () => {
  async function fetch(this: unknown): Promise<Response> {
    if (this !== undefined) throw new TypeError('Illegal invocation');
    return new Response(readReplies('v3.4').replies['one key']?.body ?? '');
  }
  const store = new EtcdGatewayStore({ hosts: ['http://etcd.test'], clock: new SystemClock(), fetch });
  expect((await store.get('/a/1')).revision).toBe(2);
});
