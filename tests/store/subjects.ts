/** The stores that the suite runs over. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { EtcdGatewayStore } from '../../control-plane/adapters/etcd-gateway/etcd-gateway-store.ts';
import type { GatewayOptions } from '../../control-plane/adapters/etcd-gateway/gateway.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import type { Store } from '../../control-plane/store/contract.ts';
import { startEtcd } from '../support/etcd.ts';
import type { Open } from './conformance/harness.ts';
import { ManualClock } from './manual-clock.ts';

export const openMemory: Open = async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  return { store, tick: (ms) => clock.advance(ms), prefix: prefixes(), close: () => store.close() };
};

export const openEtcd: Open = () => openOver((url) => new EtcdStore({ hosts: [url], requestTimeoutMs: 5000 }));

export const openEtcdGateway: Open = () => openOver((url) => gatewayStore({ hosts: [url] }));

/** The platform's own `fetch` and clock, as Node.js has them. */
export function gatewayStore(
  options: Omit<GatewayOptions, 'fetch' | 'clock'> & Partial<GatewayOptions>,
): EtcdGatewayStore {
  return new EtcdGatewayStore({ fetch: globalThis.fetch, clock: new SystemClock(), ...options });
}

async function openOver(connect: (url: string) => Store): ReturnType<Open> {
  const etcd = await startEtcd();
  const store = connect(etcd.url);
  return {
    store,
    tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    prefix: prefixes(),
    close: async () => {
      await store.close();
      await etcd.stop();
    },
  };
}

function prefixes(): () => string {
  let count = 0;
  return () => `/test/${++count}/`;
}
