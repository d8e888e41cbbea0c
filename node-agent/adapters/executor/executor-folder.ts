/**
 * The folder of one executor: whose it is, the tasks that it runs, and the folder with its socket, which is all of it that the
 * executor sees. Its name is short and made by chance, since the path of a socket may have no more than about a hundred characters.
 *
 * All of it belongs to the agent, and the executor can change nothing of it: what lies where the next agent looks for the socket, as
 * root, must not be up to a task.
 */
import { chmod, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskId } from '../../../shared/domain/ids.ts';
import { EXECUTOR_SOCKET } from '../../core/task-environment.ts';
import type { HostedTask } from './hosted-task.ts';

/** Of a socket's path, in bytes: what the kernel takes, without the NUL. */
const SOCKET_PATH_MAX = 107;

interface Owner {
  readonly task: TaskId;
  readonly isEntered: boolean;
}

export class ExecutorFolder {
  readonly path: string;
  readonly executor: TaskId;
  readonly #isEntered: boolean;

  private constructor(path: string, { task, isEntered }: Owner) {
    this.path = path;
    this.executor = task;
    this.#isEntered = isEntered;
  }

  /**
   * `isEntered`: the executor is a process of the machine and comes to its socket by this path, as a user of its own, to whom the
   * socket has to be given. Otherwise nobody but the engine passes.
   */
  static async make(path: string, executor: TaskId, isEntered: boolean): Promise<ExecutorFolder> {
    const owner = { task: executor, isEntered };
    const folder = new ExecutorFolder(path, owner);
    await makeFolder(path, isEntered ? 0o711 : 0o700);
    await makeFolder(folder.#tasks, 0o700);
    await makeFolder(folder.endpoint, isEntered ? 0o711 : 0o755);
    await replaceFile(join(path, 'executor.json'), JSON.stringify(owner));
    return folder;
  }

  /** Null: it was left half-made. */
  static async read(path: string): Promise<ExecutorFolder | null> {
    const text = await readFile(join(path, 'executor.json'), 'utf8').catch(() => null);
    return text === null ? null : new ExecutorFolder(path, JSON.parse(text) as Owner);
  }

  /** What is given to the executor. */
  get endpoint(): string {
    return join(this.path, 'endpoint');
  }

  get socket(): string {
    return join(this.endpoint, EXECUTOR_SOCKET);
  }

  /** Who may use the socket: its owner where others pass by, else whoever the engine lets in. */
  get socketMode(): number {
    return this.#isEntered ? 0o600 : 0o666;
  }

  /** Why there can be no socket in it; null: there can. */
  get refusal(): string | null {
    if (Buffer.byteLength(this.socket) <= SOCKET_PATH_MAX) return null;
    return `the path of its socket would be longer than the ${SOCKET_PATH_MAX} bytes that the system takes (${this.socket}); its agent would need a shorter --state-dir`;
  }

  async readTasks(): Promise<HostedTask[]> {
    const names = (await readdir(this.#tasks)).filter((name) => name.endsWith('.json'));
    const texts = await Promise.all(names.map((name) => readFile(join(this.#tasks, name), 'utf8')));
    return texts.map((text) => JSON.parse(text) as HostedTask);
  }

  /** Resolves when it survives a power cut. */
  writeTask(task: HostedTask): Promise<void> {
    return replaceFile(this.#file(task.id), JSON.stringify(task));
  }

  async removeTask(id: string): Promise<void> {
    await rm(this.#file(id), { force: true });
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  get #tasks(): string {
    return join(this.path, 'tasks');
  }

  #file(id: string): string {
    return join(this.#tasks, `${id}.json`);
  }
}

/** With exactly this mode, whatever the process's own mask. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode });
  await chmod(path, mode);
}

async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
