/** A task's output, line by line, in the order of its index, read only as fast as it is taken. */
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { utcTime } from '../../../shared/util/utc-time.ts';
import type { LogRequest } from '../../executor/contracts.ts';
import { type Chunk, datedUpTo, placesAt, STREAMS, type Stream, timeAfter, timeAt } from './output-index.ts';
import type { TaskOutput } from './task-output.ts';

/** A line is cut into several at this length, in bytes: nobody downstream has to hold an endless one. */
const LINE_BYTES_MAX = 64 * 1024;
/** A cut isn't made within a character, so that a piece may be shorter by so much. */
const CUT_SLACK_BYTES = 3;
const BLOCK_BYTES = 64 * 1024;
/** How often a follower looks for more. */
const FOLLOW_EVERY_MS = 100;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export interface OutputSource {
  readonly output: TaskOutput;
  readonly clock: Clock;
  /** Once it doesn't, nothing more is written. */
  readonly isRunning: () => Promise<boolean>;
}

export async function* readOutput(
  { output, clock, isRunning }: OutputSource,
  request: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<readonly LogLine[]> {
  let lines: Lines | null = null;
  while (!signal.aborted) {
    // Asked before the look: once it has ended, nothing comes after what is seen then.
    const isOver = !(await isRunning());
    output.date();
    lines ??= startingLines(output, request, isOver);
    yield* lines.read();
    const rest = isOver ? lines.rest() : [];
    if (rest.length > 0) yield rest;
    if (isOver || !request.follow) return;
    await sleep(clock, FOLLOW_EVERY_MS, signal);
  }
}

function startingLines(output: TaskOutput, request: LogRequest, isOver: boolean): Lines {
  const { chunks } = output;
  const since = request.since === null ? '' : (utcTime(request.since) ?? request.since);
  if (request.tail === null) return new Lines(output, { places: placesAt(chunks, since), after: since, skip: 0 });
  const { first, skip } = tailOf(output, request.tail, isOver);
  return new Lines(output, { places: datedUpTo(chunks.slice(0, first)), after: since, skip });
}

/** The chunk in which the latest so many lines begin to end, and how many of those that end there come before. */
function tailOf(output: TaskOutput, wanted: number, isOver: boolean): { first: number; skip: number } {
  const { chunks } = output;
  let found = isOver ? unendedLines(output) : 0;
  let first = chunks.length;
  while (first > 0 && found < wanted) {
    first -= 1;
    const chunk = chunks[first];
    if (chunk !== undefined) found += endsIn(output, chunk);
  }
  return { first, skip: Math.max(0, found - wanted) };
}

function endsIn(output: TaskOutput, { stream, start, end }: Chunk): number {
  let count = 0;
  for (const { block } of output.bytes(stream, start, end, BLOCK_BYTES)) {
    for (let at = block.indexOf(LINE_FEED); at >= 0; at = block.indexOf(LINE_FEED, at + 1)) count += 1;
  }
  return count;
}

/** Streams that don't end with a line's end. */
function unendedLines(output: TaskOutput): number {
  const ends = datedUpTo(output.chunks);
  const isUnended = (stream: Stream) =>
    [...output.bytes(stream, Math.max(0, ends[stream] - 1), ends[stream], 1)].some(
      ({ block }) => block[0] !== LINE_FEED,
    );
  return STREAMS.filter(isUnended).length;
}

interface Begun {
  pieces: Buffer[];
  bytes: number;
  /** The place after what was read last. */
  place: number;
}

class Lines {
  readonly #output: TaskOutput;
  /** Only lines after this time are wanted. */
  readonly #after: string;
  #skip: number;
  readonly #begun: Readonly<Record<Stream, Begun>>;

  constructor(
    output: TaskOutput,
    start: { readonly places: Readonly<Record<Stream, number>>; readonly after: string; readonly skip: number },
  ) {
    this.#output = output;
    this.#after = start.after;
    this.#skip = start.skip;
    this.#begun = {
      stdout: this.#lineAt('stdout', start.places.stdout),
      stderr: this.#lineAt('stderr', start.places.stderr),
    };
  }

  /** All that is dated and wasn't read yet. */
  *read(): Generator<readonly LogLine[]> {
    // A copy, since more may be dated while a reader takes its time; that is for the next call.
    for (const chunk of [...this.#output.chunks]) {
      const begun = this.#begun[chunk.stream];
      if (chunk.end <= begun.place) continue;
      const from = Math.max(chunk.start, begun.place);
      for (const { at, block } of this.#output.bytes(chunk.stream, from, chunk.end, BLOCK_BYTES)) {
        // What lies between is no longer kept, and so is the beginning of this line.
        if (at !== begun.place) this.#reset(begun, at);
        const lines = this.#split(chunk, block);
        if (lines.length > 0) yield lines;
      }
      if (begun.place !== chunk.end) this.#reset(begun, chunk.end);
    }
  }

  /** What was begun and never got its end, once the task has ended. */
  rest(): LogLine[] {
    const { chunks } = this.#output;
    return STREAMS.flatMap((stream) =>
      this.#begun[stream].bytes === 0 ? [] : this.#line(stream, timeAfter(chunks, stream), {}),
    );
  }

  #split(chunk: Chunk, block: Buffer): LogLine[] {
    const begun = this.#begun[chunk.stream];
    const lines: LogLine[] = [];
    for (let rest = block; rest.length > 0; ) {
      const end = rest.indexOf(LINE_FEED);
      const whole = end < 0 ? rest : rest.subarray(0, end);
      const room = LINE_BYTES_MAX - begun.bytes;
      if (whole.length > room) {
        const cut = cutAt(whole, room);
        push(begun, whole.subarray(0, cut), cut);
        lines.push(...this.#line(chunk.stream, timeAt(chunk, begun.place), { continues: true }));
        rest = rest.subarray(cut);
        continue;
      }
      // The block is used again by nobody, so a part of it may be kept; but not for long, since it keeps the whole.
      push(begun, end < 0 ? Buffer.from(whole) : whole, end < 0 ? whole.length : whole.length + 1);
      if (end < 0) break;
      lines.push(...this.#line(chunk.stream, timeAt(chunk, begun.place), {}));
      rest = rest.subarray(end + 1);
    }
    return lines;
  }

  /** The line that was begun, as it is. Empty: it isn't wanted. */
  #line(stream: Stream, at: string, part: Pick<LogLine, 'continues'>): LogLine[] {
    const begun = this.#begun[stream];
    const bytes = begun.pieces.length === 1 ? (begun.pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(begun.pieces);
    begun.pieces = [];
    begun.bytes = 0;
    if (at <= this.#after) return [];
    if (this.#skip > 0) {
      if (part.continues !== true) this.#skip -= 1;
      return [];
    }
    const text = part.continues !== true && bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
    return [{ at, stream, text: text.toString('utf8'), ...part }];
  }

  /** To begin at a place within a line, with what comes before it. Where that is longer than a piece may be, the place is a cut. */
  #lineAt(stream: Stream, place: number): Begun {
    const from = Math.max(0, place - LINE_BYTES_MAX + CUT_SLACK_BYTES + 1);
    const read = [...this.#output.bytes(stream, from, place, BLOCK_BYTES)];
    const before = Buffer.concat(read.map(({ block }) => block));
    const feed = before.lastIndexOf(LINE_FEED);
    const isWholeBefore = from === 0 && read[0]?.at === 0;
    const part = feed < 0 && !isWholeBefore ? Buffer.alloc(0) : before.subarray(feed + 1);
    return { pieces: part.length === 0 ? [] : [part], bytes: part.length, place };
  }

  #reset(begun: Begun, place: number): void {
    begun.pieces = [];
    begun.bytes = 0;
    begun.place = place;
  }
}

function push(begun: Begun, piece: Buffer, taken: number): void {
  if (piece.length > 0) begun.pieces.push(piece);
  begun.bytes += piece.length;
  begun.place += taken;
}

/** Not within a character: bytes that begin with `10` go on with the one before. */
function cutAt(body: Buffer, wanted: number): number {
  let cut = wanted;
  while (cut > 0 && wanted - cut <= CUT_SLACK_BYTES && ((body[cut] ?? 0) & 0xc0) === 0x80) cut -= 1;
  return ((body[cut] ?? 0) & 0xc0) === 0x80 ? wanted : cut;
}
