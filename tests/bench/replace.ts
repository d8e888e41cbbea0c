/**
 * How long a service is without a task whose container was killed: from the kill until the engine tells that the next one has
 * started, again where it was or as another task. Against it, in turns: a bare engine's create and start, and what the same engine takes
 * for the whole of it, from the kill of one container until another one that was made after its end has started. On the bridge the
 * engine takes down the network of what has ended before it gives it up, which no one can have back.
 */
import { LABELS } from '../../node-agent/adapters/docker/container-options.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import type { Network, Settings } from './arguments.ts';
import { tasksOf } from './berth-start.ts';
import { pause } from './child.ts';
import type { Cluster } from './cluster.ts';
import { ContainerFeed } from './container-feed.ts';
import type { Engine } from './engine.ts';
import { EventFeed } from './event-feed.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Figure, Section } from './report.ts';
import { Rest } from './rest.ts';
import { putService } from './services.ts';
import { distributionOf } from './statistics.ts';
import { containerOfTask, containersOf, IMAGE, removeContainers } from './workload.ts';

const ADDED_MS_MAX = 50;
const WARM_UP = 2;
/** Every kill is to be a first one. Between two of one task there are two of these: what ends within a second of its start is a crash. */
const REST_MS = 500;
const LOOK_MS = 20;
const SETTLED_WITHIN_MS = 30_000;

/** `in place`: a further run of the same task. `anew`: another task in its place. */
const WAYS = ['in place', 'anew'] as const;
type Way = (typeof WAYS)[number];

interface Sides {
  readonly cluster: Cluster;
  readonly engine: Engine;
  readonly containers: ContainerFeed;
  readonly events: EventFeed;
  readonly rest: Rest;
}

export async function measureReplace(cluster: Cluster, engine: Engine, settings: Settings): Promise<Section[]> {
  const containers = await ContainerFeed.open(engine);
  const events = await EventFeed.open(cluster.api);
  const sections: Section[] = [];
  for (const network of settings.networks) {
    sections.push(await measureNetwork({ cluster, engine, containers, events, rest: new Rest() }, network, settings));
  }
  containers.close();
  events.close();
  return sections;
}

async function measureNetwork(sides: Sides, network: Network, { pairs }: Settings): Promise<Section> {
  const { cluster, engine, rest } = sides;
  const meter = new ProcessorMeter([...cluster.parts, ...engineParts()]);
  const bare: Bare = { starts: [], replacements: [] };
  const berth = new Map<Way, number[]>(WAYS.map((way) => [way, []]));
  for (const way of WAYS) await putService(cluster.api, serviceOf(way, network));
  for (let number = -WARM_UP; number < pairs; number += 1) {
    const { startMs, replacementMs } = await replaceBare(sides, network, number + WARM_UP);
    if (number >= 0) bare.starts.push(startMs);
    if (number >= 0) bare.replacements.push(replacementMs);
    for (const [way, all] of berth) {
      meter.resume();
      const tookMs = await killOne(sides, nameOf(way, network));
      meter.pause();
      if (number >= 0) all.push(tookMs);
      await rest.take(REST_MS);
    }
  }
  for (const way of WAYS) {
    await cluster.api.expect({ method: 'DELETE', path: `/v1/jobs/${nameOf(way, network)}` }, 202);
  }
  await removeContainers(engine);
  return sectionOf({ bare, berth }, { network, meter, rest });
}

interface Bare {
  readonly starts: number[];
  readonly replacements: number[];
}

/** Its own kill is answered once the end is over with. */
async function replaceBare({ engine }: Sides, network: Network, number: number) {
  const [first, second] = containersOf({ name: `replace-bare-${network}-${number}`, network, count: 2 });
  if (first === undefined || second === undefined) throw new Error('two containers have two bodies');
  const beganAtMs = performance.now();
  const killed = await engine.createAndStart(first);
  const startMs = performance.now() - beganAtMs;
  const killedAtMs = performance.now();
  await engine.kill(killed);
  const next = await engine.createAndStart(second);
  const replacementMs = performance.now() - killedAtMs;
  await engine.remove([killed, next]);
  return { startMs, replacementMs };
}

async function killOne(sides: Sides, job: string): Promise<number> {
  const { engine, containers } = sides;
  const task = await runningTask(sides, job);
  const id = await containerOfTask(engine, task.id);
  const next = containers.until(`the next container of ${job}`, ({ type, labels }) => {
    return type === 'start' && labels[LABELS.job] === job;
  });
  const beganAtMs = performance.now();
  const [{ seenAtMs }] = await Promise.all([next, engine.kill(id)]);
  return seenAtMs - beganAtMs;
}

/** The only one of its job, once nothing else of it lives. A run counts as good when it has outlived the longest pause. */
async function runningTask({ cluster, events }: Sides, job: string): Promise<TaskView> {
  const deadlineMs = performance.now() + SETTLED_WITHIN_MS;
  while (performance.now() < deadlineMs) {
    const live = (await tasksOf({ api: cluster.api, feed: events }, job)).filter(({ endedAt }) => endedAt === null);
    const [task] = live;
    if (live.length === 1 && task?.state === 'running') return task;
    await pause(LOOK_MS);
  }
  throw new Error(`waited ${SETTLED_WITHIN_MS} ms in vain for a task of ${job} to run`);
}

function nameOf(way: Way, network: Network): string {
  return `replace-${way.replace(' ', '-')}-${network}`;
}

/** Neither of the two waits before the first attempt: what is measured is the way, not the pause. */
function serviceOf(way: Way, network: Network): JobSpecInput {
  const backoff = { delaySeconds: 0, factor: 1, maxDelaySeconds: 0 };
  const restart = way === 'in place' ? { inPlace: { ...backoff, max: 1000, withinSeconds: 1 } } : {};
  const resources = { cpus: 0.5, memMiB: 64 };
  const group = { count: 1, image: IMAGE, command: ['sleep', '3600'], network, resources, killGraceSeconds: 0 };
  return {
    name: nameOf(way, network),
    kind: 'service',
    update: { minHealthySeconds: 0 },
    groups: [{ ...group, backoff, restart }],
  };
}

function sectionOf(
  { bare, berth }: { bare: Bare; berth: ReadonlyMap<Way, readonly number[]> },
  { network, meter, rest }: { network: Network; meter: ProcessorMeter; rest: Rest },
): Section {
  const start = distributionOf(bare.starts);
  const replacement = distributionOf(bare.replacements);
  const figures = [...berth].flatMap(([way, all]): Figure[] => {
    const { p50 } = distributionOf(all);
    const beyond = (what: string, floorMs: number): Figure => ({
      name: `replace, ${network}: ${way}, beyond ${what}`,
      unit: 'ms',
      measured: p50 - floorMs,
      target: ADDED_MS_MAX,
      note: `at p50: ${p50.toFixed(0)} ms, against ${floorMs.toFixed(0)} ms on the bare engine`,
    });
    return [beyond('create + start', start.p50), beyond('end + create + start', replacement.p50)];
  });
  const row = (name: string, values: readonly number[]) => {
    const { p50, p95, mean, min, max } = distributionOf(values);
    return [name, p50, p95, mean, min, max];
  };
  const table = {
    title: 'From the kill until the next container has started, ms',
    columns: ['', 'p50', 'p95', 'mean', 'min', 'max'],
    rows: [
      row('bare engine: create + start', bare.starts),
      row('bare engine: end + create + start', bare.replacements),
      ...[...berth].map(([way, all]) => row(way, all)),
    ],
  };
  return {
    name: `replace, ${network} network, ${bare.starts.length} kills each`,
    figures,
    tables: [table],
    processor: meter.use(bare.starts.length * WAYS.length),
    othersPercent: rest.busyPercent,
  };
}
