/** What an etcd that fails does to the adapter over gRPC. */
import { expect, test } from 'vitest';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { startEtcd } from '../support/etcd.ts';
import { eventually } from '../support/processes.ts';
import { Collector, put, write } from './conformance/harness.ts';
import { etcdOutages, expectInParts } from './etcd-outages.ts';
import { TIMING } from './faults/place.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PREFIX = '/faults/';

etcdOutages((hosts, timing) => new EtcdStore({ hosts, ...timing }));

test('asking about leases and ending watches opens no further connections', async () => {
  const etcd = await startEtcd();
  const proxy = await TcpProxy.start(etcd.port);
  const far = new EtcdStore({ hosts: [proxy.url], ...TIMING });
  const lease = await far.grantLease(60);
  const askAndWatch = async () => {
    expect(await far.keepLeaseAlive(lease)).toBe(true);
    const watch = new Collector(far, PREFIX, await write(far, put(`${PREFIX}a`, '')));
    await eventually('the event', async () => watch.events.length === 1);
    expect(await watch.stop()).toBe(null);
  };
  await askAndWatch();
  const { connections } = proxy;
  for (let round = 0; round < 5; round++) await askAndWatch();
  expect(proxy.connections).toBe(connections);
  await far.close();
  await proxy.close();
  await etcd.stop();
});

test('a page that is longer than an answer may be comes in parts', async () => {
  const etcd = await startEtcd();
  const small = new EtcdStore({ hosts: [etcd.url], answerBytesMax: 1_000_000 });
  await expectInParts(small, 300_000);
  await small.close();
  await etcd.stop();
});
