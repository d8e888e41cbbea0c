/**
 * Where the one who brings lines and the one who reads them meet. What has not been read yet is bounded: whoever brings more
 * is made to wait, so that a slow reader slows the agent down instead of filling our memory.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { LogLine } from '../../shared/protocol/agent.ts';

/** Characters that wait for the reader before the bringer has to wait. */
const UNREAD_LENGTH_MAX = 262_144;

type Ending = { readonly error: Error | null };

export class LineSink {
  readonly node: NodeId;
  /** Resolves when somebody has come to bring lines. */
  readonly claimed: Promise<void>;
  /** Resolves when nobody reads any more. */
  readonly abandoned: Promise<void>;
  readonly #unread: (readonly LogLine[])[] = [];
  #unreadLength = 0;
  #isClaimed = false;
  #isAbandoned = false;
  #ending: Ending | null = null;
  #resolveClaimed = () => {};
  #resolveAbandoned = () => {};
  #wake = () => {};
  #pending: Promise<void> | null = null;

  constructor(node: NodeId) {
    this.node = node;
    this.claimed = new Promise((resolve) => {
      this.#resolveClaimed = resolve;
    });
    this.abandoned = new Promise((resolve) => {
      this.#resolveAbandoned = resolve;
    });
  }

  /** The first who asks may bring lines; everybody after that is told no. */
  claim(): boolean {
    if (this.#isClaimed) return false;
    this.#isClaimed = true;
    this.#resolveClaimed();
    return true;
  }

  /** Hands lines over; resolves once there is room for more. False: nobody reads any more. */
  async push(lines: readonly LogLine[]): Promise<boolean> {
    if (lines.length > 0 && !this.#isAbandoned) {
      this.#unread.push(lines);
      this.#unreadLength += lengthOf(lines);
      this.#changed();
    }
    while (this.#unreadLength > UNREAD_LENGTH_MAX && !this.#isAbandoned) await this.#change();
    return !this.#isAbandoned;
  }

  /** No more lines will come: all have, or, with an error, the rest can't be had. */
  end(error: Error | null = null): void {
    this.#ending ??= { error };
    this.#changed();
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#unread.length = 0;
    this.#unreadLength = 0;
    this.#resolveAbandoned();
    this.end();
  }

  /** Every batch of lines, to the end. Throws the error that the lines ended with. To be called once. */
  async *read(): AsyncGenerator<readonly LogLine[], void> {
    for (;;) {
      const lines = this.#unread.shift();
      if (lines !== undefined) {
        this.#unreadLength -= lengthOf(lines);
        this.#changed();
        yield lines;
      } else if (this.#ending !== null) {
        if (this.#ending.error !== null) throw this.#ending.error;
        return;
      } else await this.#change();
    }
  }

  #change(): Promise<void> {
    this.#pending ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#pending;
  }

  #changed(): void {
    this.#pending = null;
    this.#wake();
  }
}

function lengthOf(lines: readonly LogLine[]): number {
  return lines.reduce((sum, line) => sum + line.text.length + 1, 0);
}
