/**
 * How long it takes to exchange all tasks of a service, some at a time, through Berth and through Docker Swarm: on one engine, which is
 * nobody else's, in turns, with the same container and the same order. The engine is the witness for both: from the request until it
 * has told of the last start of a new container and of the last end of an old one. Beside both stands what the engine alone takes to
 * start as many and end as many, with nobody in between.
 */
import { LABELS } from '../../node-agent/adapters/docker/container-options.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import type { Network, Settings } from './arguments.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { type ContainerEvent, ContainerFeed } from './container-feed.ts';
import { type ContainerBody, type Engine, inParallel } from './engine.ts';
import { LoneEngine } from './lone-engine.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { deployed, ENDS_AT_ONCE, putService, updateOf } from './services.ts';
import { median } from './statistics.ts';
import { type Order, SWARM_SERVICE_LABEL, SwarmService } from './swarm.ts';
import { containersOf, IMAGE } from './workload.ts';

const RATIO_MAX = 0.6;
const REPLICAS = 20;
const PARALLELISM = 5;
/** What the engine does most of in the same time. */
const AT_A_TIME = 3;
const ORDERS: readonly Order[] = ['stop-first', 'start-first'];
const REST_MS = 500;

export async function* measureRolling(settings: Settings): AsyncGenerator<Section> {
  const engine = await LoneEngine.start(IMAGE);
  try {
    await SwarmService.init(engine.api);
    const cluster = await startCluster({ profiles: settings.profiles, engineSocket: engine.socketPath });
    try {
      const feed = await ContainerFeed.open(engine.api);
      for (const network of settings.networks) {
        const name = `rolling-${network}`;
        const swarm = await startSwarmService(engine, feed, { name, network });
        yield* await measureNetwork(
          { cluster, engine: engine.api, feed, swarm, name, network, rest: new Rest() },
          settings,
        );
        await swarm.remove();
        await cluster.api.expect({ method: 'DELETE', path: `/v1/jobs/${name}` }, 202);
      }
      feed.close();
    } finally {
      await cluster.stop();
    }
  } finally {
    await engine.stop();
  }
}

interface Sides {
  readonly cluster: Cluster;
  readonly engine: Engine;
  readonly feed: ContainerFeed;
  readonly swarm: SwarmService;
  /** Of the job, and of the swarm's service. */
  readonly name: string;
  readonly network: Network;
  readonly rest: Rest;
}

interface Times {
  readonly berth: number[];
  readonly swarm: number[];
  readonly bare: number[];
}

async function startSwarmService(
  engine: LoneEngine,
  feed: ContainerFeed,
  { name, network }: { name: string; network: Network },
): Promise<SwarmService> {
  let started = 0;
  const all = feed.until('the swarm to start its service', (event) => {
    if (isOfSwarm(name)(event) && event.type === 'start') started += 1;
    return started === REPLICAS;
  });
  const options = { name, network, image: IMAGE, command: ENDS_AT_ONCE, replicas: REPLICAS, parallelism: PARALLELISM };
  const service = await SwarmService.create(engine.api, options);
  await all;
  return service;
}

async function measureNetwork(sides: Sides, settings: Settings): Promise<Section[]> {
  const meter = new ProcessorMeter([...sides.cluster.parts, ...engineParts()]);
  const times = new Map<Order, Times>(ORDERS.map((order) => [order, { berth: [], swarm: [], bare: [] }]));
  // One more round than is counted: the first is the warm-up.
  for (let round = 0; round <= settings.rolls; round += 1) {
    for (const [order, { berth, swarm, bare }] of times) {
      const counts = round > 0;
      const berthSeconds = await rollBerth(sides, order, counts ? meter : null);
      const swarmSeconds = await rollSwarm(sides, order);
      if (counts) berth.push(berthSeconds);
      if (counts) swarm.push(swarmSeconds);
      const bareSeconds = await exchangeBare(sides, order);
      if (counts) bare.push(bareSeconds);
    }
  }
  return [sectionOf(times, sides, meter, settings)];
}

async function rollBerth(
  { cluster, feed, name, network, rest }: Sides,
  order: Order,
  meter: ProcessorMeter | null,
): Promise<number> {
  await putService(cluster.api, serviceOf(name, network, order));
  await rest.take(REST_MS);
  const isOurs = ({ labels }: ContainerEvent) => labels[LABELS.job] === name;
  const seconds = await timed(feed, isOurs, async () => {
    meter?.resume();
    await cluster.api.expect({ method: 'POST', path: `/v1/jobs/${name}/restart`, body: {} }, 200);
  });
  meter?.pause();
  await deployed(cluster.api, name);
  return seconds;
}

async function rollSwarm({ feed, swarm, name, rest }: Sides, order: Order): Promise<number> {
  await rest.take(REST_MS);
  const seconds = await timed(feed, isOfSwarm(name), () => swarm.roll(order));
  await swarm.settled();
  return seconds;
}

/** In the same order, as many of each at a time as the engine does best with. */
async function exchangeBare({ engine, name, network, rest }: Sides, order: Order): Promise<number> {
  await rest.take(REST_MS);
  const bodies = containersOf({ name: `${name}-bare`, network, count: 2 * REPLICAS }).map((body) => ({
    ...body,
    Entrypoint: ENDS_AT_ONCE,
    Cmd: [],
  }));
  const next: string[] = [];
  const old: string[] = [];
  const startInto = (started: string[], body: ContainerBody) =>
    engine.createAndStart(body).then((id) => void started.push(id));
  await inParallel(AT_A_TIME, bodies.slice(0, REPLICAS), (body) => startInto(old, body));
  const ends: Promise<void>[] = [];
  const beganAtMs = performance.now();
  const exchanges = bodies.slice(REPLICAS).map((body, index) => ({ body, going: old[index] ?? '' }));
  await inParallel(AT_A_TIME, exchanges, async ({ body, going }) => {
    if (order === 'stop-first') await engine.stop(going);
    await startInto(next, body);
    if (order === 'start-first') ends.push(engine.stop(going));
  });
  await Promise.all(ends);
  const seconds = (performance.now() - beganAtMs) / 1000;
  await engine.remove([...old, ...next]);
  return seconds;
}

function isOfSwarm(name: string): (event: ContainerEvent) => boolean {
  return ({ labels }) => labels[SWARM_SERVICE_LABEL] === name;
}

/** In seconds, from before `ask` until so many have been started, and as many have ended. */
async function timed(
  feed: ContainerFeed,
  counts: (event: ContainerEvent) => boolean,
  ask: () => Promise<void>,
): Promise<number> {
  const seen = { start: 0, die: 0 };
  const last = feed.until('all to be exchanged', (event) => {
    if (counts(event)) seen[event.type] += 1;
    return seen.start >= REPLICAS && seen.die >= REPLICAS;
  });
  const beganAtMs = performance.now();
  const [{ seenAtMs }] = await Promise.all([last, ask()]);
  return (seenAtMs - beganAtMs) / 1000;
}

function serviceOf(name: string, network: Network, order: Order): JobSpecInput {
  const group = { count: REPLICAS, image: IMAGE, command: ENDS_AT_ONCE, network };
  const resources = { cpus: 0.5, memMiB: 64 };
  const update = updateOf(order, { count: REPLICAS, parallelism: PARALLELISM });
  return { name, kind: 'service', update, groups: [{ ...group, resources }] };
}

function sectionOf(
  times: ReadonlyMap<Order, Times>,
  { network, rest }: Sides,
  meter: ProcessorMeter,
  { rolls }: Settings,
): Section {
  const figures = [...times].map(([order, { berth, swarm, bare }]) => {
    const [ours, theirs, floor] = [median(berth), median(swarm), median(bare)];
    return {
      name: `rolling ${REPLICAS} by ${PARALLELISM}, ${network}: ${order}`,
      unit: '×' as const,
      measured: ours / theirs,
      target: RATIO_MAX,
      note: `${ours.toFixed(2)} s, against ${theirs.toFixed(2)} s with Docker Swarm; the bare engine ${floor.toFixed(2)} s`,
    };
  });
  return {
    name: `rolling, ${network} network, ${REPLICAS} by ${PARALLELISM}`,
    figures,
    tables: [timesTable(times)],
    processor: meter.use(REPLICAS * rolls * ORDERS.length),
    othersPercent: rest.busyPercent,
  };
}

function timesTable(times: ReadonlyMap<Order, Times>): Table {
  const row = (name: string, seconds: readonly number[]) => [
    name,
    median(seconds),
    seconds.map((each) => each.toFixed(2)).join(' '),
  ];
  return {
    title: 'From the request until all are exchanged',
    columns: ['', 's (median)', 'each'],
    rows: [...times].flatMap(([order, { berth, swarm, bare }]) => [
      row(`${order}, Berth`, berth),
      row(`${order}, Docker Swarm`, swarm),
      row(`${order}, bare engine`, bare),
    ]),
  };
}
