/** The folder in which haproxy finds its configuration. What is in use there is only ever replaced as a whole. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Holders } from './claims.ts';
import { type Configuration, servedBy } from './config.ts';

const LIST_FILE = /^(?:hosts|certificates)-[0-9a-f]+\.list$/;

export interface Present {
  readonly id: string;
  readonly ports: readonly number[];
  readonly holders: Holders;
}

export class ConfigFolder {
  readonly #folder: string;
  readonly configPath: string;
  readonly #candidatePath: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.configPath = join(folder, 'haproxy.cfg');
    this.#candidatePath = join(folder, 'candidate.cfg');
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** Written beside the one in use; the path. */
  async putCandidate({ text, files }: Configuration): Promise<string> {
    for (const file of files) await this.#write(file.path, file.text);
    await this.#write(this.#candidatePath, text);
    return this.#candidatePath;
  }

  /** What was written beside the one in use takes its place. */
  async takeCandidate(): Promise<void> {
    await rename(this.#candidatePath, this.configPath);
  }

  async put(configuration: Configuration): Promise<void> {
    await this.putCandidate(configuration);
    await this.takeCandidate();
  }

  /** What is told of the configuration that is there; null: there is none. */
  async readPresent(): Promise<Present | null> {
    const text = await readFile(this.configPath, 'utf8').catch(() => '');
    const id = /^ {2}description "berth ([0-9a-f]+)"$/m.exec(text)?.[1];
    if (id === undefined) return null;
    const list = /hosts-[0-9a-f]+\.list/.exec(text)?.[0];
    const routes = list === undefined ? '' : await readFile(join(this.#folder, list), 'utf8').catch(() => '');
    return { id, ...servedBy(text, routes) };
  }

  /** Removes the lists that the configuration doesn't name. */
  async tidy({ files }: Configuration): Promise<void> {
    const named = new Set(files.map(({ path }) => basename(path)));
    for (const name of await readdir(this.#folder)) {
      if (LIST_FILE.test(name) && !named.has(name)) await rm(join(this.#folder, name), { force: true });
    }
  }

  async #write(path: string, text: string): Promise<void> {
    await writeFile(path, text, { mode: 0o600 });
  }
}
