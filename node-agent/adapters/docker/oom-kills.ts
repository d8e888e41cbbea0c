/**
 * Whether the kernel has killed anything for want of memory of late, on the whole machine. It counts before the process dies, while
 * the engine may learn of it only after it has told of the container's end: where nothing was counted, there is nothing to wait for.
 */
import { readFile } from 'node:fs/promises';

const VMSTAT = '/proc/vmstat';

/** How many so far, since the machine started; null: this kernel doesn't say. */
export async function readOomKills(): Promise<number | null> {
  const text = await readFile(VMSTAT, 'utf8').catch(() => '');
  const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? null : Number(count);
}

export class OomKills {
  readonly #read: () => Promise<number | null>;
  /** Of which the engine has had the time to learn. */
  #settled: number | null = null;

  constructor(read: () => Promise<number | null>) {
    this.#read = read;
  }

  /** Null: nothing was killed for want of memory that isn't settled. Else to be called once the engine has had time to learn of it. */
  async unsettled(): Promise<(() => void) | null> {
    const count = await this.#read();
    if (count !== null && count === this.#settled) return null;
    return () => {
      if (count !== null && count > (this.#settled ?? Number.NEGATIVE_INFINITY)) this.#settled = count;
    };
  }
}
