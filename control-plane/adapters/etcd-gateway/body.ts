/** Bodies of replies as text, as they come in: never more of them than was asked for. */
import { AnswerTooLongError } from '../etcd-api/refusals.ts';

/** The pieces of a body, however its bytes were cut. Throws {@link AnswerTooLongError} when a line or the whole is too long. */
export class BodyText {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | null;
  readonly #bytesMax: number;
  readonly #decoder = new TextDecoder();
  readonly #lines: string[] = [];
  #rest: string[] = [];
  #restBytes = 0;

  constructor(body: ReadableStream<Uint8Array> | null, bytesMax: number) {
    this.#reader = body?.getReader() ?? null;
    this.#bytesMax = bytesMax;
  }

  /** Everything that is left. */
  async all(): Promise<string> {
    for (;;) {
      const piece = await this.#piece();
      if (piece === null) return this.#rest.join('');
      this.#rest.push(piece);
    }
  }

  /** The next line, without its end; null when the body ends. What follows the last end of a line is no line. */
  async line(): Promise<string | null> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      const piece = await this.#piece();
      if (piece === null) return null;
      this.#cut(piece);
    }
  }

  /** Nothing more is read, and the connection may go. */
  cancel(): void {
    this.#reader?.cancel().catch(() => undefined);
  }

  /** A line may come in thousands of pieces, so that none is looked at twice. */
  #cut(piece: string): void {
    const [first = '', ...others] = piece.split('\n');
    this.#rest.push(first);
    for (const other of others) {
      this.#lines.push(this.#rest.join(''));
      this.#rest = [other];
      this.#restBytes = other.length;
    }
  }

  async #piece(): Promise<string | null> {
    if (this.#reader === null) return null;
    const { done, value } = await this.#reader.read();
    if (done) return null;
    this.#restBytes += value.length;
    if (this.#restBytes > this.#bytesMax) {
      this.cancel();
      throw new AnswerTooLongError(`etcd: an answer is larger than max (${this.#bytesMax} bytes)`);
    }
    return this.#decoder.decode(value, { stream: true });
  }
}
