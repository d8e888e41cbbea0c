/**
 * A machine for the real fence, with its real dead-man: processes are real, but which container each belongs to, and how long the
 * machine has been up, stands in a folder that the test writes in place of the kernel's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFenceState, type FenceState } from '../../node-agent/adapters/fence/fence-state.ts';
import { FileFence } from '../../node-agent/adapters/fence/file-fence.ts';
import type { FenceUnderTest } from './fence-suite.ts';

const ALL_CAPABILITIES = '000001ffffffffff';
const DEADLINE_MS = 20_000;
const POLL_MS = 20;
/** The machine has been up for so long; a fraction that a shell might take for an octal number. */
const STARTED_MS = 1_000_090;

export class FencedMachine implements FenceUnderTest {
  readonly warnings: string[] = [];
  readonly dir: string;
  readonly procDir: string;
  readonly #processes = new Map<string, ChildProcess>();
  #upMs = STARTED_MS;

  private constructor(root: string) {
    this.dir = join(root, 'state', 'fence');
    this.procDir = join(root, 'proc');
  }

  static async begin(): Promise<FencedMachine> {
    const root = await mkdtemp(join(tmpdir(), 'berth-fence-'));
    const machine = new FencedMachine(root);
    await mkdir(join(root, 'state'));
    await mkdir(join(machine.procDir, 'sys/kernel/random'), { recursive: true });
    await mkdir(join(machine.procDir, 'self'));
    await machine.boot('boot-1');
    await machine.allow(ALL_CAPABILITIES);
    // A process that belongs to no container, and one that is gone as soon as it is looked at.
    await mkdir(join(machine.procDir, '1'));
    await writeFile(join(machine.procDir, '1', 'cgroup'), '0::/init.scope\n');
    await mkdir(join(machine.procDir, '2'));
    return machine;
  }

  /** `agent`: its process id; this process if it isn't given. `path`: where programs are looked for first. */
  open(agent: { readonly shell?: string; readonly pid?: number; readonly path?: string } = {}): Promise<FileFence> {
    const warn = (message: string) => void this.warnings.push(message);
    const log = { debug: () => undefined, info: () => undefined, warn, error: warn };
    const around = { shell: '/bin/sh', pid: process.pid, path: process.env['PATH'] ?? '', ...agent };
    return FileFence.open({ dir: this.dir, procDir: this.procDir, ...around, log });
  }

  async boot(id: string): Promise<void> {
    await writeFile(join(this.procDir, 'sys/kernel/random/boot_id'), `${id}\n`);
    await this.advance(0);
  }

  async allow(capabilities: string): Promise<void> {
    await writeFile(join(this.procDir, 'self', 'status'), `Name:\tnode\nCapEff:\t${capabilities}\nCapBnd:\t0\n`);
  }

  async advance(byMs: number): Promise<void> {
    this.#upMs += byMs;
    const file = join(this.procDir, 'uptime');
    await writeFile(`${file}.new`, `${(this.#upMs / 1000).toFixed(2)} 12.00\n`);
    await rename(`${file}.new`, file);
  }

  run(container: string): void {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    const folder = join(this.procDir, String(child.pid));
    mkdirSync(folder);
    const lines = ['9:name=systemd:/', `8:pids:/docker/${container}`, `0::/system.slice/docker-${container}.scope`];
    writeFileSync(join(folder, 'cgroup'), `${lines.join('\n')}\n`);
    this.#processes.set(container, child);
  }

  isRunning(container: string): boolean {
    const child = this.#processes.get(container);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    while (!(await look())) {
      if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async state(): Promise<FenceState> {
    const state = decodeFenceState(await readFile(join(this.dir, 'state'), 'utf8'));
    if (state === null) throw new Error('the state of the fence is not whole');
    return state;
  }

  async dispose(): Promise<void> {
    for (const child of this.#processes.values()) child.kill('SIGKILL');
    const state = await this.state().catch(() => null);
    if (state !== null && state.keeper !== 0) endProcess(state.keeper);
    // A write that a fence doesn't wait for, or the dead-man's last, may come in between: then it is gone through again.
    await rm(join(this.dir, '..', '..'), { recursive: true, force: true, maxRetries: 10, retryDelay: POLL_MS });
  }
}

export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function endProcess(pid: number): void {
  if (isProcess(pid)) process.kill(pid, 'SIGKILL');
}
