/**
 * The engine's log format, taken apart. Each frame is `[stream, 0, 0, 0, length as 4 bytes]` and one piece of output, which
 * begins with its time; a piece without a line's end at its end is a part of a longer line. Frames arrive cut anywhere.
 */
import type { LogLine } from '../../../shared/protocol/agent.ts';

/** A line is cut into several at this length, in bytes: nobody downstream has to hold an endless one. */
export const LINE_BYTES_MAX = 64 * 1024;

const HEADER_BYTES = 8;
const STDERR = 2;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;

interface Partial {
  readonly at: string;
  readonly pieces: Buffer[];
  bytes: number;
}

export class LogFrames {
  readonly #partial = new Map<LogLine['stream'], Partial>();
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that are complete with `chunk`. */
  push(chunk: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (data.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + data.readUInt32BE(4);
      if (data.length < end) break;
      this.#frame(data[0] === STDERR ? 'stderr' : 'stdout', data.subarray(HEADER_BYTES, end), lines);
      data = data.subarray(end);
    }
    // A copy, so that a small rest doesn't keep a large chunk alive.
    this.#rest = Buffer.from(data);
    return lines;
  }

  /** What was begun and never got its line's end. */
  end(): LogLine[] {
    const lines: LogLine[] = [];
    for (const stream of [...this.#partial.keys()]) this.#close(stream, lines);
    return lines;
  }

  #frame(stream: LogLine['stream'], payload: Buffer, lines: LogLine[]): void {
    const space = payload.indexOf(SPACE);
    const at = space < 0 ? '' : fullTime(payload.toString('latin1', 0, space));
    const text = payload.subarray(space + 1);
    const isWhole = text.at(-1) === LINE_FEED;
    let body = isWhole ? text.subarray(0, text.at(-2) === CARRIAGE_RETURN ? -2 : -1) : text;
    const partial = this.#partial.get(stream) ?? { at, pieces: [], bytes: 0 };
    this.#partial.set(stream, partial);
    while (partial.bytes + body.length > LINE_BYTES_MAX) {
      const cut = cutAt(body, LINE_BYTES_MAX - partial.bytes);
      lines.push({ ...line(stream, partial.at, [...partial.pieces, body.subarray(0, cut)]), continues: true });
      partial.pieces.length = 0;
      partial.bytes = 0;
      body = body.subarray(cut);
    }
    partial.pieces.push(Buffer.from(body));
    partial.bytes += body.length;
    if (isWhole) this.#close(stream, lines);
  }

  #close(stream: LogLine['stream'], lines: LogLine[]): void {
    const partial = this.#partial.get(stream);
    this.#partial.delete(stream);
    if (partial !== undefined) lines.push(line(stream, partial.at, partial.pieces));
  }
}

/** The engine leaves zeros at the end of the fraction out; with all nine digits, times sort as texts. */
export function fullTime(time: string): string {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(time);
  return match === null ? time : `${match[1]}.${(match[2] ?? '').padEnd(9, '0')}Z`;
}

function line(stream: LogLine['stream'], at: string, pieces: readonly Buffer[]): LogLine {
  return { at, stream, text: Buffer.concat(pieces).toString('utf8') };
}

/** Not within a character: bytes that begin with `10` go on with the one before. */
function cutAt(body: Buffer, wanted: number): number {
  let cut = Math.max(0, wanted);
  while (cut > 0 && ((body[cut] ?? 0) & 0xc0) === 0x80) cut -= 1;
  return cut === 0 ? Math.max(0, wanted) : cut;
}
