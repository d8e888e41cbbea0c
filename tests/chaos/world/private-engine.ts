/**
 * A container engine of a machine of its own: dockerd, containerd, shims and containers live in one process namespace, whose
 * first process does nothing but start dockerd again. Killing that one is a power cut: the kernel ends everything in the namespace
 * at once, and nothing of it gets to say goodbye. What lies on the disk stays, what a reboot would clear is cleared. Killing
 * dockerd alone is a crash of the engine, which containers survive or not, as the engine is told to handle it.
 */
import { readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Docker from 'dockerode';
import { eventually, Process } from '../../support/processes.ts';

export const IMAGE = 'berth/busybox:local';
const STARTED_WITHIN_MS = 30_000;
const CGROUPS = '/sys/fs/cgroup';
const CGROUP_DEPTH_MAX = 6;
/** Starts dockerd whenever it doesn't run, unless the file that is named first is there. */
const INIT = 'hold=$1; shift; while :; do [ -e "$hold" ] || "$@"; sleep 0.1; done';

export interface PrivateEngineOptions {
  readonly folder: string;
  readonly name: string;
  readonly logFile: string;
  /** Whether containers live on while dockerd is away. */
  readonly keepsContainers: boolean;
}

export class PrivateEngine {
  readonly socketPath: string;
  readonly docker: Docker;
  readonly #folder: string;
  readonly #cgroup: string;
  readonly #process: Process;

  constructor(options: PrivateEngineOptions) {
    this.#folder = options.folder;
    this.#cgroup = `berth-${options.name}`;
    this.socketPath = join(options.folder, 'docker.sock');
    this.docker = new Docker({ socketPath: this.socketPath });
    const daemon = [
      ...['dockerd', '--data-root', join(this.#folder, 'data'), '--exec-root', join(this.#folder, 'exec')],
      ...['--pidfile', join(this.#folder, 'pid'), '--host', `unix://${this.socketPath}`],
      // Tasks need no network here. An engine without a bridge removes the one that it finds, hence the namespace around it.
      ...['--bridge', 'none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'],
      ...['--cgroup-parent', `/${this.#cgroup}`, '--log-level', 'warn'],
      ...(options.keepsContainers ? ['--live-restore'] : []),
    ];
    const init = ['sh', '-c', INIT, 'init', this.#holdFile, ...daemon];
    const inside = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', ...init];
    this.#process = new Process(inside, options.logFile, { command: 'unshare' });
  }

  /** Of what holds the namespace. */
  get process(): Process {
    return this.#process;
  }

  /** Of dockerd itself, as the world outside numbers it; null when it is dead. */
  get daemonPid(): number | null {
    const { pid } = this.#process;
    if (pid === null || !this.#process.isRunning) return null;
    const [init] = childrenOf(pid);
    return init === undefined ? null : (childrenOf(init).find((child) => nameOf(child) === 'dockerd') ?? null);
  }

  /** Keeps dockerd from being started again, until {@link release}. */
  hold(): void {
    writeFileSync(this.#holdFile, '');
  }

  release(): void {
    rmSync(this.#holdFile, { force: true });
  }

  get #holdFile(): string {
    return join(this.#folder, 'hold');
  }

  async start(): Promise<void> {
    // What a machine keeps in memory is gone after a power cut; containerd doesn't start beside its own remains.
    for (const name of ['exec', 'pid', 'docker.sock', 'hold'])
      await rm(join(this.#folder, name), { recursive: true, force: true });
    await mkdir(this.#folder, { recursive: true });
    this.#process.start();
    await eventually(
      `the engine in ${this.#folder} to answer`,
      async () => {
        await this.docker.ping();
        return true;
      },
      STARTED_WITHIN_MS,
    );
  }

  /** From the engine that the tests use anyway. */
  async loadImage(from: Docker): Promise<void> {
    const archive = await from.getImage(IMAGE).get();
    const progress = await this.docker.loadImage(archive);
    await new Promise<void>((resolve, reject) => {
      this.docker.modem.followProgress(progress, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  cutPower(): Promise<void> {
    return this.#process.kill();
  }

  async remove(): Promise<void> {
    await this.cutPower();
    await rm(this.#folder, { recursive: true, force: true });
    removeControlGroups(this.#cgroup);
  }
}

function childrenOf(pid: number): number[] {
  return readProcess(pid, `task/${pid}/children`)
    .split(' ')
    .filter((child) => child !== '')
    .map(Number);
}

function nameOf(pid: number): string {
  return readProcess(pid, 'comm').trim();
}

/** Empty for a process that has ended. */
function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** The kernel keeps a control group, empty, until somebody removes it. */
export function removeControlGroups(name: string): void {
  for (const controller of readdirSync(CGROUPS)) {
    for (const folder of [join(CGROUPS, controller, name), join(CGROUPS, name)]) removeTree(folder, CGROUP_DEPTH_MAX);
  }
}

function removeTree(folder: string, depth: number): void {
  if (depth === 0) return;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(folder, entry.name), depth - 1);
    }
    rmdirSync(folder);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'EBUSY'].includes(String(error.code)))) {
      throw error;
    }
  }
}
