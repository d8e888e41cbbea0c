/**
 * How much later a container runs when it is asked for through Berth. Pairs: one start through Berth, one on the engine's
 * own API, right after each other and in turns first, so that whatever the machine is up to meets both.
 */

import type { Settings } from './arguments.ts';
import { type BerthSide, type BerthStart, removeFromBerth, startThroughBerth, tasksOf } from './berth-start.ts';
import type { Cluster } from './cluster.ts';
import { type Engine, timesOf } from './engine.ts';
import { EventFeed } from './event-feed.ts';
import { type Stages, stagesOf, stageTable } from './latency-stages.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf } from './statistics.ts';
import { containerOfTask, containersOf, removeContainers, type Workload } from './workload.ts';

const WARM_UP_PAIRS = 3;
const ADDED_MS_P50_MAX = 25;
const ADDED_MS_P99_MAX = 100;
/** What removing containers sets off in the kernel ends a little after the engine has answered. */
const REST_MS = 50;

interface Pair {
  readonly engineMs: number;
  readonly berthMs: number;
  readonly stages: Stages;
}

export async function measureLatency(
  cluster: Cluster,
  engine: Engine,
  { networks, pairs }: Settings,
): Promise<Section[]> {
  const sections: Section[] = [];
  const side: BerthSide = { api: cluster.api, feed: await EventFeed.open(cluster.api) };
  for (const network of networks) {
    const measured: Pair[] = [];
    const rest = new Rest();
    const meter = new ProcessorMeter([...cluster.parts, ...engineParts()]);
    for (let number = -WARM_UP_PAIRS; number < pairs; number += 1) {
      const name = `latency-${network}-${number + WARM_UP_PAIRS}`;
      const isWarmUp = number < 0;
      const pair = await measurePair(
        { side, engine, rest, meter: isWarmUp ? null : meter },
        { name, network, count: 1 },
        number,
      );
      if (!isWarmUp) measured.push(pair);
    }
    sections.push({
      name: `latency, ${network} network, ${pairs} pairs`,
      figures: figuresOf(measured, network),
      tables: [comparison(measured), stageTable(measured.map(({ stages }) => stages))],
      processor: meter.use(pairs),
      othersPercent: rest.busyPercent,
    });
  }
  side.feed.close();
  return sections;
}

interface Sides {
  readonly side: BerthSide;
  readonly engine: Engine;
  readonly rest: Rest;
  /** Runs while Berth starts something; null: nothing is metered. */
  readonly meter: ProcessorMeter | null;
}

async function measurePair(sides: Sides, workload: Workload, number: number): Promise<Pair> {
  if (number % 2 === 0) {
    const engineMs = await measureEngine(sides, workload);
    return { engineMs, ...(await measureBerth(sides, workload)) };
  }
  const berth = await measureBerth(sides, workload);
  return { ...berth, engineMs: await measureEngine(sides, workload) };
}

async function measureEngine({ engine, rest }: Sides, workload: Workload): Promise<number> {
  const bodies = containersOf(workload);
  const beganAtMs = performance.now();
  for (const body of bodies) await engine.createAndStart(body);
  const tookMs = performance.now() - beganAtMs;
  await removeContainers(engine);
  await rest.take(REST_MS);
  return tookMs;
}

async function measureBerth(
  { side, engine, rest, meter }: Sides,
  workload: Workload,
): Promise<{ berthMs: number; stages: Stages }> {
  meter?.resume();
  const start = await startThroughBerth(side, workload);
  meter?.pause();
  const stages = await whereTimeWent(side, engine, start);
  await removeFromBerth(side, workload.name);
  await removeContainers(engine);
  await rest.take(REST_MS);
  return { berthMs: start.runningAtMs - start.sentAtMs, stages };
}

async function whereTimeWent(side: BerthSide, engine: Engine, start: BerthStart): Promise<Stages> {
  const [task] = await tasksOf(side, start.job.name);
  if (task === undefined) throw new Error(`${start.job.name} has no task`);
  const container = await engine.inspect(await containerOfTask(engine, task.id));
  return stagesOf(start, task, timesOf(container));
}

function figuresOf(pairs: readonly Pair[], network: string): Figure[] {
  const [berth, engine, paired] = [throughBerth(pairs), onEngine(pairs), withinPairs(pairs)].map(distributionOf);
  if (berth === undefined || engine === undefined || paired === undefined) throw new Error('pairs have been measured');
  const own = distributionOf(pairs.map(({ berthMs, stages }) => berthMs - stages.engine));
  const scatter = distributionOf(scatterOf(onEngine(pairs)));
  const figure = (what: string, measured: number, target: number | null, note: string): Figure => {
    return { name: `latency ${network}: ${what}`, unit: 'ms', measured, target, note };
  };
  const against = (one: number, other: number) =>
    `${one.toFixed(0)} ms, against ${other.toFixed(0)} ms on the bare engine`;
  const noise = `the bare engine against itself: ${scatter.p99.toFixed(0)} ms`;
  return [
    figure('added at p50', berth.p50 - engine.p50, ADDED_MS_P50_MAX, against(berth.p50, engine.p50)),
    figure('added at p99', berth.p99 - engine.p99, ADDED_MS_P99_MAX, against(berth.p99, engine.p99)),
    figure('added within a pair, p50', paired.p50, ADDED_MS_P50_MAX, 'median of the differences within each pair'),
    figure('added within a pair, p99', paired.p99, null, `mostly the engine's scatter; ${noise}`),
    figure("Berth's own, p50", own.p50, ADDED_MS_P50_MAX, 'a start less what the engine took within it'),
    figure("Berth's own, p99", own.p99, ADDED_MS_P99_MAX, 'the same'),
  ];
}

function throughBerth(pairs: readonly Pair[]): number[] {
  return pairs.map(({ berthMs }) => berthMs);
}

function onEngine(pairs: readonly Pair[]): number[] {
  return pairs.map(({ engineMs }) => engineMs);
}

function withinPairs(pairs: readonly Pair[]): number[] {
  return pairs.map(({ berthMs, engineMs }) => berthMs - engineMs);
}

/** What pairs would show of one and the same thing: each value against the one before. */
function scatterOf(values: readonly number[]): number[] {
  return values.slice(1).map((value, at) => value - (values[at] ?? value));
}

function comparison(pairs: readonly Pair[]): Table {
  const row = (name: string, values: readonly number[]) => {
    const { p50, p95, p99, mean, min, max } = distributionOf(values);
    return [name, p50, p95, p99, mean, min, max];
  };
  return {
    title: 'From the request until it runs, ms',
    columns: ['', 'p50', 'p95', 'p99', 'mean', 'min', 'max'],
    rows: [
      row('bare engine: create + start', onEngine(pairs)),
      row('through Berth: POST → running seen', throughBerth(pairs)),
      row('added, within each pair', withinPairs(pairs)),
      row('bare engine, each against the one before', scatterOf(onEngine(pairs))),
    ],
  };
}
