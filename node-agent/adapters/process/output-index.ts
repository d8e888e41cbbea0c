/**
 * When a task wrote what. Its output lies in files as it came, and nobody who is there all the time can tell lines from each other;
 * so the agent looks now and then how far each stream has come, and puts that on record with the time of the last write. These
 * records, in order, are the order of the output: each is a chunk of one stream.
 *
 * A line's time is that of its chunk and as many nanoseconds more as there are bytes from the chunk's start to the line's end. So
 * every line has a time of its own, times rise through both streams, and a time leads back to its place: a reader that was cut off goes on
 * exactly there, under the next agent too. A chunk is dated so that it lies behind the one before, wherever the clock stands.
 */

export const STREAMS = ['stdout', 'stderr'] as const;
export type Stream = (typeof STREAMS)[number];

export interface Chunk {
  readonly stream: Stream;
  /** Places in the stream, in bytes from its beginning: from the first one to before the last one. */
  readonly start: number;
  readonly end: number;
  /** Microseconds since 1970, of its start. */
  readonly atUs: number;
}

export type Places = Readonly<Record<Stream, number>>;

const NS_PER_US = 1000;
const LETTERS: Readonly<Record<Stream, string>> = { stdout: 'o', stderr: 'e' };

export function encodeChunk({ stream, start, end, atUs }: Chunk): string {
  return `${LETTERS[stream]} ${start} ${end} ${atUs}\n`;
}

/** What is torn or can't be is left out: then that output is dated anew. */
export function decodeChunks(text: string): Chunk[] {
  const chunks: Chunk[] = [];
  const ends: Record<Stream, number> = { stdout: 0, stderr: 0 };
  let leastUs = 0;
  for (const line of text.split('\n')) {
    const [, letter, ...numbers] = /^([oe]) (\d{1,15}) (\d{1,15}) (\d{1,16})$/.exec(line) ?? [];
    const [start = 0, end = 0, atUs = 0] = numbers.map(Number);
    const stream = letter === 'o' ? 'stdout' : 'stderr';
    if (letter === undefined || start < ends[stream] || end <= start || atUs < leastUs) continue;
    const chunk = { stream, start, end, atUs } as const;
    chunks.push(chunk);
    ends[stream] = end;
    leastUs = afterUs(chunk);
  }
  return chunks;
}

/** The chunk that follows: written at `writtenUs`, as far as is known. */
export function nextChunk(
  previous: Chunk | undefined,
  part: Pick<Chunk, 'stream' | 'start' | 'end'>,
  writtenUs: number,
): Chunk {
  const leastUs = previous === undefined ? 0 : afterUs(previous);
  return { ...part, atUs: Math.max(Math.floor(writtenUs), leastUs) };
}

/** Where each stream has been dated up to. */
export function datedUpTo(chunks: readonly Chunk[]): Places {
  const ends: Record<Stream, number> = { stdout: 0, stderr: 0 };
  for (const { stream, end } of chunks) ends[stream] = end;
  return ends;
}

/** RFC 3339 with nanoseconds, of what ends at this place of the chunk. */
export function timeAt({ start, atUs }: Pick<Chunk, 'start' | 'atUs'>, place: number): string {
  const passedNs = place - start;
  const us = atUs + Math.floor(passedNs / NS_PER_US);
  const seconds = Math.floor(us / 1_000_000);
  const fraction = String((us % 1_000_000) * NS_PER_US + (passedNs % NS_PER_US)).padStart(9, '0');
  return `${new Date(seconds * 1000).toISOString().slice(0, -'.000Z'.length)}.${fraction}Z`;
}

/** Undoes {@link timeAt}: up to where each stream had been written at that time. */
export function placesAt(chunks: readonly Chunk[], time: string): Places {
  const places: Record<Stream, number> = { stdout: 0, stderr: 0 };
  for (const chunk of chunks) {
    if (timeAt(chunk, chunk.start) > time) break;
    places[chunk.stream] = Math.min(chunk.end, chunk.start + nanosecondsBetween(chunk, time));
  }
  return places;
}

function nanosecondsBetween({ atUs }: Chunk, time: string): number {
  const seconds = Math.floor(Date.parse(time) / 1000);
  const [, fraction = '0'] = /\.(\d{9})Z$/.exec(time) ?? [];
  const us = seconds * 1_000_000 + Math.floor(Number(fraction) / NS_PER_US);
  return (us - atUs) * NS_PER_US + (Number(fraction) % NS_PER_US);
}

/** Chunks are merged in blocks of so many. */
const BLOCK_CHUNKS = 16;

/**
 * Fewer chunks for the same output, where there have come to be too many: what is gone from the disk goes, and of the older half those
 * that are near each other become one for each stream. Times of then get coarser, and the order of the two streams within it.
 */
export function coarser(chunks: readonly Chunk[], kept: Places): Chunk[] {
  const left = chunks.filter(({ stream, end }) => end > kept[stream]);
  const half = Math.floor(left.length / 2);
  const merged: Chunk[] = [];
  for (let at = 0; at < half; at += BLOCK_CHUNKS) {
    const block = left.slice(at, Math.min(half, at + BLOCK_CHUNKS));
    for (const stream of STREAMS) {
      const own = block.filter((chunk) => chunk.stream === stream);
      const [first] = own;
      const last = own.at(-1);
      if (first !== undefined && last !== undefined) merged.push({ ...first, end: last.end });
    }
  }
  const ordered: Chunk[] = [];
  for (const chunk of [...merged, ...left.slice(half)]) ordered.push(nextChunk(ordered.at(-1), chunk, chunk.atUs));
  return ordered;
}

/** A time after all that has been dated, for what never got a line's end; streams have different ones. */
export function timeAfter(chunks: readonly Chunk[], stream: Stream): string {
  const last = chunks.at(-1);
  return timeAt({ start: 0, atUs: last === undefined ? 0 : afterUs(last) }, STREAMS.indexOf(stream));
}

/** The first time that is later than all of the chunk's. */
function afterUs({ start, end, atUs }: Chunk): number {
  return atUs + Math.floor((end - start) / NS_PER_US) + 1;
}
