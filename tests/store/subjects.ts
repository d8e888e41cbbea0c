/** The stores that the suite runs over. */
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { startEtcd } from '../support/etcd.ts';
import type { Open } from './conformance/harness.ts';
import { ManualClock } from './manual-clock.ts';

export const openMemory: Open = async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  return { store, tick: (ms) => clock.advance(ms), prefix: prefixes(), close: () => store.close() };
};

export const openEtcd: Open = async () => {
  const etcd = await startEtcd();
  const store = new EtcdStore({ hosts: [etcd.url], requestTimeoutMs: 5000 });
  return {
    store,
    tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    prefix: prefixes(),
    close: async () => {
      await store.close();
      await etcd.stop();
    },
  };
};

function prefixes(): () => string {
  let count = 0;
  return () => `/test/${++count}/`;
}
