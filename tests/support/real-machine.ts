/**
 * A machine within this one: a container engine of its own and an agent, in namespaces that end all at once. That is as near to a
 * power cut as it gets: nobody is told, nothing is tidied up, and only what is on the disk is there at the next boot, under
 * another boot id of the kernel's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { eventually } from './processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Namespaces are made by root only. */
export const canMakeMachines = process.getuid?.() === 0;

/** `$1` is the machine's folder, and what follows is the agent. What a real boot empties, this does. */
const BOOT = `
set -e
folder=$1; shift
mount --bind "$folder/boot-id" /proc/sys/kernel/random/boot_id
# An engine takes the containerd that it finds here, which knows nothing of these namespaces, in place of one of its own.
mkdir -p /run/containerd && mount -t tmpfs none /run/containerd
rm -rf "$folder/run" "$folder/engine.pid" "$folder/engine.sock"
# An engine without a bridge removes the one that it finds, so it gets a network of its own.
unshare --net dockerd --config-file "$folder/engine.json" --data-root "$folder/data" --exec-root "$folder/run" \\
  --pidfile "$folder/engine.pid" --host "unix://$folder/engine.sock" --bridge none --iptables=false --ip-masq=false &
"$@" &
wait
`;

export class RealMachine {
  readonly docker: Docker;
  readonly #folder: string;
  readonly #agentArgs: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  #namespaces: ChildProcess | null = null;
  #boots = 0;

  private constructor(folder: string, agentArgs: readonly string[], env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#agentArgs = agentArgs;
    this.#env = env;
    this.docker = new Docker({ socketPath: join(folder, 'engine.sock') });
  }

  /**
   * Not booted yet. `agentArgs`: all but its engine and its state folder. `env`: what its engine and its agent find in theirs beside
   * what this process has.
   */
  static async make(agentArgs: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RealMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-m-'));
    await writeFile(join(folder, 'engine.json'), '{}');
    return new RealMachine(folder, agentArgs, env);
  }

  /** Resolves when the engine answers; the agent waits for it by itself. */
  async boot(): Promise<void> {
    this.#boots += 1;
    const bootId = `00000000-0000-4000-8000-${String(this.#boots).padStart(12, '0')}`;
    await writeFile(join(this.#folder, 'boot-id'), `${bootId}\n`);
    const log = openSync(join(this.#folder, 'log'), 'a');
    const agent = [process.execPath, join(ROOT, 'node-agent/main.ts'), ...this.#agentArgs];
    const own = ['--docker-socket', join(this.#folder, 'engine.sock'), '--state-dir', join(this.#folder, 'state')];
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const args = ['unshare', ...namespaces, 'sh', '-c', BOOT, 'boot', this.#folder, ...agent, ...own];
    const env = { ...process.env, ...this.#env };
    // A test run that is killed takes the machine with it.
    this.#namespaces = spawn('setpriv', ['--pdeathsig', 'KILL', ...args], {
      stdio: ['ignore', log, log],
      cwd: '/',
      env,
    });
    closeSync(log);
    await eventually('the engine of a machine to answer', async () => Boolean(await this.docker.ping()));
  }

  /** Takes an image over from this machine's engine. */
  async load(image: string): Promise<void> {
    const loading = await this.docker.loadImage(await new Docker().getImage(image).get());
    loading.resume();
    await once(loading, 'end');
  }

  /** Everything in it is gone from one moment to the next. */
  async powerCut(): Promise<void> {
    const namespaces = this.#namespaces;
    if (namespaces === null) return;
    this.#namespaces = null;
    const [first] = (await readFile(`/proc/${namespaces.pid}/task/${namespaces.pid}/children`, 'utf8')).split(' ');
    const ended = once(namespaces, 'exit');
    namespaces.kill('SIGKILL');
    await ended;
    // The kernel ends the first process of the namespace last.
    await eventually('the machine to be off', async () => !(await isAlive(first ?? '')));
  }

  containersOf(task: string): Promise<Docker.ContainerInfo[]> {
    return this.docker.listContainers({ all: true, filters: { label: [`io.berth.task=${task}`] } });
  }

  log(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  async dispose(): Promise<void> {
    await this.powerCut();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** One that has ended may wait to be noticed by its parent. */
async function isAlive(pid: string): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
