/**
 * A user for each task: a number that nobody else on the machine has, without a name or a password. Several agents may share a
 * machine, so who has which number stands in a folder that they share, one small file for each, which names the folder of the task. A
 * number whose folder is gone is free again.
 */
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFaultOf } from './faults.ts';

export interface UserIdRange {
  readonly first: number;
  readonly last: number;
}

/** Of those that neither distributions, nor systemd, nor the ranges of user namespaces use. */
export const DEFAULT_USER_IDS: UserIdRange = { first: 1_880_000_000, last: 1_880_009_999 };

export class UserIds {
  readonly #range: UserIdRange;
  readonly #dir: string;
  /** Where looking begins: after the last one that was given, so that a number isn't used again right away. */
  #next: number;

  /** `dir`: shared by all agents of the machine. */
  constructor(range: UserIdRange, dir: string) {
    this.#range = range;
    this.#dir = dir;
    this.#next = range.first;
  }

  /** Null: every number is taken. `folder`, of the task, exists. */
  async take(folder: string): Promise<number | null> {
    const { first, last } = this.#range;
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (let tries = first; tries <= last; tries += 1) {
      const id = this.#next;
      this.#next = id >= last ? first : id + 1;
      if (await this.#claim(id, folder)) return id;
    }
    return null;
  }

  /** For a task of before a reboot, which has emptied the folder of claims while what belongs to the user is still there. */
  async keep(id: number, folder: string): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await this.#claim(id, folder);
  }

  async release(id: number, folder: string): Promise<void> {
    if ((await this.#ownerOf(id)) === folder) await rm(this.#file(id), { force: true });
  }

  async #claim(id: number, folder: string): Promise<boolean> {
    for (let isRetry = false; ; isRetry = true) {
      try {
        await writeFile(this.#file(id), folder, { flag: 'wx', mode: 0o600 });
        return true;
      } catch (cause) {
        if (!isFaultOf(cause, 'EEXIST')) throw cause;
        if (isRetry || (await this.#isInUse(id))) return false;
        await rm(this.#file(id), { force: true });
      }
    }
  }

  async #isInUse(id: number): Promise<boolean> {
    const owner = await this.#ownerOf(id);
    // Not written yet: somebody is about to.
    if (owner === '') return true;
    if (owner === null) return false;
    return access(owner).then(
      () => true,
      () => false,
    );
  }

  async #ownerOf(id: number): Promise<string | null> {
    try {
      return await readFile(this.#file(id), 'utf8');
    } catch (cause) {
      if (isFaultOf(cause, 'ENOENT')) return null;
      throw cause;
    }
  }

  #file(id: number): string {
    return join(this.#dir, String(id));
  }
}
