/** The CLI as a process, as a person or a script has it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BERTH = join(ROOT, 'control-plane/cli/berth');
export const IMAGE = 'berth/busybox:local';

export interface Ran {
  /** Null: a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Program {
  readonly process: ChildProcess;
  readonly done: Promise<Ran>;
  out(): string;
  err(): string;
  /** Waits until stdout and stderr together hold the text. */
  says(text: string | RegExp, timeoutMs?: number): Promise<void>;
}

type Env = Readonly<Record<string, string | undefined>>;

export function startProgram(command: string, args: readonly string[], env: Env = {}): Program {
  // In a process group of its own, as a shell would have it, so that signals reach it and nobody else.
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', BERTH_ADDR: undefined, BERTH_TOKEN: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const done = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
  return {
    process: child,
    done,
    out: () => out,
    err: () => err,
    says: (text, timeoutMs = 60_000) =>
      vi.waitFor(
        () => {
          const all = out + err;
          if (child.exitCode !== null) expect(all, `it exited with ${child.exitCode}`).toMatch(text);
          expect(all).toMatch(text);
        },
        { timeout: timeoutMs, interval: 50 },
      ),
  };
}

export function startBerth(args: readonly string[], env: Env = {}): Program {
  return startProgram(BERTH, args, env);
}

export function berth(args: readonly string[], env: Env = {}): Promise<Ran> {
  return startBerth(args, env).done;
}

/** A line of a real shell in which `berth` is a command. */
export function shell(line: string, env: Env = {}): Promise<Ran> {
  return startProgram('bash', ['-c', `berth() { ${BERTH} "$@"; }\n${line}`], env).done;
}

export interface DevCluster {
  readonly program: Program;
  /** Lets the CLI find the cluster. */
  readonly env: Env;
  readonly home: string;
  readonly dataDir: string;
  stop(): Promise<Ran>;
}

/** `berth dev` in folders of its own; the CLI finds it through the context file, as a person's would. */
export async function startDev(options: { home?: string; flags?: readonly string[] } = {}): Promise<DevCluster> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'berth-e2e-')));
  const env = { XDG_CONFIG_HOME: join(home, 'config'), XDG_DATA_HOME: join(home, 'data') };
  const dataDir = join(home, 'dev');
  const program = startBerth(['dev', '--port', '0', '--data-dir', dataDir, ...(options.flags ?? [])], env);
  await program.says('Ctrl-C ends the cluster.', 120_000);
  return {
    program,
    env,
    home,
    dataDir,
    async stop() {
      program.process.kill('SIGTERM');
      const ran = await program.done;
      if (options.home === undefined) await rm(home, { recursive: true, force: true });
      return ran;
    },
  };
}

/** The processes of a cluster, by name, as `berth dev` recorded them. */
export function processesOf(dataDir: string): Map<string, number> {
  const recorded: { name: string; pid: number }[] = JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8'));
  return new Map(recorded.map(({ name, pid }) => [name, pid]));
}

export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** The names of all containers, ended ones too, whose name holds the text. */
export async function containers(text: string): Promise<string[]> {
  const { out } = await startProgram('docker', ['ps', '--all', '--format', '{{.Names}}']).done;
  return out.split('\n').filter((name) => name.includes(text));
}

/** What tells this cluster's nodes from those of others: the end of their names. */
export function markOf(dataDir: string): string {
  return readFileSync(join(dataDir, 'mark'), 'utf8');
}
