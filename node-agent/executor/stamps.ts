/**
 * The agent's side of the stamps by which the control plane tells it from a copy of itself. A stamp is in the journal before it is
 * sent and stays the same until it is confirmed, so that an answer that was lost, or a crash at any point, leaves an agent that the
 * control plane still knows. It is made only when it is needed: a copy of the journal then doesn't hold the next one.
 */
import type { Stamp } from '../../shared/protocol/agent.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import type { Book } from './book.ts';
import { JournalFault, type Log } from './contracts.ts';

export interface StampsParts {
  readonly book: Book;
  readonly random: Random;
  readonly log: Log;
}

export class Stamps {
  readonly #parts: StampsParts;
  readonly #instance: string;
  /** Of what is in memory, the stamp that is known to be on disk. */
  #onDisk: string | null = null;
  #isFaultTold = false;

  constructor(parts: StampsParts) {
    this.#parts = parts;
    this.#instance = randomId(parts.random);
  }

  /** What the journal held when it was read is on disk. */
  restore(): void {
    this.#onDisk = this.#parts.book.stamp.next;
  }

  /** For the next registration. Null: not now, since the journal can't be written and this agent has never registered. */
  async propose(): Promise<Stamp | null> {
    const { book, random, log } = this.#parts;
    const { last, epoch } = book.stamp;
    const next = book.stamp.next ?? randomId(random);
    if (book.stamp.next === null) book.write({ kind: 'stamp', stamp: { last, epoch, next } });
    try {
      if (this.#onDisk !== next) await book.durable();
      this.#onDisk = next;
      this.#isFaultTold = false;
      return { instance: this.#instance, last, epoch, next };
    } catch (cause) {
      if (!(cause instanceof JournalFault)) throw cause;
      if (!this.#isFaultTold) log.warn('the journal can not be written', { cause: cause.message });
      this.#isFaultTold = true;
      // A full disk must not cost the node its session: the last one once more.
      return last === null ? null : { instance: this.#instance, last, epoch, next: last };
    }
  }

  /** The control plane has taken the stamp, and given the epoch for it. */
  confirmed({ next }: Stamp, epoch: number): void {
    const { book } = this.#parts;
    const isOpen = book.stamp.next !== null && book.stamp.next !== next;
    book.write({ kind: 'stamp', stamp: { last: next, epoch, next: isOpen ? book.stamp.next : null } });
  }
}
