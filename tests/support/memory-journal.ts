/** A journal in memory that loses what a crash would lose: everything that was not flushed. */

import type { JournalRecord } from '../../node-agent/core/records.ts';
import { type Journal, JournalFault } from '../../node-agent/executor/contracts.ts';

export class MemoryJournal implements Journal {
  #durable: JournalRecord[] = [];
  #pending: JournalRecord[] = [];
  /** While true nothing can be written, as on a full disk. */
  isFull = false;
  compactions = 0;

  /** What would be read after a crash. */
  get durable(): readonly JournalRecord[] {
    return this.#durable;
  }

  load(): Promise<readonly JournalRecord[]> {
    return Promise.resolve([...this.#durable]);
  }

  append(record: JournalRecord): void {
    this.#pending.push(clone(record));
  }

  async flush(): Promise<void> {
    await Promise.resolve();
    if (this.isFull) throw new JournalFault('the journal is told to be full');
    this.#durable.push(...this.#pending);
    this.#pending = [];
  }

  async compact(records: readonly JournalRecord[]): Promise<void> {
    this.compactions += 1;
    this.#durable = records.map(clone);
    this.#pending = [];
    await Promise.resolve();
  }

  close(): Promise<void> {
    return this.flush();
  }

  crash(): void {
    this.#pending = [];
  }
}

/** Through JSON, as on a disk: a record that JSON can't carry would come back changed. */
function clone(record: JournalRecord): JournalRecord {
  return JSON.parse(JSON.stringify(record)) as JournalRecord;
}
