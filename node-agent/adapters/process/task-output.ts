/** A task's output as it lies in its folder, and the index that says when it was written. Only the agent writes the index. */
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isFaultOf } from './faults.ts';
import {
  type Chunk,
  coarser,
  datedUpTo,
  decodeChunks,
  encodeChunk,
  nextChunk,
  type Places,
  STREAMS,
  type Stream,
} from './output-index.ts';

/** Beyond, the older half of the index is made coarser. */
const CHUNKS_MAX = 8192;
const NAMES: Readonly<Record<Stream, string>> = { stdout: 'out', stderr: 'err' };

export class TaskOutput {
  readonly #folder: string;
  readonly #segmentBytes: number;
  #chunks: Chunk[];
  #dated: Record<Stream, number>;

  /** `segmentBytes`: the length of each file of output but the last. */
  constructor(folder: string, segmentBytes: number) {
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
    const text = read(this.#indexPath);
    this.#chunks = decodeChunks(text);
    this.#dated = { ...datedUpTo(this.#chunks) };
    // A torn end would spoil the next record.
    if (text !== '' && !text.endsWith('\n')) this.#rewrite();
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /**
   * Dates what has come since. Everything in it happens at once, without a wait: two readers of the same output must not both date it.
   * Looking takes microseconds where nothing has come.
   */
  date(): void {
    for (const stream of STREAMS) {
      for (let segment = this.#next(stream); segment !== null; segment = this.#next(stream)) {
        const part = { stream, start: Math.max(this.#dated[stream], segment.start), end: segment.end };
        const chunk = nextChunk(this.#chunks.at(-1), part, segment.writtenMs * 1000);
        appendFileSync(this.#indexPath, encodeChunk(chunk), { mode: 0o600 });
        this.#chunks.push(chunk);
        this.#dated[stream] = chunk.end;
      }
    }
    if (this.#chunks.length > CHUNKS_MAX) {
      this.#chunks = coarser(this.#chunks, this.#kept());
      this.#rewrite();
    }
  }

  /** The bytes from one place to before another. Fewer: the rest is no longer kept. */
  *bytes(stream: Stream, from: number, to: number, blockBytes: number): Generator<{ at: number; block: Buffer }> {
    let at = from;
    while (at < to) {
      const number = Math.floor(at / this.#segmentBytes);
      const begin = number * this.#segmentBytes;
      const wanted = Math.min(blockBytes, to - at, begin + this.#segmentBytes - at);
      const block = readAt(this.#segmentPath(stream, number), at - begin, wanted);
      if (block.length > 0) yield { at, block };
      // A file that is gone, or that ended early on a full disk: what follows is in the next one.
      at = block.length > 0 ? at + block.length : begin + this.#segmentBytes;
    }
  }

  /** The next file with something undated. Null: there is none. */
  #next(stream: Stream): Segment | null {
    const dated = this.#dated[stream];
    const number = Math.floor(dated / this.#segmentBytes);
    const here = this.#segment(stream, number);
    if (here !== null && here.end > dated) return here;
    if (here !== null && this.#segment(stream, number + 1) === null) return null;
    const later = this.#numbers(stream).filter((other) => other > number);
    for (const other of later) {
      const segment = this.#segment(stream, other);
      if (segment !== null && segment.end > segment.start) return segment;
    }
    return null;
  }

  #segment(stream: Stream, number: number): Segment | null {
    const stats = statSync(this.#segmentPath(stream, number), { throwIfNoEntry: false });
    if (stats === undefined) return null;
    const start = number * this.#segmentBytes;
    return { start, end: start + stats.size, writtenMs: stats.mtimeMs };
  }

  /** Where what is left of each stream begins. */
  #kept(): Places {
    const first = (stream: Stream) => (this.#numbers(stream)[0] ?? 0) * this.#segmentBytes;
    return { stdout: first('stdout'), stderr: first('stderr') };
  }

  #numbers(stream: Stream): number[] {
    const prefix = `${NAMES[stream]}.`;
    const names = readdirSync(this.#folder).filter((name) => name.startsWith(prefix));
    return names
      .map((name) => Number(name.slice(prefix.length)))
      .filter(Number.isInteger)
      .sort((a, b) => a - b);
  }

  #rewrite(): void {
    writeFileSync(`${this.#indexPath}.new`, this.#chunks.map(encodeChunk).join(''), { mode: 0o600 });
    renameSync(`${this.#indexPath}.new`, this.#indexPath);
  }

  #segmentPath(stream: Stream, number: number): string {
    return join(this.#folder, `${NAMES[stream]}.${number}`);
  }

  get #indexPath(): string {
    return join(this.#folder, 'times');
  }
}

interface Segment {
  readonly start: number;
  readonly end: number;
  readonly writtenMs: number;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT')) return '';
    throw cause;
  }
}

function readAt(path: string, position: number, length: number): Buffer {
  try {
    const file = openSync(path, 'r');
    try {
      const block = Buffer.allocUnsafe(length);
      return block.subarray(0, readSync(file, block, 0, length, position));
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT')) return Buffer.alloc(0);
    throw cause;
  }
}
