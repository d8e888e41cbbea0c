/** A real etcd for tests: its own folder and ports, fast elections, and all the ways in which it can fail. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { present } from '../../shared/util/assert.ts';

export interface TestEtcd {
  /** Where clients connect. Stays the same over restarts. */
  readonly url: string;
  readonly port: number;
  /** Where the other members reach it. */
  readonly peerUrl: string;
  /** Of its process; null while it is dead. */
  readonly pid: number | null;
  /** With TLS: what it shows to clients, in PEM. It signed that itself. */
  readonly certificateFile: string;
  /** Whether it leads its cluster; false as well when it doesn't answer. */
  isLeader(): Promise<boolean>;
  /** As a power cut would: no goodbye. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and ports, and waits until it is healthy. */
  restart(): Promise<void>;
  /** Another, empty store takes its place at the same address. Without a token of its own it passes for the same cluster. */
  replace(clusterToken?: string): Promise<void>;
  /** Saves all that it holds now, as an operator's backup does. */
  save(file: string): Promise<void>;
  /** What was saved takes its place at the same address. Without a token of its own it passes for the same cluster. */
  restore(file: string, clusterToken?: string): Promise<void>;
  /** The process stands still; its connections stay open. */
  pause(): void;
  resume(): void;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

const STATUS = z.object({ header: z.object({ member_id: z.string() }), leader: z.string() });

const HEALTHY_WITHIN_MS = 30_000;
const START_ATTEMPTS_MAX = 5;

export interface TestEtcdOptions {
  /** Clients come over TLS. */
  readonly tls?: boolean;
  /** Further arguments on the command line. */
  readonly arguments?: readonly string[];
  /** Where the other members reach the one that listens for them on this port; absent: there, with nothing in between. */
  readonly peerLink?: (port: number) => Promise<string>;
}

export async function startEtcd(options: TestEtcdOptions = {}): Promise<TestEtcd> {
  const [etcd] = await startMembers(1, options);
  return present(etcd, 'the only member');
}

/** Members of one cluster, each with a folder and ports of its own; healthy together. */
export async function startMembers(count: number, options: TestEtcdOptions = {}): Promise<readonly TestEtcd[]> {
  for (let attempt = 1; ; attempt++) {
    const places = await Promise.all(Array.from({ length: count }, (_, index) => findPlace(`member${index}`, options)));
    const members = places.map((place) => new EtcdProcess(place, places, options));
    try {
      await Promise.all(members.map((member) => member.restart()));
      return members;
    } catch (error) {
      await Promise.all(members.map((member) => member.stop()));
      // Somebody else may have taken a port between finding it free and using it.
      if (attempt >= START_ATTEMPTS_MAX) throw error;
    }
  }
}

/** Where one member lives. */
interface MemberPlace {
  readonly name: string;
  readonly folder: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Where the others reach it. */
  readonly peerUrl: string;
  readonly healthPort: number;
}

async function findPlace(name: string, { peerLink }: TestEtcdOptions): Promise<MemberPlace> {
  const peerPort = await freePort();
  return {
    name,
    folder: await mkdtemp(join(tmpdir(), 'berth-etcd-')),
    clientPort: await freePort(),
    peerPort,
    peerUrl: (await peerLink?.(peerPort)) ?? `http://127.0.0.1:${peerPort}`,
    healthPort: await freePort(),
  };
}

/** Of members on one machine: the more there are, the later they may be with a heartbeat. */
const HEARTBEAT_MS = { alone: 10, together: 50 } as const;

class EtcdProcess implements TestEtcd {
  readonly url: string;
  readonly port: number;
  readonly peerUrl: string;
  readonly #healthUrl: string;
  readonly #arguments: readonly string[];
  readonly #folder: string;
  #clusterToken = 'test';
  #child: ChildProcess | null = null;
  #output = '';

  constructor(place: MemberPlace, all: readonly MemberPlace[], options: TestEtcdOptions) {
    const { name, folder, clientPort, peerPort, peerUrl, healthPort } = place;
    this.port = clientPort;
    this.peerUrl = peerUrl;
    this.url = options.tls ? `https://localhost:${clientPort}` : `http://127.0.0.1:${clientPort}`;
    this.#healthUrl = `http://127.0.0.1:${healthPort}`;
    this.#folder = folder;
    const heartbeatMs = HEARTBEAT_MS[all.length === 1 ? 'alone' : 'together'];
    this.#arguments = [
      ...['--name', name, '--data-dir', folder, '--logger', 'zap', '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', all.map((member) => `${member.name}=${member.peerUrl}`).join()],
      ...[`--heartbeat-interval=${heartbeatMs}`, `--election-timeout=${10 * heartbeatMs}`],
      ...['--listen-metrics-urls', this.#healthUrl, ...(options.tls ? ['--auto-tls'] : [])],
      ...(options.arguments ?? []),
    ];
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get certificateFile(): string {
    return join(this.#folder, 'fixtures', 'client', 'cert.pem');
  }

  async isLeader(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(1000);
      const response = await fetch(`${this.url}/v3/maintenance/status`, { method: 'POST', body: '{}', signal });
      const { header, leader } = STATUS.parse(await response.json());
      return header.member_id === leader;
    } catch {
      return false;
    }
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#output = '';
    const options = [...this.#arguments, '--initial-cluster-token', this.#clusterToken];
    const child = spawn('etcd', options, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    process.once('exit', this.#killAtExit);
    child.stdout?.on('data', this.#keepOutput);
    child.stderr?.on('data', this.#keepOutput);
    child.on('error', (error) => this.#keepOutput(`${error.message}; install it with apt-get install etcd-server`));
    await this.#untilHealthy(child);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    process.off('exit', this.#killAtExit);
    if (child === null || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async replace(clusterToken?: string): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
    if (clusterToken !== undefined) this.#clusterToken = clusterToken;
    await this.restart();
  }

  async save(file: string): Promise<void> {
    await etcdctl(['--endpoints', this.url, 'snapshot', 'save', file]);
  }

  async restore(file: string, clusterToken?: string): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
    if (clusterToken !== undefined) this.#clusterToken = clusterToken;
    const flags = ['--name', '--initial-advertise-peer-urls', '--initial-cluster'];
    const own = flags.flatMap((flag) => [flag, present(this.#arguments[this.#arguments.indexOf(flag) + 1], flag)]);
    const where = ['--data-dir', this.#folder, '--initial-cluster-token', this.#clusterToken];
    await etcdctl(['snapshot', 'restore', file, ...where, ...own]);
    await this.restart();
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  readonly #killAtExit = () => {
    this.#child?.kill('SIGKILL');
  };

  readonly #keepOutput = (chunk: Buffer | string) => {
    this.#output = (this.#output + chunk).slice(-4000);
  };

  async #untilHealthy(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + HEALTHY_WITHIN_MS;
    while (performance.now() < deadline) {
      if (child.exitCode !== null || child.pid === undefined) break;
      if (await this.#isHealthy()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`etcd on ${this.url} did not become healthy: ${this.#output}`);
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const response = await fetch(`${this.#healthUrl}/health`, { signal: AbortSignal.timeout(1000) });
      return (await response.text()).includes('"true"');
    } catch {
      return false;
    }
  }
}

async function etcdctl(args: readonly string[]): Promise<void> {
  await promisify(execFile)('etcdctl', [...args], { env: { ...process.env, ETCDCTL_API: '3' } });
}

/** Below those that the kernel gives to whoever asks for any, and so many for each worker that runs files at the same time. */
const PORTS = { first: 10_000, perWorker: 900, workers: 10 } as const;
let lastPort = Math.floor(Math.random() * PORTS.perWorker);

/**
 * A port that nobody listens on at the moment, and that nobody else is told of: between here and whoever listens on it, the kernel
 * could give one of its own to another program, or to a connection.
 */
export async function freePort(): Promise<number> {
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % PORTS.workers;
  for (let tried = 0; tried < PORTS.perWorker; tried += 1) {
    lastPort = (lastPort + 1) % PORTS.perWorker;
    const port = PORTS.first + worker * PORTS.perWorker + lastPort;
    if (await isFree(port)) return port;
  }
  throw new Error(`all ${PORTS.perWorker} ports of this worker are taken`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const told = Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
  server.listen(port, '127.0.0.1');
  const isListening = await told.catch(() => false);
  if (!isListening) return false;
  server.close();
  await once(server, 'close');
  return true;
}
