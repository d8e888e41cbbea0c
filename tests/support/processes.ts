/** Replicas and agents as processes of their own, which a test can kill and start again one by one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { type BerthClient, createClient } from '../../shared/client/client.ts';
import { randomId } from '../../shared/util/random.ts';
import { freePort, startEtcd, type TestEtcd } from './etcd.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STOP_GRACE_MS = 15_000;
const LOOK_MS = 25;

/** Asks again until the answer is there: undefined and false are "not yet". What is thrown counts as "not yet" too. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  withinMs = 30_000,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  for (let last: unknown = 'nothing'; ; ) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadlineMs) throw new Error(`waited ${withinMs} ms in vain for ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export interface ProcessOptions {
  /** Absent: Node.js. */
  readonly command?: string;
  /** On top of what the tests themselves were started with. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A program, always started with the same arguments. */
export class Process {
  readonly #args: readonly string[];
  readonly #logFile: string;
  readonly #options: ProcessOptions;
  #child: ChildProcess | null = null;

  constructor(args: readonly string[], logFile: string, options: ProcessOptions = {}) {
    this.#args = args;
    this.#logFile = logFile;
    this.#options = options;
  }

  start(): void {
    const log = openSync(this.#logFile, 'a');
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_')));
    const { command = process.execPath, env } = this.#options;
    this.#child = spawn(command, [...this.#args], { cwd: ROOT, stdio: ['ignore', log, log], env: { ...own, ...env } });
    closeSync(log);
  }

  /** Null before the first start. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** How it ended; null while it runs, and before the first start. */
  get end(): { readonly code: number | null; readonly signal: string | null } | null {
    const child = this.#child;
    return child === null || this.isRunning ? null : { code: child.exitCode, signal: child.signalCode };
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** As a power cut would. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Politely; resolves with the exit code. */
  async stop(): Promise<number | null> {
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_GRACE_MS);
    await this.#end('SIGTERM');
    clearTimeout(timer);
    return this.#child?.exitCode ?? null;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child === null || !this.isRunning) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }
}

export interface RealReplica {
  readonly url: string;
  readonly process: Process;
  readonly client: BerthClient;
}

export interface RealAgent {
  readonly node: string;
  readonly process: Process;
  readonly stateDir: string;
}

export interface RealCluster {
  readonly etcd: TestEtcd;
  readonly replicas: readonly RealReplica[];
  readonly token: string;
  readonly docker: Docker;
  /** Starts an agent and waits until its node is ready. It dials the replicas themselves, or other `addresses` of theirs. */
  addAgent(
    name: string,
    options?: readonly string[],
    dialing?: { readonly addresses: readonly string[] },
  ): Promise<RealAgent>;
  /** Makes another agent of the same node, over a state folder of its own, and doesn't start it. */
  rivalOf(agent: RealAgent, stateDir: string): RealAgent;
  containersOf(task: string): Promise<Docker.ContainerInfo[]>;
  /** Ends everything and removes every container of its nodes. */
  stop(): Promise<void>;
}

export interface RealClusterOptions {
  readonly replicas: number;
  readonly leaseTtlSeconds?: number;
  /** Further flags of each replica. */
  readonly flags?: readonly string[];
  /** Further flags of one replica, by its place. */
  readonly flagsOf?: (at: number) => readonly string[];
}

export async function startRealCluster(options: RealClusterOptions): Promise<RealCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  const etcd = await startEtcd();
  const tokenFile = join(folder, 'admin-token');
  const ports = await Promise.all(Array.from({ length: options.replicas }, freePort));
  const started: { url: string; process: Process }[] = [];
  for (const [at, port] of ports.entries()) {
    const program = new Process(
      [
        'control-plane/main-node.ts',
        ...['--etcd', etcd.url, '--listen', `127.0.0.1:${port}`, '--bootstrap-token-file', tokenFile],
        ...['--lease-ttl', String(options.leaseTtlSeconds ?? 10)],
        ...(options.flags ?? []),
        ...(options.flagsOf?.(at) ?? []),
      ],
      join(folder, `replica-${at}.log`),
    );
    program.start();
    const url = `http://127.0.0.1:${port}`;
    await eventually(`replica ${at} to be ready`, async () => (await fetch(`${url}/readyz`)).ok);
    started.push({ url, process: program });
  }
  const token = readFileSync(tokenFile, 'utf8').trim();
  const replicas = started.map((replica) => ({ ...replica, client: clientOf(replica.url, token) }));
  return withAgents({ folder, etcd, replicas, token });
}

export function clientOf(address: string, token: string): BerthClient {
  return createClient({ address, token, fetch, clock: new SystemClock(), random: new CryptoRandom() });
}

interface Base {
  readonly folder: string;
  readonly etcd: TestEtcd;
  readonly replicas: readonly RealReplica[];
  readonly token: string;
}

function withAgents({ folder, etcd, replicas, token }: Base): RealCluster {
  const docker = new Docker();
  const suffix = randomId(new CryptoRandom(), 5);
  const agents: RealAgent[] = [];
  const makers = new Map<string, (stateDir: string) => RealAgent>();
  const containers = (label: string) => docker.listContainers({ all: true, filters: { label: [label] } });
  return {
    ...{ etcd, replicas, token, docker },
    containersOf: (task) => containers(`io.berth.task=${task}`),
    async addAgent(name, extra = [], { addresses } = { addresses: replicas.map(({ url }) => url) }) {
      const client = replicas[0]?.client;
      if (client === undefined) throw new Error('a cluster has a replica');
      const node = `${name}-${suffix}`;
      const join1 = await client.createToken({ kind: 'join', subject: node });
      const stateDir = join(folder, node);
      const make = (dir: string) => {
        const parts = { folder, addresses, node, joinToken: join1.token, stateDir: dir, extra };
        const made = { node, stateDir: dir, process: agentProcess(parts) };
        agents.push(made);
        return made;
      };
      makers.set(node, make);
      const agent = make(stateDir);
      agent.process.start();
      await eventually(`node ${node} to be ready`, async () => (await client.nodes.get(node)).state === 'ready');
      return agent;
    },
    rivalOf({ node }, stateDir) {
      const make = makers.get(node);
      if (make === undefined) throw new Error(`there is no agent of node ${node}`);
      return make(stateDir);
    },
    async stop() {
      await Promise.all(agents.map((agent) => agent.process.stop()));
      await Promise.all(replicas.map((replica) => replica.process.stop()));
      await etcd.stop();
      const nodes = [...new Set(agents.map((agent) => agent.node))];
      const left = (await Promise.all(nodes.map((node) => containers(`io.berth.node=${node}`)))).flat();
      await Promise.all(left.map((info) => docker.getContainer(info.Id).remove({ force: true, v: true })));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function agentProcess(agent: {
  folder: string;
  addresses: readonly string[];
  node: string;
  joinToken: string;
  stateDir: string;
  extra: readonly string[];
}): Process {
  const args = [
    'node-agent/main.ts',
    ...agent.addresses.flatMap((url) => ['--control-plane', url]),
    ...['--join-token', agent.joinToken, '--node-id', agent.node, '--state-dir', agent.stateDir],
    // Else a machine that has some would keep tasks away that ask for none.
    ...['--gpus', 'none'],
    ...agent.extra,
  ];
  return new Process(args, join(agent.folder, `${basename(agent.stateDir)}.log`));
}
