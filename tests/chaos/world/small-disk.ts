/** A file system of a few MiB, which can be filled to the last byte and emptied again. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SIZE = '16m';
const CHUNK_BYTES = 64 * 1024;
const CHUNKS_MAX = 1024;

export class SmallDisk {
  readonly path: string;
  #isMounted = false;

  constructor(path: string) {
    this.path = path;
  }

  mount(): void {
    mkdirSync(this.path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'berth-chaos', this.path]);
    this.#isMounted = true;
  }

  fill(): void {
    const file = openSync(this.#ballast, 'a');
    try {
      for (const bytes of [CHUNK_BYTES, 512, 1]) fillBy(file, Buffer.alloc(bytes, 1));
    } finally {
      closeSync(file);
    }
  }

  get isFull(): boolean {
    return statfsSync(this.path).bavail === 0;
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  unmount(): void {
    if (this.#isMounted) execFileSync('umount', ['--lazy', this.path]);
    this.#isMounted = false;
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }
}

function fillBy(file: number, chunk: Buffer): void {
  for (let written = 0; written < CHUNKS_MAX; written += 1) {
    try {
      writeSync(file, chunk);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return;
      throw error;
    }
  }
}
