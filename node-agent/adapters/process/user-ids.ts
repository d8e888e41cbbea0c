/**
 * A user for each task: a number that nobody else on the machine has, without a name or a password. Several agents may share a
 * machine, so who has which number stands in a folder that they share, with the folder of the task that has it. A number whose folder
 * is gone is free again.
 *
 * All of it is one small file, named by a generation that only rises. Whoever changes something reads the latest one and makes the
 * next; the kernel lets one of several be the first, and the others begin anew. A lock would outlive whoever dies holding it.
 */
import { access, link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Random, randomId } from '../../../shared/util/random.ts';
import { isFaultOf } from './faults.ts';

export interface UserIdRange {
  readonly first: number;
  readonly last: number;
}

/** Of those that neither distributions, nor systemd, nor the ranges of user namespaces use. */
export const DEFAULT_USER_IDS: UserIdRange = { first: 1_880_000_000, last: 1_880_009_999 };

/** So many agents may be faster than this one before it gives up. */
const TRIES_MAX = 1000;
/** Generations that are left lying: whoever is slow finds that the next one is there, and can't make it again. */
const GENERATIONS_KEPT = 16;
const NAME_PATTERN = /^claims\.(\d{1,15})$/;

interface Claims {
  /** Where looking begins: after the last one that was given, so that a number isn't used again right away. */
  readonly next: number;
  /** The folder of the task that has it, by number. */
  readonly owners: ReadonlyMap<number, string>;
}

export class UserIds {
  readonly #range: UserIdRange;
  readonly #dir: string;
  readonly #random: Random;

  /** `dir`: shared by all agents of the machine. */
  constructor(range: UserIdRange, dir: string, random: Random) {
    this.#range = range;
    this.#dir = dir;
    this.#random = random;
  }

  /** Null: every number is taken. `folder`, of the task, exists; what it had before is free. */
  take(folder: string): Promise<number | null> {
    return this.#change(async ({ next, owners }) => {
      const left = new Map([...owners].filter(([, owner]) => owner !== folder));
      const id = await this.#findFree(next, left);
      if (id === null) return { claims: null, result: null };
      return { claims: { next: this.#after(id), owners: left.set(id, folder) }, result: id };
    });
  }

  /** For a task of before a reboot, which has emptied the folder of claims while what belongs to the user is still there. */
  keep(id: number, folder: string): Promise<void> {
    return this.#change(async ({ next, owners }) => {
      const owner = owners.get(id);
      if (owner !== undefined && (await isThere(owner))) return { claims: null, result: undefined };
      return { claims: { next, owners: new Map(owners).set(id, folder) }, result: undefined };
    });
  }

  /** False: it wasn't that task's. */
  release(id: number, folder: string): Promise<boolean> {
    return this.#change(async ({ next, owners }) => {
      if (owners.get(id) !== folder) return { claims: null, result: false };
      return { claims: { next, owners: new Map([...owners].filter(([other]) => other !== id)) }, result: true };
    });
  }

  async #findFree(from: number, owners: ReadonlyMap<number, string>): Promise<number | null> {
    const { first, last } = this.#range;
    let id = from >= first && from <= last ? from : first;
    for (let tries = first; tries <= last; tries += 1) {
      const owner = owners.get(id);
      if (owner === undefined || !(await isThere(owner))) return id;
      id = this.#after(id);
    }
    return null;
  }

  #after(id: number): number {
    return id >= this.#range.last ? this.#range.first : id + 1;
  }

  /** `decide` may be asked several times. Without new claims nothing is written. */
  async #change<T>(
    decide: (claims: Claims) => Promise<{ readonly claims: Claims | null; readonly result: T }>,
  ): Promise<T> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const latest = (await this.#generations()).at(-1) ?? 0;
      const { claims, result } = await decide(latest === 0 ? this.#none() : await this.#read(latest));
      if (claims === null || (await this.#write(latest + 1, claims))) return result;
    }
    throw new Error(`${this.#dir} is changed by others all the time`);
  }

  /**
   * Nobody has taken anything since the machine was started, which tells nothing of files that earlier users have left in `/tmp`: so
   * numbers begin anywhere.
   */
  #none(): Claims {
    const { first, last } = this.#range;
    return { next: first + Math.floor(this.#random.next() * (last - first + 1)), owners: new Map() };
  }

  /** Rising. */
  async #generations(): Promise<number[]> {
    const names = await readdir(this.#dir);
    return names.flatMap((name) => NAME_PATTERN.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b);
  }

  async #read(generation: number): Promise<Claims> {
    try {
      return decodeClaims(await readFile(this.#file(generation), 'utf8')) ?? this.#none();
    } catch (cause) {
      // Others have gone on meanwhile, and the next generation can't be made.
      if (isFaultOf(cause, 'ENOENT')) return this.#none();
      throw cause;
    }
  }

  /** False: somebody else was the first. */
  async #write(generation: number, claims: Claims): Promise<boolean> {
    const draft = join(this.#dir, `draft-${randomId(this.#random, 16)}`);
    await writeFile(draft, encodeClaims(claims), { mode: 0o600 });
    try {
      await link(draft, this.#file(generation));
    } catch (cause) {
      if (isFaultOf(cause, 'EEXIST')) return false;
      throw cause;
    } finally {
      await rm(draft, { force: true });
    }
    const generations = await this.#generations();
    const latest = generations.at(-1) ?? generation;
    if (latest >= generation + GENERATIONS_KEPT) {
      // It may have been made and cleared away before: then it was made on what is long past.
      await rm(this.#file(generation), { force: true });
      return false;
    }
    for (const old of generations.filter((each) => each <= latest - GENERATIONS_KEPT)) {
      await rm(this.#file(old), { force: true });
    }
    return true;
  }

  #file(generation: number): string {
    return join(this.#dir, `claims.${generation}`);
  }
}

function encodeClaims({ next, owners }: Claims): string {
  return `${[String(next), ...[...owners].map(([id, folder]) => `${id} ${folder}`)].join('\n')}\n`;
}

/** Null: it isn't whole. */
function decodeClaims(text: string): Claims | null {
  const [next = '', ...lines] = text.split('\n');
  if (!/^\d+$/.test(next) || lines.pop() !== '') return null;
  const owners = new Map<number, string>();
  for (const line of lines) {
    const [, id, folder] = /^(\d+) (.+)$/.exec(line) ?? [];
    if (id === undefined || folder === undefined) return null;
    owners.set(Number(id), folder);
  }
  return { next: Number(next), owners };
}

function isThere(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  );
}
