/** The folder that a development cluster lives in: who holds it, and what an earlier one left behind. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../shared/util/clock.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { CliError } from '../exit.ts';

export interface DataDir {
  readonly path: string;
  readonly ephemeral: boolean;
  /** What tells this cluster's nodes from those of others on the same container engine. */
  readonly nodeSuffix: string;
  /** Remembers a process, so that the next cluster in this folder can end it if this one couldn't. */
  record(process: RecordedProcess): Promise<void>;
  /** Gives the folder back; an ephemeral one is removed. */
  release(options: { keep: boolean }): Promise<void>;
}

/** A process is named by its id and its start, since ids are used again. */
export interface RecordedProcess {
  readonly name: string;
  readonly pid: number;
  readonly startTicks: string;
}

export function defaultDataDir(env: Readonly<Record<string, string | undefined>>): string {
  return join(env['XDG_DATA_HOME'] ?? join(env['HOME'] ?? '/', '.local', 'share'), 'berth', 'dev');
}

export interface OpenOptions {
  /** Null: a temporary one, gone at the end. */
  readonly path: string | null;
  readonly clock: Clock;
  readonly note: (text: string) => void;
}

/** Takes the folder. Refuses when another `berth dev` holds it; ends what one that died left running. */
export async function openDataDir({ path: wanted, clock, note }: OpenOptions): Promise<DataDir> {
  const path = wanted ?? (await mkdtemp(join(tmpdir(), 'berth-dev-')));
  for (const folder of ['', 'etcd', 'logs']) await mkdir(join(path, folder), { recursive: true, mode: 0o700 });
  await takeLock(path);
  await endLeftovers(path, clock, note);
  const recorded: RecordedProcess[] = [];
  return {
    path,
    ephemeral: wanted === null,
    nodeSuffix: `-${await ownMark(path)}`,
    async record(process) {
      recorded.push(process);
      await writeFile(processesFile(path), JSON.stringify(recorded), { mode: 0o600 });
    },
    async release({ keep }) {
      await rm(processesFile(path), { force: true });
      await rm(lockFile(path), { force: true });
      if (wanted === null && !keep) await rm(path, { recursive: true, force: true });
    },
  };
}

const lockFile = (path: string) => join(path, 'lock');
const processesFile = (path: string) => join(path, 'processes.json');

/** A lock appears whole or not at all: it is written elsewhere and linked into place. */
async function takeLock(path: string): Promise<void> {
  const own = join(path, `lock.${process.pid}`);
  const startTicks = startTicksOf(process.pid) ?? '';
  await writeFile(own, JSON.stringify({ name: 'berth dev', pid: process.pid, startTicks }), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < LOCK_ATTEMPTS_MAX; attempt += 1) {
      if (await linked(own, lockFile(path))) return;
      const holder = parseProcess(await readFile(lockFile(path), 'utf8').catch(() => ''));
      if (holder !== null && isAlive(holder)) throw heldError(path, holder);
      await rm(lockFile(path), { force: true });
    }
    throw new CliError(`the data folder ${path} can't be locked`, {
      remedy: `Remove ${lockFile(path)} if no berth dev runs.`,
    });
  } finally {
    await unlink(own);
  }
}

const LOCK_ATTEMPTS_MAX = 5;

function heldError(path: string, holder: RecordedProcess): CliError {
  return new CliError(`another berth dev (process ${holder.pid}) uses ${path}`, {
    remedy:
      'End it first, or give this one a folder and a port of its own: berth dev --data-dir DIR --port PORT (or --ephemeral).',
  });
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** How long a process that was left behind has to end by itself. */
const LEFTOVER_GRACE_MS = 5000;
const LEFTOVER_LOOK_MS = 50;

async function endLeftovers(path: string, clock: Clock, note: (text: string) => void): Promise<void> {
  const text = await readFile(processesFile(path), 'utf8').catch(() => '[]');
  const left = parseProcesses(text).filter(isAlive);
  if (left.length === 0) return;
  note(`ending what an earlier berth dev left behind: ${left.map(({ name, pid }) => `${name} (${pid})`).join(', ')}`);
  // Agents first, etcd last: the reverse of how they were started.
  for (const leftover of left.reverse()) {
    process.kill(leftover.pid, 'SIGTERM');
    const deadline = clock.monotonicMs() + LEFTOVER_GRACE_MS;
    while (isAlive(leftover) && clock.monotonicMs() < deadline) await sleep(clock, LEFTOVER_LOOK_MS);
    if (isAlive(leftover)) process.kill(leftover.pid, 'SIGKILL');
  }
}

/** When a process started, in the kernel's ticks since boot (proc(5), stat, field 22); null where there is none. */
export function startTicksOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent hasn't noticed yet.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function isAlive(recorded: RecordedProcess): boolean {
  return startTicksOf(recorded.pid) === recorded.startTicks;
}

function parseProcesses(text: string): RecordedProcess[] {
  const value = parseJson(text);
  return Array.isArray(value) ? value.map(asProcess).filter((each) => each !== null) : [];
}

function parseProcess(text: string): RecordedProcess | null {
  return asProcess(parseJson(text));
}

function asProcess(value: unknown): RecordedProcess | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, pid, startTicks } = value as Record<string, unknown>;
  if (typeof name !== 'string' || typeof pid !== 'number' || typeof startTicks !== 'string') return null;
  return { name, pid, startTicks };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function ownMark(path: string): Promise<string> {
  const file = join(path, 'mark');
  const known = await readFile(file, 'utf8').catch(() => '');
  if (/^[0-9a-f]{6}$/.test(known)) return known;
  const mark = randomBytes(3).toString('hex');
  await writeFile(file, mark, { mode: 0o600 });
  return mark;
}
