/**
 * A whole cluster on one machine: etcd, one replica and some agents, on one container engine. Nothing is restarted silently:
 * whoever holds the cluster learns at once when a part of it dies. What is started is also ended, in the reverse order.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { type BerthClient, createClient } from '../../../shared/client/client.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { base64Encode } from '../../../shared/util/codec.ts';
import { programPath } from '../commands/processes.ts';
import { CliError } from '../exit.ts';
import type { Io } from '../io.ts';
import { counted } from '../output/text.ts';
import { type Child, type ChildCommand, type ChildEnd, logTail, startChild } from './child.ts';
import { type DataDir, defaultDataDir, openDataDir, startTicksOf } from './data-dir.ts';
import { endDeadMen } from './dead-men.ts';
import { createEngine, type Engine } from './engine.ts';
import { checkEtcd, planEtcd } from './etcd.ts';
import { takePort } from './ports.ts';
import { canRunProcesses, endProcessTasks, processDirOf } from './process-tasks.ts';

export interface ClusterOptions {
  /** Where the API listens; 0: any free port. */
  readonly port: number;
  readonly agents: number;
  /** Null: a temporary folder, removed at the end. */
  readonly dataDir: string | null;
  /** Where names of services are answered. Absent or null: nowhere. */
  readonly dns?: string | null;
  /** Told about each step, as it begins. */
  readonly onStep: (text: string) => void;
  /** Starts what serves the API over etcd. Absent: a replica. */
  readonly controlPlane?: StartControlPlane;
}

/** What a control plane is started with, and how. */
export interface ControlPlaneParts {
  /** Where etcd is. */
  readonly etcd: string;
  /** Where the API is to listen, on the loopback. */
  readonly port: number;
  readonly dataDir: string;
  readonly env: Io['env'];
  readonly onStep: (text: string) => void;
  start(command: Omit<ChildCommand, 'logFile'>): Promise<void>;
  /** Waits until a part answers there that it is well. */
  untilReady(name: string, url: string): Promise<void>;
}

/** Resolves when it is ready, with a token that may do everything. */
export type StartControlPlane = (parts: ControlPlaneParts) => Promise<{ readonly token: string }>;

export interface Cluster {
  readonly address: string;
  /** May do everything. */
  readonly token: string;
  readonly nodes: readonly string[];
  readonly engine: Engine;
  readonly client: BerthClient;
  readonly dataDir: string;
  readonly logsDir: string;
  /** Resolves when a part of it has died by itself. */
  readonly broken: Promise<ChildEnd>;
  /** Ends everything, and removes what its nodes ran. */
  stop(): Promise<void>;
  /** Ends everything at once, without tidying up. */
  kill(): void;
}

export const AGENTS_MAX = 20;
const START_MAX_MS = 60_000;
const LOOK_MS = 30;
/** An answer that takes longer is asked for anew. */
const LOOK_MAX_MS = 2000;
const AGENT_GRACE_MS = 10_000;
const REPLICA_GRACE_MS = 10_000;
const ETCD_GRACE_MS = 5000;
const TAIL_LINES = 15;
const ENVELOPE_KEY_BYTES = 32;

export async function startCluster(io: Io, options: ClusterOptions): Promise<Cluster> {
  const engine = createEngine(io.env);
  await engine.check();
  checkEtcd(io.env);
  const isDefault = options.dataDir === defaultDataDir(io.env);
  const dataDir = await openDataDir({ path: options.dataDir, clock: io.clock, note: options.onStep });
  const crew = createCrew(io, dataDir);
  const nodes = Array.from({ length: options.agents }, (_, at) => `edge-${at + 1}${dataDir.nodeSuffix}`);
  const end = async (left: { readonly keep: boolean }) => {
    await crew.stopAgents();
    await engine.removeContainersOf(nodes);
    for (const node of nodes) await endProcessTasks(processDirOf(node), io.clock);
    await endDeadMen(join(dataDir.path, 'agents'), io.clock);
    await crew.stopRest();
    await dataDir.release(left);
  };
  const stop = () => end({ keep: false });
  try {
    // Only now: an earlier cluster that was killed may have held the port, and what it left has been ended.
    const port = await takePort(options.port);
    const { address, token } = await startControlPlane(io, { crew, dataDir, options: { ...options, port } });
    const client = clientFor(io, { address, token });
    await startAgents({ client, crew, dataDir, nodes, address, options, isDefault });
    await crew.until('the nodes to be ready', async () => {
      const { items } = await client.nodes.list();
      return nodes.every((id) => items.some((node) => node.id === id && node.state === 'ready'));
    });
    return {
      ...{ address, token, nodes, engine, client, stop },
      dataDir: dataDir.path,
      logsDir: join(dataDir.path, 'logs'),
      broken: crew.broken,
      kill: () => crew.kill(),
    };
  } catch (error) {
    // Its logs are what the message points to.
    await end({ keep: true });
    throw error;
  }
}

/** What a person is told when a part of the cluster has died. */
export async function brokenError(end: ChildEnd): Promise<CliError> {
  return new CliError(`${end.name} ${end.how}`, {
    lines: await logTail(end.logFile, TAIL_LINES),
    remedy: `Its whole log: ${end.logFile}`,
  });
}

interface Starting {
  readonly crew: Crew;
  readonly dataDir: DataDir;
  readonly options: ClusterOptions;
}

async function startControlPlane(
  io: Io,
  { crew, dataDir, options }: Starting,
): Promise<{ address: string; token: string }> {
  const logFile = (name: string) => join(dataDir.path, 'logs', `${name}.log`);
  const env = cleanEnvironment(io.env);
  options.onStep('starting etcd');
  const etcd = await planEtcd({ dataDir: dataDir.path, logFile: logFile('etcd'), env });
  const untilReady = (name: string, url: string) => crew.until(`${name} to be ready`, () => answersOk(io, url));
  await crew.start(etcd.command);
  await untilReady('etcd', `${etcd.url}/health`);
  const { port, onStep, controlPlane = replicaWith(io, options) } = options;
  const { token } = await controlPlane({
    ...{ etcd: etcd.url, port, env, onStep, untilReady },
    dataDir: dataDir.path,
    start: (command) => crew.start({ ...command, logFile: logFile(command.name) }),
  });
  return { address: `http://127.0.0.1:${port}`, token };
}

function replicaWith(io: Io, { dns }: ClusterOptions): StartControlPlane {
  return async ({ etcd, port, dataDir, env, onStep, start, untilReady }) => {
    onStep('starting the control plane');
    const tokenFile = join(dataDir, 'admin-token');
    // A file that is there is left alone; a fresh start has a fresh token.
    await rm(tokenFile, { force: true });
    const args = [
      ...['--envelope-key-file', await envelopeKeysOf(io, dataDir)],
      ...['--etcd', etcd, '--listen', `127.0.0.1:${port}`, '--bootstrap-token-file', tokenFile],
      // Nobody is there to make themselves another one, and a cluster of one's own may go on for weeks.
      ...['--bootstrap-token-hours', '2160'],
      ...(typeof dns === 'string' ? ['--dns-listen', dns] : []),
    ];
    const command = { command: process.execPath, args: [programPath('control-plane'), ...args], env };
    await start({ name: 'control-plane', ...command });
    await untilReady('the control plane', `http://127.0.0.1:${port}/readyz`);
    return { token: (await readFile(tokenFile, 'utf8')).trim() };
  };
}

/** Kept beside the state that is sealed with it: what is started again in the folder has to open that. */
async function envelopeKeysOf(io: Io, dataDir: string): Promise<string> {
  const file = join(dataDir, 'envelope-keys');
  const key = `dev ${base64Encode(io.random.bytes(ENVELOPE_KEY_BYTES))}\n`;
  await writeFile(file, key, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return file;
}

async function answersOk(io: Io, url: string): Promise<boolean> {
  return (await io.fetch(url, { signal: AbortSignal.timeout(LOOK_MAX_MS) })).ok;
}

interface StartingAgents extends Starting {
  readonly client: BerthClient;
  readonly nodes: readonly string[];
  readonly address: string;
  readonly isDefault: boolean;
}

const JOIN_TOKEN_SECONDS = 3600;
/** Clusters besides the default one get other ports, so that they don't meet on the host. */
const FIRST_PORT = { default: 20_000, other: 30_000 } as const;
const PORTS_PER_NODE = 1000;

async function startAgents({
  client,
  crew,
  dataDir,
  nodes,
  address,
  options,
  isDefault,
}: StartingAgents): Promise<void> {
  options.onStep(`starting ${counted(nodes.length, 'agent')}: ${nodes.join(', ')}`);
  const { token } = await client.createToken({ kind: 'join', subject: 'berth-dev', ttlSeconds: JOIN_TOKEN_SECONDS });
  const joinTokenFile = join(dataDir.path, 'join-token');
  await writeFile(joinTokenFile, `${token}\n`, { mode: 0o600 });
  const mayRunProcesses = canRunProcesses();
  for (const [at, node] of nodes.entries()) {
    const firstPort = FIRST_PORT[isDefault ? 'default' : 'other'] + at * PORTS_PER_NODE;
    const { cpus, memMiB } = shareOf(at);
    const args = [
      ...['--control-plane', address, '--join-token-file', joinTokenFile, '--node-id', node],
      ...['--state-dir', join(dataDir.path, 'agents', node)],
      ...['--attributes', `zone=${String.fromCharCode(97 + at)}`],
      // All agents of this machine would find the same ones, and each would give them away.
      ...['--gpus', 'none'],
      ...['--resources', `cpus=${cpus},memMiB=${memMiB},ports=${firstPort}-${firstPort + PORTS_PER_NODE - 1}`],
      ...(mayRunProcesses ? ['--allow-process-runtime', '--process-dir', processDirOf(node)] : []),
    ];
    const logFile = join(dataDir.path, 'logs', `${node}.log`);
    const env = cleanEnvironment(crew.env);
    const command = { name: node, command: process.execPath, args: [programPath('agent'), ...args], env, logFile };
    await crew.startAgent(command);
  }
}

/** Nodes of different sizes, so that placement has something to choose between: the second is half of the first. */
function shareOf(at: number): { cpus: number; memMiB: number } {
  const divisor = at === 0 ? 1 : 2;
  const memory = Math.min(8192, Math.floor(totalmem() / 1024 / 1024 / 4));
  return { cpus: Math.max(0.5, availableParallelism() / divisor), memMiB: Math.max(256, Math.floor(memory / divisor)) };
}

/** Settings for other clusters, in the environment of whoever calls, must not reach this one's parts. */
function cleanEnvironment(env: Io['env']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(BERTH|ETCD)_/.test(name)));
}

function clientFor(io: Io, { address, token }: { address: string; token: string }): BerthClient {
  return createClient({ address, token, fetch: io.fetch, clock: io.clock, random: io.random });
}

/** The children, in the order in which they were started. */
interface Crew {
  readonly env: Io['env'];
  readonly broken: Promise<ChildEnd>;
  start(command: ChildCommand): Promise<void>;
  startAgent(command: ChildCommand): Promise<void>;
  /** Waits until `isSo` says yes. Throws when a child dies meanwhile, or it takes too long. */
  until(what: string, isSo: () => Promise<boolean>): Promise<void>;
  stopAgents(): Promise<void>;
  stopRest(): Promise<void>;
  kill(): void;
}

function createCrew(io: Io, dataDir: DataDir): Crew {
  const children: Child[] = [];
  const agents: Child[] = [];
  let stopping = false;
  let reportBroken: (end: ChildEnd) => void = () => {};
  const broken = new Promise<ChildEnd>((resolve) => {
    reportBroken = resolve;
  });
  const startIn = async (those: Child[], command: ChildCommand) => {
    const child = startChild(command, io.clock);
    those.push(child);
    void child.ended.then((end) => {
      if (!stopping) reportBroken(end);
    });
    if (child.pid === null) return;
    const { name, pid } = child;
    await dataDir.record({ name, pid, startTicks: startTicksOf(pid) ?? '' });
  };
  return {
    env: io.env,
    broken,
    start: (command) => startIn(children, command),
    startAgent: (command) => startIn(agents, command),
    async until(what, isSo) {
      const deadline = io.clock.monotonicMs() + START_MAX_MS;
      let death: ChildEnd | null = null;
      void broken.then((end) => {
        death = end;
      });
      while (io.clock.monotonicMs() < deadline) {
        const died = broken.then(() => false);
        if (await Promise.race([isSo().catch(() => false), died])) return;
        await sleep(io.clock, LOOK_MS);
        if (death !== null) throw await brokenError(death);
      }
      throw new CliError(`waited ${START_MAX_MS / 1000} s in vain for ${what}`, {
        remedy: `See the logs in ${join(dataDir.path, 'logs')}`,
      });
    },
    async stopAgents() {
      stopping = true;
      await Promise.all(agents.map((agent) => agent.stop(AGENT_GRACE_MS)));
    },
    async stopRest() {
      stopping = true;
      for (const child of [...children].reverse()) {
        await child.stop(child.name === 'etcd' ? ETCD_GRACE_MS : REPLICA_GRACE_MS);
      }
    },
    kill() {
      stopping = true;
      for (const child of [...agents, ...children]) child.kill();
    },
  };
}
