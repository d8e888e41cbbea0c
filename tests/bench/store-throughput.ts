/**
 * What the store's contract costs on top of etcd: transactions through our adapters, over gRPC and over the JSON gateway, against bare
 * puts, in turns, on an etcd of their own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { EtcdGatewayStore } from '../../control-plane/adapters/etcd-gateway/etcd-gateway-store.ts';
import type { Store } from '../../control-plane/store/contract.ts';
import { Child } from './child.ts';
import { startEtcd } from './cluster.ts';
import { inParallel } from './engine.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Section } from './report.ts';
import { Rest } from './rest.ts';
import { median } from './statistics.ts';

const CONCURRENCIES = [1, 64] as const;
const ROUNDS = 3;
const REST_MS = 250;
const OPERATIONS = { 1: 300, 64: 3000 } as const;
const VALUE = JSON.stringify({ text: 'x'.repeat(180) });

export async function measureStore(): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-store-'));
  const children: Child[] = [];
  const start = (name: string, command: string, args: readonly string[]) => {
    const child = new Child({ name, command, args, logFile: join(folder, `${name}.log`) });
    children.push(child);
    return child;
  };
  try {
    const url = await startEtcd(folder, start);
    return await measure(url, children);
  } finally {
    for (const child of children) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(url: string, children: readonly Child[]): Promise<Section> {
  const bare = new Etcd3({ hosts: [url] });
  const grpc = new EtcdStore({ hosts: [url] });
  const gateway = new EtcdGatewayStore({ hosts: [url], fetch: globalThis.fetch, clock: new SystemClock() });
  const arms: readonly ((key: string) => Promise<unknown>)[] = [
    (key) => putOnce(bare, key),
    (key) => transactOnce(grpc, key),
    (key) => transactOnce(gateway, key),
  ];
  const rest = new Rest();
  const meter = new ProcessorMeter(children.map(({ name, pid }) => ({ name, pids: [pid] })));
  const rows: number[][] = [];
  let operations = 0;
  for (const concurrency of CONCURRENCIES) {
    const rates = arms.map((): number[] => []);
    for (let round = -1; round < ROUNDS; round += 1) {
      await rest.take(REST_MS);
      meter.resume();
      for (const [arm, once] of arms.entries()) {
        const rate = await perSecond(concurrency, (at) => once(`${arm}/${concurrency}/${round}/${at}`));
        // The first round only warms up.
        if (round >= 0) rates[arm]?.push(rate);
      }
      meter.pause();
      operations += arms.length * OPERATIONS[concurrency];
    }
    const [puts = 0, overGrpc = 0, overGateway = 0] = rates.map(median);
    rows.push([concurrency, puts, overGrpc, overGrpc / puts, overGateway, overGateway / puts]);
  }
  await Promise.all([grpc.close(), gateway.close()]);
  bare.close();
  const [many = 0, puts = 0, overGrpc = 0, , overGateway = 0] = rows.at(-1) ?? [];
  const note = `bare etcd: ${puts.toFixed(0)} puts/s`;
  const figure = { unit: '/s', target: null, note } as const;
  const columns = ['at a time', 'bare puts', 'transactions', '×', 'over the gateway', '×'];
  return {
    name: 'store',
    figures: [
      { ...figure, name: `store: transactions, ${many} at a time`, measured: overGrpc },
      { ...figure, name: `store: the same over the JSON gateway`, measured: overGateway },
    ],
    tables: [{ title: 'Per second', columns, rows }],
    processor: meter.use(operations),
    othersPercent: rest.busyPercent,
  };
}

async function perSecond(
  concurrency: keyof typeof OPERATIONS,
  once: (at: number) => Promise<unknown>,
): Promise<number> {
  const count = OPERATIONS[concurrency];
  const beganAtMs = performance.now();
  await inParallel(
    concurrency,
    Array.from({ length: count }, (_, at) => at),
    async (at) => {
      await once(at);
    },
  );
  return (1000 * count) / (performance.now() - beganAtMs);
}

function putOnce(bare: Etcd3, key: string): Promise<unknown> {
  return bare.kv.put({ key: Buffer.from(key), value: Buffer.from(VALUE) });
}

/** One compare and one put: the least that a write of ours is. */
async function transactOnce(store: Store, key: string): Promise<void> {
  const compares = [{ key, modRevision: 0 }];
  const result = await store.transact({ compares, writes: [{ type: 'put', key, value: VALUE }] });
  if (!result.committed) throw new Error(`${key} was there before`);
}
