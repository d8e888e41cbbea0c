/** The agent's memory: what the journal adds up to, kept in step with the journal itself. */
import type { Clock } from '../../shared/util/clock.ts';
import type { LocalTasks, Moment } from '../core/model.ts';
import { applyRecord, compactBook, emptyBook, type JournalRecord } from '../core/records.ts';
import type { Journal, Log } from './contracts.ts';

/** The journal is rewritten once it has grown by so many records, or by several times what it holds. */
const COMPACT_AFTER_MIN = 2000;
const COMPACT_AFTER_FACTOR = 8;

export class Book {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #state = emptyBook();
  #appended = 0;

  constructor(parts: { readonly journal: Journal; readonly clock: Clock; readonly log: Log }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  get tasks(): LocalTasks {
    return this.#state.tasks;
  }

  get position() {
    return this.#state.position;
  }

  get stamp() {
    return this.#state.stamp;
  }

  now(): Moment {
    return { wallMs: this.#clock.now(), steadyMs: this.#clock.monotonicMs() };
  }

  /** Reads the journal, and leaves it compacted. */
  async load(): Promise<void> {
    const now = this.now();
    for (const record of await this.#journal.load()) applyRecord(this.#state, record, now);
    await this.#journal.compact(compactBook(this.#state));
  }

  /** Puts something on record. It holds at once in memory, and after {@link durable} across a power cut. */
  write(record: JournalRecord): void {
    applyRecord(this.#state, record, this.now());
    this.#journal.append(record);
    this.#appended += 1;
    const bound = Math.max(COMPACT_AFTER_MIN, COMPACT_AFTER_FACTOR * this.#state.tasks.size);
    if (this.#appended >= bound) this.#compact();
  }

  durable(): Promise<void> {
    return this.#journal.flush();
  }

  #compact(): void {
    this.#appended = 0;
    this.#journal.compact(compactBook(this.#state)).catch((cause: unknown) => {
      // The journal that was there goes on; the next attempt comes after as many records again.
      this.#log.warn('the journal could not be compacted', { cause: String(cause) });
    });
  }
}
