/** Files of tasks that are in no file system at all, and stay when an agent dies, as those of a machine that goes on do. */
import type { TaskFile } from '../../node-agent/core/secrets.ts';
import { type TaskFiles, TaskFilesFault } from '../../node-agent/executor/contracts.ts';

export class FakeTaskFiles implements TaskFiles {
  refusal: string | null = null;
  /** By task and folder. */
  readonly folders = new Map<string, Map<string, readonly TaskFile[]>>();
  /** So many calls fail. */
  failures = 0;

  get held(): ReadonlySet<string> {
    return new Set(this.folders.keys());
  }

  async write(task: string, folder: string, files: readonly TaskFile[]): Promise<string> {
    this.#fail();
    const folders = this.folders.get(task) ?? new Map<string, readonly TaskFile[]>();
    this.folders.set(task, folders.set(folder, files));
    return `/memory/${task}/${folder}`;
  }

  async exchange(task: string, folder: string, files: readonly TaskFile[]): Promise<boolean> {
    if (this.folders.get(task)?.get(folder) === undefined) return false;
    await this.write(task, folder, files);
    return true;
  }

  async read(task: string, folder: string) {
    this.#fail();
    const files = this.folders.get(task)?.get(folder);
    return files === undefined ? null : { folder: `/memory/${task}/${folder}`, files };
  }

  async remove(task: string): Promise<void> {
    this.#fail();
    this.folders.delete(task);
  }

  #fail(): void {
    if (this.failures === 0) return;
    this.failures -= 1;
    throw new TaskFilesFault('reach the memory: it is full');
  }
}
