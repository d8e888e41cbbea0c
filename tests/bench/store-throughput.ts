/** What the store's contract costs on top of etcd: transactions through our adapter against bare puts, in turns, on an etcd of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
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
  const store = new EtcdStore({ hosts: [url] });
  const bare = new Etcd3({ hosts: [url] });
  const rest = new Rest();
  const meter = new ProcessorMeter(children.map(({ name, pid }) => ({ name, pids: [pid] })));
  const rows: (string | number)[][] = [];
  let operations = 0;
  for (const concurrency of CONCURRENCIES) {
    const rates: { puts: number[]; transactions: number[] } = { puts: [], transactions: [] };
    for (let round = -1; round < ROUNDS; round += 1) {
      await rest.take(REST_MS);
      meter.resume();
      const puts = await perSecond(concurrency, (at) => putOnce(bare, `bare/${concurrency}/${round}/${at}`));
      const transactions = await perSecond(concurrency, (at) =>
        transactOnce(store, `ours/${concurrency}/${round}/${at}`),
      );
      meter.pause();
      operations += 2 * OPERATIONS[concurrency];
      // The first round only warms up.
      if (round < 0) continue;
      rates.puts.push(puts);
      rates.transactions.push(transactions);
    }
    rows.push([
      concurrency,
      median(rates.puts),
      median(rates.transactions),
      median(rates.transactions) / median(rates.puts),
    ]);
  }
  await store.close();
  bare.close();
  const many = rows.at(-1) ?? [];
  const figure = { name: `store: transactions, ${many[0]} at a time`, unit: '/s', measured: Number(many[2]) } as const;
  return {
    name: 'store',
    figures: [{ ...figure, target: null, note: `bare etcd: ${Number(many[1]).toFixed(0)} puts/s` }],
    tables: [{ title: 'Per second', columns: ['at a time', 'bare puts', 'transactions', '×'], rows }],
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
async function transactOnce(store: EtcdStore, key: string): Promise<void> {
  const compares = [{ key, modRevision: 0 }];
  const result = await store.transact({ compares, writes: [{ type: 'put', key, value: VALUE }] });
  if (!result.committed) throw new Error(`${key} was there before`);
}
