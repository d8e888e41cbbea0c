/**
 * One chaos run from its start to its verdict: a world, a workload, faults, rest, and then everything that is known is put
 * together and checked.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allPages, type BerthClient } from '../../shared/client/client.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { clientOf, eventually } from '../support/processes.ts';
import { checkHistory, type Violation } from './check/check.ts';
import type { FaultKind } from './faults/fault.ts';
import { FAULT_KINDS, torment } from './faults/nemesis.ts';
import { type FinalView, type History, steadyMs } from './history.ts';
import { pause } from './workload/client.ts';
import { Feed } from './workload/feed.ts';
import { Observer } from './workload/observer.ts';
import { readWitness } from './workload/script.ts';
import { Workload } from './workload/workload.ts';
import { Supervisor } from './world/supervisor.ts';
import { MACHINE_CPUS, type Replica, startWorld, type World } from './world/world.ts';

/** After the last fault: everything that was accepted has ended, and nothing runs any more. */
export const REST_WITHIN_MS = 90_000;
const LOOK_MS = 500;
const EQUAL_WITHIN_MS = 10_000;

export interface RunOptions {
  readonly seed: number;
  readonly faults: number;
  /** Only these kinds; absent: all. */
  readonly kinds?: readonly string[];
  /** No fault begins after so long. */
  readonly minutesMax: number;
  /** Aborted when the run is to be broken off. */
  readonly signal: AbortSignal;
  readonly tell: (line: string) => void;
  readonly keepFolder: boolean;
}

export interface RunResult {
  readonly history: History;
  readonly violations: readonly Violation[];
  readonly longestOutageMs: number;
  readonly tookMs: number;
  /** Where logs and history lie, if they were kept. */
  readonly folder: string;
  readonly isFolderKept: boolean;
}

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const beganAtMs = steadyMs();
  const world = await startWorld(options.signal);
  let isFolderKept = true;
  try {
    const { history, longestOutageMs } = await drive(world, options, beganAtMs);
    const violations = checkHistory(history);
    isFolderKept = options.keepFolder || violations.length > 0;
    writeFileSync(join(world.folder, 'history.json'), JSON.stringify(history));
    return {
      ...{ history, violations, longestOutageMs, isFolderKept },
      ...{ tookMs: steadyMs() - beganAtMs, folder: world.folder },
    };
  } finally {
    await world.stop({ keepFolder: isFolderKept && !options.signal.aborted });
  }
}

async function drive(
  world: World,
  options: RunOptions,
  beganAtMs: number,
): Promise<{ history: History; longestOutageMs: number }> {
  const random = new SeededRandom(options.seed);
  const tell = (line: string) =>
    options.tell(`[${((steadyMs() - beganAtMs) / 1000).toFixed(1).padStart(6)} s] ${line}`);
  const workload = new Workload(world, random.split('workload'));
  const feed = new Feed(world, random.split('feed'), await currentRevision(world));
  const observer = new Observer(world);
  const supervisor = new Supervisor(world);
  tell(`three members, three replicas and three machines are up; everything lies in ${world.folder}`);
  for (const part of [supervisor, feed, observer, workload]) part.start();
  const late = AbortSignal.timeout(options.minutesMax * 60_000);
  const signal = AbortSignal.any([options.signal, late]);
  const kinds: readonly FaultKind[] = FAULT_KINDS.filter(({ name }) => options.kinds?.includes(name) ?? true);
  const faults = await torment({ world, random: random.split('faults'), faults: options.faults, kinds, signal, tell });
  options.signal.throwIfAborted();
  tell('no more faults; waiting for everything to come to rest');
  const unrest = await comeToRest(world, workload, options.signal);
  options.signal.throwIfAborted();
  tell(unrest === null ? 'everything has come to rest' : `no rest: ${unrest}`);
  const finals = await readFinals(world);
  await feed.close();
  await observer.close();
  await supervisor.close();
  const history: History = {
    ...{ jobs: workload.jobs, requests: workload.requests, witness: readWitness(world.witnessFolder), faults },
    ...{ feed: feed.entries, samples: observer.samples, finals, mishaps: supervisor.mishaps },
    ...{ leftovers: await leftovers(world), unrest, machineCpus: MACHINE_CPUS },
    steadyZeroMs: Date.now() - steadyMs(),
  };
  return { history, longestOutageMs: workload.longestOutageMs };
}

function currentRevision(world: World): Promise<number> {
  return clientTo(world.replicas, world)
    .status()
    .then(({ revision }) => revision);
}

function clientTo(replicas: readonly Replica[], { token }: World): BerthClient {
  const [first] = replicas;
  if (first === undefined) throw new Error('a cluster has a replica');
  return clientOf(first.url, token);
}

/** Null when all is quiet; else what isn't, after {@link REST_WITHIN_MS}. */
async function comeToRest(world: World, workload: Workload, signal: AbortSignal): Promise<string | null> {
  const deadlineMs = steadyMs() + REST_WITHIN_MS;
  const giveUp = () => workload.giveUp();
  const timer = setTimeout(giveUp, REST_WITHIN_MS);
  signal.addEventListener('abort', giveUp);
  await workload.close();
  clearTimeout(timer);
  while (!signal.aborted) {
    const why = await unrestOf(world).catch((error: unknown) => `the cluster does not answer: ${String(error)}`);
    if (why === null || steadyMs() > deadlineMs) return why;
    await pause(LOOK_MS, signal);
  }
  return 'the run was broken off';
}

async function unrestOf(world: World): Promise<string | null> {
  const client = clientTo(world.replicas, world);
  const nodes = await collect((page) => client.nodes.list(page));
  const away = nodes.filter(({ state, tasks }) => state !== 'ready' || tasks > 0);
  const live = await collect((page) => client.tasks.list({ ...page, state: ['live'] }));
  const jobs = await collect((page) => client.jobs.list(page));
  const open = jobs.filter(({ endedAt }) => endedAt === null);
  const running = await leftovers(world);
  const parts = [
    ...away.map(({ id, state, tasks }) => `node ${id} is ${state} and holds ${tasks} tasks`),
    ...live.map(({ id, state }) => `task ${id} is ${state}`),
    ...open.map(({ name, state }) => `job ${name} is ${state}`),
    ...running.map(({ container, node }) => `container ${container} runs on ${node}`),
  ];
  return parts.length === 0 ? null : parts.slice(0, 10).join('; ');
}

async function leftovers({ machines }: World): Promise<History['leftovers']> {
  const lists = machines.map(async ({ name, docker }) => {
    const running = await docker.listContainers({ filters: { label: [`io.berth.node=${name}`] } });
    return running.map(({ Id, Labels }) => ({ node: name, container: Id, task: Labels['io.berth.task'] ?? '' }));
  });
  return (await Promise.all(lists)).flat();
}

/** Read again while something still moves, such as a lease's last breath; what differs for good stays different. */
async function readFinals(world: World): Promise<FinalView[]> {
  const fresh = await world.startFreshReplica();
  const replicas = [fresh, ...world.replicas];
  const read = () => Promise.all(replicas.map((replica) => finalView(replica, world)));
  try {
    return await eventually(
      'the replicas to agree',
      async () => {
        const finals = await read();
        const [first, ...others] = finals.map(({ jobs, tasks, nodes }) => JSON.stringify({ jobs, tasks, nodes }));
        return others.every((other) => other === first) && finals;
      },
      EQUAL_WITHIN_MS,
    );
  } catch {
    return read();
  }
}

async function finalView(replica: Replica, world: World): Promise<FinalView> {
  const client = clientTo([replica], world);
  return {
    replica: replica.name,
    jobs: await collect((page) => client.jobs.list(page)),
    tasks: await collect((page) => client.tasks.list(page)),
    nodes: await collect((page) => client.nodes.list(page)),
  };
}

async function collect<T>(list: Parameters<typeof allPages<T>>[0]): Promise<T[]> {
  return Array.fromAsync(allPages(list));
}
