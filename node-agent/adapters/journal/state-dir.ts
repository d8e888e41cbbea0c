/**
 * The folder in which an agent keeps what must outlive it: who it is, its token, its journal. One agent at a time: a second one
 * with the same folder would be a second mouth of the same node.
 */
import { access, chmod, link, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { MachineIdentity } from '../machine/machine-identity.ts';

/** How often a lock that its owner left behind is fought over with others who start at the same time. */
const LOCK_TRIES_MAX = 5;

export class StateDirError extends Error {
  override readonly name = 'StateDirError';
}

export interface StateDirOptions {
  /** Relative to where this process was started, or absolute. */
  readonly path: string;
  /** Of this process. */
  readonly pid: number;
  /** Whether a process with this id is running. */
  readonly isRunning: (pid: number) => boolean;
}

export class StateDir {
  readonly #options: StateDirOptions;

  private constructor(options: StateDirOptions) {
    this.#options = options;
  }

  /** Makes the folder where it is missing, and locks it. Throws a {@link StateDirError} that says what to do. */
  static async open(options: StateDirOptions): Promise<StateDir> {
    // What is told to other processes has to mean the same wherever they stand.
    const dir = new StateDir({ ...options, path: resolve(options.path) });
    try {
      await makeFolder(dir.#options.path);
      await dir.#lock();
    } catch (cause) {
      if (cause instanceof StateDirError) throw cause;
      throw new StateDirError(`the state folder ${options.path} can't be used: ${words(cause)}`, { cause });
    }
    return dir;
  }

  get journalPath(): string {
    return this.#file('journal');
  }

  get volumesDir(): string {
    return this.#file('volumes');
  }

  get fenceDir(): string {
    return this.#file('fence');
  }

  get executorsDir(): string {
    return this.#file('executors');
  }

  /** Where tasks without a container have their folders. */
  get tasksDir(): string {
    return this.#file('tasks');
  }

  /** Lets other users enter the folder, for what lies below it. What is in it they can neither list nor read. */
  letPass(): Promise<void> {
    return chmod(this.#options.path, 0o711);
  }

  /** The node's id from an earlier run; null: there was none. */
  readNodeId(): Promise<string | null> {
    return readText(this.#file('node-id'));
  }

  writeNodeId(id: string): Promise<void> {
    return this.#replace('node-id', id);
  }

  /** What the machine was told by when the folder was used last; null: nothing is on record. */
  async readMachine(): Promise<MachineIdentity | null> {
    const text = await readText(this.#file('machine'));
    if (text === null) return null;
    try {
      const { hardware, system } = JSON.parse(text) as MachineIdentity;
      return { ...(hardware !== undefined && { hardware }), ...(system !== undefined && { system }) };
    } catch {
      // Torn or edited: it says nothing.
      return null;
    }
  }

  writeMachine(machine: MachineIdentity): Promise<void> {
    return this.#replace('machine', JSON.stringify(machine));
  }

  readNodeToken(): Promise<string | null> {
    return readText(this.#file('node-token'));
  }

  /** Null: there is none any more. */
  async writeNodeToken(token: string | null): Promise<void> {
    if (token === null) await rm(this.#file('node-token'), { force: true });
    else await this.#replace('node-token', token);
  }

  async close(): Promise<void> {
    if (await this.#isOurs()) await rm(this.#file('lock'), { force: true });
  }

  #file(name: string): string {
    return join(this.#options.path, name);
  }

  async #replace(name: string, text: string): Promise<void> {
    const temporary = this.#file(`${name}.new`);
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#file(name));
  }

  async #isOurs(): Promise<boolean> {
    return (await readText(this.#file('lock'))) === (await this.#signature(this.#options.pid));
  }

  /** The process, and when it began, so that another process that got the same id later isn't taken for it. */
  async #signature(pid: number): Promise<string> {
    return `${pid} ${(await startTime(pid)) ?? 'unknown'}`;
  }

  async #lock(): Promise<void> {
    const own = this.#file(`lock.${this.#options.pid}`);
    await writeFile(own, `${await this.#signature(this.#options.pid)}\n`, { mode: 0o600 });
    try {
      for (let tries = 0; tries < LOCK_TRIES_MAX; tries += 1) {
        // A link is made by one of many who try, and it never shows a file that is half-written.
        if (await linked(own, this.#file('lock'))) return;
        await this.#dropIfLeftBehind();
      }
    } finally {
      await rm(own, { force: true });
    }
    throw new StateDirError(`the state folder ${this.#options.path} is being fought over; start one agent at a time`);
  }

  async #dropIfLeftBehind(): Promise<void> {
    const { path, isRunning } = this.#options;
    const holder = await readText(this.#file('lock'));
    if (holder === null) return;
    const pid = Number(holder.split(' ')[0]);
    if (Number.isInteger(pid) && isRunning(pid) && (await this.#signature(pid)) === holder) {
      throw new StateDirError(
        `another agent (process ${pid}) uses the state folder ${path}; stop it, or give this one another --state-dir`,
      );
    }
    // Taken away under a name of our own, and put back if meanwhile it had become somebody else's.
    const aside = this.#file(`lock.stale.${this.#options.pid}`);
    await rename(this.#file('lock'), aside).catch(() => {});
    if ((await readText(aside)) !== holder) await linked(aside, this.#file('lock'));
    await rm(aside, { force: true });
  }
}

/** When the process began, in the kernel's ticks since boot; null: it has ended, even if its parent hasn't noticed yet. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readText(`/proc/${pid}/stat`);
  // The second field is the command in brackets and may hold anything; the third is the state, the 22nd the start.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return fields[0] === 'Z' ? null : (fields[19] ?? null);
}

/** False: it is there already. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') return false;
    throw cause;
  }
}

/**
 * Makes the folder and those above it that are missing. Not left to Node.js's own recursion, which never ends where a folder is
 * there but takes no other, such as /proc.
 */
async function makeFolder(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent !== path && !(await isThere(parent))) await makeFolder(parent);
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw cause;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    const text = (await readFile(path, 'utf8')).trim();
    return text === '' ? null : text;
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return null;
    throw cause;
  }
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}

function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
