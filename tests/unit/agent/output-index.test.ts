/** Times of output: every line has its own, they rise, and each leads back to its place. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Chunk,
  coarser,
  datedUpTo,
  decodeChunks,
  encodeChunk,
  nextChunk,
  placesAt,
  STREAMS,
  timeAfter,
  timeAt,
} from '../../../node-agent/adapters/process/output-index.ts';

const T0_US = 1_700_000_000_000_000;

/** Chunks as an agent makes them: of either stream, of any size, and with a clock that is set now and then. */
const anIndex = fc
  .array(
    fc.record({
      stream: fc.constantFrom(...STREAMS),
      bytes: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 50_000_000 })),
      gap: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1000 })),
      stepUs: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -3_600_000_000, max: 3_600_000_000 })),
    }),
    { maxLength: 60 },
  )
  .map((parts) => {
    const chunks: Chunk[] = [];
    const ends = { stdout: 0, stderr: 0 };
    let clockUs = T0_US;
    for (const { stream, bytes, gap, stepUs } of parts) {
      clockUs += stepUs;
      const start = ends[stream] + gap;
      ends[stream] = start + bytes;
      chunks.push(nextChunk(chunks.at(-1), { stream, start, end: start + bytes }, clockUs));
    }
    return chunks;
  });

/** Places at which lines may end, in the order in which they are read. */
const endsIn = (chunks: readonly Chunk[]) =>
  chunks.flatMap((chunk) =>
    [chunk.start + 1, Math.ceil((chunk.start + chunk.end) / 2), chunk.end]
      .filter((place, at, all) => place > chunk.start && all.indexOf(place) === at)
      .map((place) => ({ chunk, place, time: timeAt(chunk, place) })),
  );

describe('times of output', () => {
  it('are as RFC 3339 has them, with all nine digits', () => {
    expect(timeAt({ start: 100, atUs: T0_US + 7 }, 1234)).toBe('2023-11-14T22:13:20.000008134Z');
  });

  it('are those of the last write, as long as the clock goes on', () => {
    const first = nextChunk(undefined, { stream: 'stdout', start: 0, end: 10 }, T0_US);
    expect(nextChunk(first, { stream: 'stdout', start: 10, end: 20 }, T0_US + 500).atUs).toBe(T0_US + 500);
    expect(nextChunk(first, { stream: 'stdout', start: 10, end: 20 }, T0_US - 500).atUs).toBe(T0_US + 1);
  });

  it('rise from line to line, through both streams', () => {
    fc.assert(
      fc.property(anIndex, (chunks) => {
        const times = endsIn(chunks).map(({ time }) => time);
        expect(times).toEqual([...new Set(times)].sort());
        for (const stream of STREAMS) expect(timeAfter(chunks, stream) > (times.at(-1) ?? '')).toBe(true);
      }),
    );
  });

  it('lead back to the place, and to all that was read before', () => {
    fc.assert(
      fc.property(anIndex, (chunks) => {
        const read: Record<string, number> = { stdout: 0, stderr: 0 };
        for (const { chunk, place, time } of endsIn(chunks)) {
          read[chunk.stream] = place;
          expect(placesAt(chunks, time)).toEqual(read);
        }
      }),
    );
  });

  it('survive being written down', () => {
    fc.assert(
      fc.property(anIndex, (chunks) => {
        expect(decodeChunks(chunks.map(encodeChunk).join(''))).toEqual(chunks);
      }),
    );
  });

  it('leave out what is torn, goes back, or is no record', () => {
    const [first, second] = [
      nextChunk(undefined, { stream: 'stdout', start: 0, end: 10 }, T0_US),
      nextChunk(undefined, { stream: 'stdout', start: 10, end: 20 }, T0_US + 9),
    ];
    const bad = ['o 5 8 1', 'x 1 2 3', 'o 10', `o 10 10 ${T0_US + 9}`, ''].join('\n');
    expect(decodeChunks(`${encodeChunk(first)}${bad}\n${encodeChunk(second)}o 20 3`)).toEqual([first, second]);
  });
});

describe('an index that is made coarser', () => {
  it('still covers all that is kept, and still rises', () => {
    fc.assert(
      fc.property(anIndex, fc.nat(), (chunks, gone) => {
        const kept = { stdout: gone, stderr: 0 };
        const fewer = coarser(chunks, kept);
        const times = endsIn(fewer).map(({ time }) => time);
        expect(times).toEqual([...new Set(times)].sort());
        const left = chunks.filter(({ stream, end }) => end > kept[stream]);
        expect(datedUpTo(fewer)).toEqual(datedUpTo(left));
        for (const { stream, start, end } of left) {
          expect(fewer.some((chunk) => chunk.stream === stream && chunk.start <= start && end <= chunk.end)).toBe(true);
        }
      }),
    );
  });

  it('has much fewer entries, and the newer half as it was', () => {
    const chunks: Chunk[] = [];
    for (let at = 0; at < 8000; at += 1) {
      const stream = at % 2 === 0 ? 'stdout' : 'stderr';
      const start = Math.floor(at / 2) * 10;
      chunks.push(nextChunk(chunks.at(-1), { stream, start, end: start + 10 }, T0_US + at * 1000));
    }
    const fewer = coarser(chunks, { stdout: 0, stderr: 0 });
    expect(fewer).toHaveLength(500 + 4000);
    expect(fewer.slice(-4000)).toEqual(chunks.slice(-4000));
  });
});
