/**
 * Files of tasks in a file system that is memory: what is written there is gone when the machine is, and no disk has ever held it.
 * One folder for each task, and in it one for each kind of thing that it is given. Only the agent can list them; a task reaches its own
 * by their paths.
 */
import { chmod, chown, lstat, mkdir, readdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TASK_ID_PATTERN, type TaskId } from '../../../shared/domain/ids.ts';
import type { TaskFile } from '../../core/secrets.ts';
import { type TaskFiles, TaskFilesFault } from '../../executor/contracts.ts';

/** As statfs(2) numbers them: tmpfs and ramfs. */
const MEMORY_TYPES: readonly number[] = [0x0102_1994, 0x8584_58f6];
/** Tried in turn where the operator names no folder. */
export const MEMORY_DIRS = ['/run/berth-secrets', '/dev/shm/berth-secrets'] as const;
/** Its owner writes; everybody enters, who knows the way. */
const FOLDER_MODE = 0o711;
const FILE_MODE = 0o400;
const FILE_NAME = /^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}$/;

export class MemoryFiles implements TaskFiles {
  readonly refusal: string | null;
  readonly #dir: string;
  readonly #held: Set<TaskId>;

  private constructor(dir: string, held: Iterable<TaskId>, refusal: string | null) {
    this.#dir = dir;
    this.#held = new Set(held);
    this.refusal = refusal;
  }

  /** `dirs`: folders that may be used, the first that is in memory is. `nodeId`: agents of one machine don't see each other's. */
  static async open(dirs: readonly string[], nodeId: string): Promise<MemoryFiles> {
    const refusals: string[] = [];
    for (const dir of dirs) {
      const own = join(dir, nodeId);
      const refusal = await prepared(dir, own);
      if (refusal === null) return new MemoryFiles(own, await tasksIn(own), null);
      refusals.push(refusal);
    }
    const why = `the node keeps no secrets in memory: ${refusals.join('; ')}; name a folder there with --secrets-dir`;
    return new MemoryFiles('', [], why);
  }

  get held(): ReadonlySet<TaskId> {
    return this.#held;
  }

  async write(task: TaskId, folder: string, files: readonly TaskFile[]): Promise<string> {
    const path = join(this.#folderOf(task), folder);
    const fresh = `${path}.new`;
    await faulted(`write what task ${task} is given`, async () => {
      this.#held.add(task);
      await rm(fresh, { recursive: true, force: true });
      await mkdir(fresh, { recursive: true, mode: FOLDER_MODE });
      for (const { name, bytes } of files) {
        if (!FILE_NAME.test(name)) throw new Error('a file has a name that none can have');
        await writeFile(join(fresh, name), bytes, { mode: FILE_MODE, flag: 'wx' });
      }
      // In its place when it is complete: what is there is all there.
      await rm(path, { recursive: true, force: true });
      await rename(fresh, path);
    });
    return path;
  }

  async exchange(task: TaskId, folder: string, files: readonly TaskFile[]): Promise<boolean> {
    const path = join(this.#folderOf(task), folder);
    return faulted(`exchange what task ${task} was given`, async () => {
      for (const { name, bytes } of files) {
        if (!FILE_NAME.test(name)) throw new Error('a file has a name that none can have');
        const before = await lstat(join(path, name)).catch(absentAs(null));
        if (before === null) return false;
        const fresh = join(path, `.${name}.new`);
        await rm(fresh, { force: true });
        await writeFile(fresh, bytes, { mode: 0o600, flag: 'wx' });
        await chown(fresh, before.uid, before.gid);
        await chmod(fresh, before.mode & 0o777);
        await rename(fresh, join(path, name));
      }
      return true;
    });
  }

  async read(task: TaskId, folder: string): ReturnType<TaskFiles['read']> {
    const path = join(this.#folderOf(task), folder);
    return faulted(`read what task ${task} was given`, async () => {
      const names = await readdir(path).catch(absentAs(null));
      if (names === null) return null;
      const files = names.map(async (name) => ({ name, bytes: await readFile(join(path, name)) }));
      return { folder: path, files: await Promise.all(files) };
    });
  }

  async remove(task: TaskId): Promise<void> {
    await faulted(`remove what task ${task} was given`, () =>
      rm(this.#folderOf(task), { recursive: true, force: true }),
    );
    this.#held.delete(task);
  }

  /** Ids come from the control plane, and a path that leads elsewhere would be written, or deleted. */
  #folderOf(task: TaskId): string {
    if (this.refusal !== null || !TASK_ID_PATTERN.test(task))
      throw new TaskFilesFault(`find the files of a task: no id`);
    return join(this.#dir, task);
  }
}

/** Why the folder can't be used; null: it can, and is there. */
async function prepared(dir: string, own: string): Promise<string | null> {
  try {
    const { type } = await statfs(dirname(dir));
    if (!MEMORY_TYPES.includes(type)) return `${dirname(dir)} is on a disk`;
    for (const folder of [dir, own]) {
      await mkdir(folder, { mode: FOLDER_MODE }).catch(existing);
      const found = await lstat(folder);
      // Somebody who made it first could exchange what is in it.
      if (!found.isDirectory() || found.uid !== process.getuid?.()) return `${folder} is not the agent's own folder`;
      if ((found.mode & 0o022) !== 0) return `${folder} can be written by others`;
    }
    return null;
  } catch (cause) {
    return `${dir} can't be used: ${words(cause)}`;
  }
}

async function tasksIn(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => TASK_ID_PATTERN.test(name));
}

function existing(cause: unknown): void {
  if (codeOf(cause) !== 'EEXIST') throw cause;
}

function absentAs<T>(value: T): (cause: unknown) => T {
  return (cause) => {
    if (codeOf(cause) === 'ENOENT') return value;
    throw cause;
  };
}

/** Faults of the memory, such as that it is full. What was to be written is never among the words. */
async function faulted<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw new TaskFilesFault(`${what}: ${words(cause)}`, { cause });
  }
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : null;
}

function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
