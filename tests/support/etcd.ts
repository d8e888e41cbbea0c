/** A real etcd for tests: its own folder and ports, fast elections, and all the ways in which it can fail. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestEtcd {
  /** Where clients connect. Stays the same over restarts. */
  readonly url: string;
  readonly port: number;
  /** With TLS: what it shows to clients, in PEM. It signed that itself. */
  readonly certificateFile: string;
  /** As a power cut would: no goodbye. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and ports, and waits until it is healthy. */
  restart(): Promise<void>;
  /** Another, empty store takes its place at the same address. */
  replace(): Promise<void>;
  /** The process stands still; its connections stay open. */
  pause(): void;
  resume(): void;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

const HEALTHY_WITHIN_MS = 30_000;
const START_ATTEMPTS_MAX = 5;

export interface TestEtcdOptions {
  /** Clients come over TLS. */
  readonly tls?: boolean;
  /** Further arguments on the command line. */
  readonly arguments?: readonly string[];
}

export async function startEtcd(options: TestEtcdOptions = {}): Promise<TestEtcd> {
  for (let attempt = 1; ; attempt++) {
    const folder = await mkdtemp(join(tmpdir(), 'berth-etcd-'));
    const ports = { client: await freePort(), peer: await freePort(), health: await freePort() };
    const etcd = new EtcdProcess(folder, ports, options);
    try {
      await etcd.restart();
      return etcd;
    } catch (error) {
      await etcd.stop();
      // Somebody else may have taken the port between finding it free and using it.
      if (attempt >= START_ATTEMPTS_MAX) throw error;
    }
  }
}

interface Ports {
  readonly client: number;
  readonly peer: number;
  readonly health: number;
}

class EtcdProcess implements TestEtcd {
  readonly url: string;
  readonly port: number;
  readonly #healthUrl: string;
  readonly #arguments: readonly string[];
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #output = '';

  constructor(folder: string, ports: Ports, options: TestEtcdOptions) {
    this.port = ports.client;
    this.url = options.tls ? `https://localhost:${ports.client}` : `http://127.0.0.1:${ports.client}`;
    this.#healthUrl = `http://127.0.0.1:${ports.health}`;
    this.#folder = folder;
    const peerUrl = `http://127.0.0.1:${ports.peer}`;
    this.#arguments = [
      ...['--name', 'test', '--data-dir', folder, '--logger', 'zap', '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `test=${peerUrl}`, '--heartbeat-interval=10', '--election-timeout=100'],
      ...['--listen-metrics-urls', this.#healthUrl, ...(options.tls ? ['--auto-tls'] : [])],
      ...(options.arguments ?? []),
    ];
  }

  get certificateFile(): string {
    return join(this.#folder, 'fixtures', 'client', 'cert.pem');
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#output = '';
    const child = spawn('etcd', this.#arguments, { stdio: ['ignore', 'pipe', 'pipe'] });
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

  async replace(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
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

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
