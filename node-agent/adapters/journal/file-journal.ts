/**
 * The journal as a file that is only appended to, and now and then replaced by a shorter one that says the same. Writes of the
 * same moment go to disk together: fifty tasks that start at once cost one flush, not fifty.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { JournalRecord } from '../../core/records.ts';
import { type Journal, JournalFault } from '../../executor/contracts.ts';
import { decodeLine, encodeLine } from './record-line.ts';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: JournalFault) => void;
}

export class FileJournal implements Journal {
  readonly #path: string;
  #file: FileHandle | null = null;
  /** Bytes of the file that are whole lines. */
  #length = 0;
  #pending: string[] = [];
  /** Everything, in place of what the file holds; written before what is pending. */
  #replacement: string[] | null = null;
  #waiters: Waiter[] = [];
  #isWriting = false;
  /** Lines that failed their checksum when the journal was loaded. */
  damagedLines = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async load(): Promise<readonly JournalRecord[]> {
    const lines = (await readOrEmpty(this.#path)).split('\n').filter((line) => line !== '');
    const records = lines.flatMap((line) => decodeLine(line) ?? []);
    this.damagedLines = lines.length - records.length;
    return records;
  }

  append(record: JournalRecord): void {
    this.#pending.push(encodeLine(record));
    this.#write();
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#write();
    });
  }

  compact(records: readonly JournalRecord[]): Promise<void> {
    // What is still pending is part of what the records say.
    this.#pending = [];
    this.#replacement = records.map(encodeLine);
    return this.flush();
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#file?.close();
    this.#file = null;
  }

  /** One writer at a time, started in the next microtask so that everything of this moment goes along. */
  #write(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    queueMicrotask(() => void this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0 || this.#replacement !== null || this.#waiters.length > 0) {
      const waiters = this.#waiters;
      this.#waiters = [];
      try {
        await this.#writeOnce(waiters.length > 0);
        for (const waiter of waiters) waiter.resolve();
      } catch (cause) {
        const fault = new JournalFault(`write the journal ${this.#path}: ${String(cause)}`, { cause });
        // Those who came meanwhile too: nobody would come back to them.
        for (const waiter of [...waiters, ...this.#waiters.splice(0)]) waiter.reject(fault);
        // What could not be written stays; the next record or flush tries again.
        break;
      }
    }
    this.#isWriting = false;
  }

  async #writeOnce(isDurable: boolean): Promise<void> {
    let file = this.#file ?? (await this.#open());
    // Nothing is awaited between the last of these and taking up what is pending: that belongs behind the replacement.
    while (this.#replacement !== null) file = await this.#replace(this.#replacement);
    if (this.#pending.length > 0) await this.#writePending(file);
    if (isDurable) await file.datasync();
  }

  /** What is being written is pending no more: a compaction that comes meanwhile replaces it, and not what follows. */
  async #writePending(file: FileHandle): Promise<void> {
    const lines = this.#pending;
    this.#pending = [];
    const data = Buffer.from(lines.join(''));
    try {
      await writeFully(file, data, this.#length);
      this.#length += data.length;
    } catch (cause) {
      if (this.#replacement === null) this.#pending = [...lines, ...this.#pending];
      throw cause;
    }
  }

  async #replace(lines: string[]): Promise<FileHandle> {
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      const data = Buffer.from(lines.join(''));
      await writeFully(file, data, 0);
      await file.sync();
      await rename(temporary, this.#path);
      await syncFolder(dirname(this.#path));
      await this.#file?.close();
      this.#file = file;
      this.#length = data.length;
    } catch (cause) {
      await file.close();
      throw cause;
    }
    if (this.#replacement === lines) this.#replacement = null;
    return file;
  }

  async #open(): Promise<FileHandle> {
    // Not in append mode, in which the system ignores where a write is meant to go.
    this.#file = await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#length = (await this.#file.stat()).size;
    return this.#file;
  }
}

/** At a place of its own choosing, so that a write that failed half-way is written over by the next one. */
async function writeFully(file: FileHandle, data: Buffer, at: number): Promise<void> {
  let written = 0;
  while (written < data.length) {
    const { bytesWritten } = await file.write(data, written, data.length - written, at + written);
    written += bytesWritten;
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return '';
    throw cause;
  }
}

/** A rename survives a power cut only once its folder has been written. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
