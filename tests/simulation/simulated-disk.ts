/**
 * The part of a machine's disk that holds the agent's journal. What was flushed survives everything; of what was written
 * and not flushed, a crash keeps the beginning, as long as chance has it.
 */
import type { JournalRecord } from '../../node-agent/core/records.ts';
import { type Journal, JournalFault } from '../../node-agent/executor/contracts.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

const FLUSH_MS: readonly [number, number] = [0, 20];

/** As text, as on a disk: a record that JSON can't carry would come back changed. */
interface Line {
  readonly number: number;
  readonly text: string;
}

export class SimulatedDisk {
  readonly #random: SeededRandom;
  #lines: Line[] = [];
  #written = 0;
  /** The number of the last line that survives anything. */
  #flushed = 0;
  /** While true nothing reaches the disk. */
  isFull = false;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The journal as one agent process writes it. */
  journalOf(process: SimulatedProcess, clock: Clock): Journal {
    const afterAWhile = () => process.receive(sleep(clock, this.#random.between(...FLUSH_MS)));
    return {
      load: async () => {
        await afterAWhile();
        return this.#lines.map(({ text }) => JSON.parse(text) as JournalRecord);
      },
      append: (record) => {
        this.#lines.push(this.#line(record));
      },
      flush: async () => {
        const reached = this.#written;
        await afterAWhile();
        if (this.isFull) throw new JournalFault('the disk is full');
        this.#flushed = Math.max(this.#flushed, reached);
      },
      compact: async (records) => {
        this.#lines = records.map((record) => this.#line(record));
        this.#flushed = this.#written;
        await afterAWhile();
      },
      close: afterAWhile,
    };
  }

  /** The agent's process is gone, or the power is. */
  crash(): void {
    const kept = this.#random.between(this.#flushed, this.#written);
    this.#lines = this.#lines.filter((line) => line.number <= kept);
    this.#flushed = this.#written;
  }

  /** Another disk with the same on it: an image that was restored on a second machine. */
  copy(random: SeededRandom): SimulatedDisk {
    const copy = new SimulatedDisk(random);
    copy.#lines = [...this.#lines];
    copy.#written = this.#written;
    copy.#flushed = this.#written;
    return copy;
  }

  #line(record: JournalRecord): Line {
    this.#written += 1;
    return { number: this.#written, text: JSON.stringify(record) };
  }
}
