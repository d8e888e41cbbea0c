/**
 * What the edge entry costs beside a replica: each is the only control plane of a cluster of its own, with one agent on the same engine. A
 * read, and a start from the request until the task is seen to run, in turns.
 */
import { readFileSync } from 'node:fs';
import type { BerthClient } from '../../shared/client/client.ts';
import { startEdgeCluster } from '../support/edge.ts';
import { eventually, type RealCluster, startRealCluster } from '../support/processes.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Section } from './report.ts';
import { Rest } from './rest.ts';
import { type Distribution, distributionOf } from './statistics.ts';

const READS = 200;
const STARTS = 15;
const WARM_UP = 3;
const REST_MS = 100;
const IMAGE = 'berth/busybox:local';

interface Side {
  readonly name: string;
  readonly cluster: RealCluster;
  readonly client: BerthClient;
  readonly reads: number[];
  readonly starts: number[];
}

export async function measureEdge(): Promise<Section> {
  const clusters: RealCluster[] = [];
  const begin = async (name: string, cluster: RealCluster, ports: string): Promise<Side> => {
    clusters.push(cluster);
    const [replica] = cluster.replicas;
    if (replica === undefined) throw new Error('a cluster has a control plane');
    await cluster.addAgent(name, ['--resources', `cpus=2,memMiB=512,ports=${ports}`]);
    return { name, cluster, client: replica.client, reads: [], starts: [] };
  };
  try {
    const replica = await begin('replica', await startRealCluster({ replicas: 1 }), '28000-28009');
    const edge = await begin('edge', await startEdgeCluster(), '28010-28019');
    return await measure([replica, edge]);
  } finally {
    for (const cluster of clusters) await cluster.stop();
  }
}

async function measure(sides: readonly [Side, Side]): Promise<Section> {
  const rest = new Rest();
  const meter = new ProcessorMeter(
    sides.map(({ name, cluster }) => ({
      name,
      pids: cluster.replicas.flatMap(({ process }) => (process.pid === null ? [] : withDescendants(process.pid))),
    })),
  );
  await rest.take(REST_MS);
  meter.resume();
  for (let at = -WARM_UP; at < READS; at += 1) {
    for (const side of inTurn(sides, at)) note(side.reads, at, await timed(() => side.client.status()));
  }
  for (let at = -WARM_UP; at < STARTS; at += 1) {
    for (const side of inTurn(sides, at)) note(side.starts, at, await timed(() => startOne(side, at)));
  }
  meter.pause();
  const [replica, edge] = sides;
  const rows = [
    row('a read', distributionOf(replica.reads), distributionOf(edge.reads)),
    row('request to running', distributionOf(replica.starts), distributionOf(edge.starts)),
  ];
  const figures = rows.map(([name, , , ratio]) => ({
    ...{ name: `edge: ${name}`, unit: '×' as const, measured: Number(ratio), target: null },
    note: 'median through workerd under wrangler dev, against a Node.js replica',
  }));
  const columns = ['median, ms', 'replica', 'edge', '×'];
  return {
    name: 'edge',
    figures,
    tables: [{ title: 'The edge entry beside a replica', columns, rows }],
    processor: meter.use(2 * (READS + STARTS)),
    othersPercent: rest.busyPercent,
  };
}

/** What wrangler starts does its work. */
function withDescendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => withDescendants(Number(child)))];
}

function row(name: string, replica: Distribution, edge: Distribution): (string | number)[] {
  return [name, replica.p50, edge.p50, edge.p50 / replica.p50];
}

/** Whoever comes second finds a warmer machine. */
function inTurn([a, b]: readonly [Side, Side], at: number): readonly Side[] {
  return at % 2 === 0 ? [a, b] : [b, a];
}

function note(values: number[], at: number, value: number): void {
  if (at >= 0) values.push(value);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

async function startOne({ client }: Side, at: number): Promise<void> {
  const name = `start-${at + WARM_UP}`;
  const groups = [{ image: IMAGE, command: ['true'], network: 'none' as const }];
  await client.jobs.submit({ name, groups });
  await eventually('the task to run', async () => {
    const { items } = await client.tasks.list({ job: name });
    return items.some(({ history }) => history.some(({ state }) => state === 'running'));
  });
}
