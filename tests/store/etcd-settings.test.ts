/** The etcd adapter over stores that are set up in other ways: with users, with TLS, with several members, nearly full. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { EtcdOptions } from '../../control-plane/adapters/etcd/connection.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { type Store, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { startEtcd, type TestEtcd } from '../support/etcd.ts';
import { Collector, eventually, put, type Subject, write } from './conformance/harness.ts';
import { etcdSettings, expectWorks } from './etcd-settings.ts';
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

etcdSettings((options) => new EtcdStore(options));

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
