/** What happened, line by line: hashed as a whole, so that two runs can be compared, and kept for the last part of it. */
import type { Clock } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';

const LINES_KEPT = 400;

export class Trace {
  readonly #clock: Clock;
  readonly #onLine: ((line: string) => void) | null;
  readonly #lines: string[] = [];
  #count = 0;
  #low = 0x811c_9dc5;
  #high = 0xcbf2_9ce4;

  constructor(clock: Clock, onLine: ((line: string) => void) | null) {
    this.#clock = clock;
    this.#onLine = onLine;
  }

  add(who: string, what: string): void {
    const line = `${(this.#clock.monotonicMs() / 1000).toFixed(3).padStart(9)} ${who.padEnd(10)} ${what}`;
    this.#count += 1;
    this.#mix(line);
    this.#lines[this.#count % LINES_KEPT] = line;
    this.#onLine?.(line);
  }

  /** 64 bits over every line so far, in hexadecimal. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** The last lines, oldest first. */
  tail(count: number): string[] {
    const wanted = Math.min(count, LINES_KEPT, this.#count);
    return Array.from({ length: wanted }, (_, place) => {
      return this.#lines[(this.#count - wanted + 1 + place) % LINES_KEPT] ?? '';
    });
  }

  /** Two runs of FNV-1a with different beginnings and multipliers. */
  #mix(line: string): void {
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      this.#low = Math.imul(this.#low ^ code, 0x0100_0193);
      this.#high = Math.imul(this.#high ^ code, 0x85eb_ca6b) ^ (this.#high >>> 15);
    }
  }
}

/** What a process of the product logs, as lines of its own. */
export function loggerOf(trace: Trace, who: string): Logger {
  const tell = (fields: Readonly<Record<string, unknown>>, message: string) => {
    const { error } = fields;
    trace.add(who, error instanceof Error ? `${message}: ${error.message}` : message);
  };
  return { debug: () => undefined, info: tell, warn: tell, error: tell };
}
