/** One connection to the door, read as it comes: the head of an answer, and the chunks or the bytes behind it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { eventually } from '../../../support/processes.ts';

const END_OF_HEAD = '\r\n\r\n';

export class Wire {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  readonly #chunks: string[] = [];
  /** Up to where the chunks have been read. */
  #parsed = 0;
  #isOver = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (part: Buffer) => {
      this.#received = Buffer.concat([this.#received, part]);
    });
    socket.on('error', () => undefined);
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect(port, '127.0.0.1');
    const wire = new Wire(socket);
    await once(socket, 'connect');
    return wire;
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  /** Nothing more is taken from the connection. */
  stopReading(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Its lines, the status line first. */
  async head(): Promise<string[]> {
    const text = await eventually('the head of an answer', async () => {
      const end = this.#received.indexOf(END_OF_HEAD);
      return end < 0 ? false : this.#received.subarray(0, end).toString('latin1');
    });
    return text.split('\r\n');
  }

  /** The body of an answer that says how long it is. */
  async body(): Promise<string> {
    const length = Number(fieldOf(await this.head(), 'content-length') ?? Number.NaN);
    const from = this.#received.indexOf(END_OF_HEAD) + END_OF_HEAD.length;
    await eventually('the body of an answer', async () => this.#received.length >= from + length);
    if (this.#received.length > from + length) throw new Error('there is more than the length of the body says');
    return this.#received.subarray(from).toString('utf8');
  }

  /** The chunks that have come so far, and whether the last one has, which is empty. */
  chunks(): { readonly chunks: readonly string[]; readonly isOver: boolean } {
    const head = this.#received.indexOf(END_OF_HEAD);
    if (head < 0) return { chunks: [], isOver: false };
    if (this.#parsed === 0) this.#parsed = head + END_OF_HEAD.length;
    while (!this.#isOver && this.#parseChunk());
    return { chunks: this.#chunks, isOver: this.#isOver };
  }

  /** Whether there was a whole one. */
  #parseChunk(): boolean {
    const line = this.#received.indexOf('\r\n', this.#parsed);
    if (line < 0) return false;
    const length = Number.parseInt(this.#received.subarray(this.#parsed, line).toString('latin1'), 16);
    const begin = line + 2;
    if (this.#received.length < begin + length + 2) return false;
    this.#parsed = begin + length + 2;
    if (length === 0) this.#isOver = true;
    else this.#chunks.push(this.#received.subarray(begin, begin + length).toString('latin1'));
    return true;
  }
}

/** Undefined: the head doesn't have it, or has it more than once. */
export function fieldOf(head: readonly string[], name: string): string | undefined {
  const [line, ...more] = head.filter((one) => one.toLowerCase().startsWith(`${name}:`));
  return more.length > 0 ? undefined : line?.slice(name.length + 1).trim();
}
