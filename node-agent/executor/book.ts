/** The agent's memory: what the journal adds up to, kept in step with the journal itself. */
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { LocalTasks, Moment } from '../core/model.ts';
import {
  applyRecord,
  compactBook,
  dropUnusedTemplates,
  emptyBook,
  type JournalRecord,
  startingRecords,
} from '../core/records.ts';
import type { Journal, Log } from './contracts.ts';

/** The journal is rewritten once it has grown by so many records, or by several times what it holds. */
const COMPACT_AFTER_MIN = 2000;
const COMPACT_AFTER_FACTOR = 8;
/** Or by templates of so many characters: those in use are half of it at the most. */
const COMPACT_AFTER_TEMPLATE_LENGTH = 16 * 1024 * 1024;

export class Book {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #state = emptyBook();
  #appended = 0;
  #appendedTemplateLength = 0;

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
    dropUnusedTemplates(this.#state);
    await this.#journal.compact(compactBook(this.#state));
  }

  /** Puts something on record. It holds at once in memory, and after {@link durable} across a power cut. */
  write(record: JournalRecord): void {
    applyRecord(this.#state, record, this.now());
    this.#journal.append(record);
    this.#appended += 1;
    if (record.kind === 'template') this.#appendedTemplateLength += JSON.stringify(record.group).length;
    const bound = Math.max(COMPACT_AFTER_MIN, COMPACT_AFTER_FACTOR * this.#state.tasks.size);
    const isLong = this.#appendedTemplateLength >= COMPACT_AFTER_TEMPLATE_LENGTH;
    if (isLong || this.#appended >= bound) this.#compact();
  }

  /** Puts it on record that a task is being started, and from what. */
  writeStarting(assigned: AssignedTask, stamp: { readonly incarnation: number; readonly epoch: number }): void {
    for (const record of startingRecords(this.#state, assigned, stamp)) this.write(record);
  }

  durable(): Promise<void> {
    return this.#journal.flush();
  }

  #compact(): void {
    this.#appended = 0;
    this.#appendedTemplateLength = 0;
    this.#journal.compact(compactBook(this.#state)).catch((cause: unknown) => {
      // The journal that was there goes on; the next attempt comes after as many records again.
      this.#log.warn('the journal could not be compacted', { cause: String(cause) });
    });
  }
}
