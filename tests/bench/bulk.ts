/**
 * How long it takes until all containers of one job run on one node, against the best that the bare engine does with any
 * number of starts at a time. All in turns: Berth, two concurrencies, Berth, two concurrencies, and so on.
 */
import type { Network, Settings } from './arguments.ts';
import { type BerthSide, removeFromBerth, startThroughBerth } from './berth-start.ts';
import type { Cluster } from './cluster.ts';
import { type Engine, inParallel } from './engine.ts';
import { EventFeed } from './event-feed.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { median } from './statistics.ts';
import { containersOf, removeContainers, type Workload } from './workload.ts';

const RATIO_MAX = 1.1;
const WARM_UP_CONTAINERS = 4;
const REST_MS = 1000;
const CONCURRENCIES_PER_TURN = 2;

export async function measureBulk(cluster: Cluster, engine: Engine, settings: Settings): Promise<Section[]> {
  const feed = await EventFeed.open(cluster.api);
  const sections: Section[] = [];
  for (const network of settings.networks) {
    sections.push(
      await measureNetwork({ side: { api: cluster.api, feed }, engine, cluster, rest: new Rest() }, network, settings),
    );
  }
  feed.close();
  return sections;
}

interface Sides {
  readonly side: BerthSide;
  readonly engine: Engine;
  readonly cluster: Cluster;
  readonly rest: Rest;
}

interface Results {
  readonly berth: number[];
  readonly engine: ReadonlyMap<number, number[]>;
}

async function measureNetwork(sides: Sides, network: Network, settings: Settings): Promise<Section> {
  const { containers, rounds, concurrencies } = settings;
  const meter = new ProcessorMeter([...sides.cluster.parts, ...engineParts()]);
  const results: Results = { berth: [], engine: new Map(concurrencies.map((each) => [each, []])) };
  const warmUp = { name: `bulk-${network}-warm-up`, network, count: WARM_UP_CONTAINERS };
  await measureBerth(sides, warmUp, null);
  await measureEngine(sides, warmUp, 2);
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < concurrencies.length; at += CONCURRENCIES_PER_TURN) {
      const name = `bulk-${network}-${round}-${at}`;
      results.berth.push(await measureBerth(sides, { name, network, count: containers }, meter));
      for (const concurrency of concurrencies.slice(at, at + CONCURRENCIES_PER_TURN)) {
        const seconds = await measureEngine(sides, { name, network, count: containers }, concurrency);
        results.engine.get(concurrency)?.push(seconds);
      }
    }
  }
  return { ...sectionOf(results, network, settings, meter), othersPercent: sides.rest.busyPercent };
}

async function measureBerth(
  { side, engine, rest }: Sides,
  workload: Workload,
  meter: ProcessorMeter | null,
): Promise<number> {
  meter?.resume();
  const { sentAtMs, runningAtMs } = await startThroughBerth(side, workload);
  meter?.pause();
  await removeFromBerth(side, workload.name);
  await removeContainers(engine);
  await rest.take(REST_MS);
  return (runningAtMs - sentAtMs) / 1000;
}

async function measureEngine({ engine, rest }: Sides, workload: Workload, concurrency: number): Promise<number> {
  const beganAtMs = performance.now();
  await inParallel(concurrency, containersOf(workload), async (body) => {
    await engine.createAndStart(body);
  });
  const seconds = (performance.now() - beganAtMs) / 1000;
  await removeContainers(engine);
  await rest.take(REST_MS);
  return seconds;
}

function sectionOf(
  results: Results,
  network: Network,
  { containers }: Settings,
  meter: ProcessorMeter,
): Omit<Section, 'othersPercent'> {
  const engine = [...results.engine].map(([concurrency, seconds]) => ({ concurrency, seconds: median(seconds) }));
  const best = engine.reduce((a, b) => (b.seconds < a.seconds ? b : a));
  const berth = median(results.berth);
  const name = `bulk ${network}: ${containers} containers`;
  const note = `${berth.toFixed(2)} s, against ${best.seconds.toFixed(2)} s on the bare engine, ${best.concurrency} at a time`;
  return {
    name: `bulk, ${network} network, ${containers} containers`,
    figures: [{ name, unit: '×', measured: berth / best.seconds, target: RATIO_MAX, note }],
    tables: [timesTable(results, containers)],
    processor: meter.use(containers * results.berth.length),
  };
}

function timesTable({ berth, engine }: Results, containers: number): Table {
  const row = (name: string, seconds: readonly number[]) => [
    name,
    median(seconds),
    containers / median(seconds),
    seconds.map((each) => each.toFixed(2)).join(' '),
  ];
  return {
    title: 'Until all run',
    columns: ['', 's (median)', 'containers/s', 'each'],
    rows: [
      row('through Berth', berth),
      ...[...engine].map(([concurrency, seconds]) => row(`bare engine, ${concurrency} at a time`, seconds)),
    ],
  };
}
