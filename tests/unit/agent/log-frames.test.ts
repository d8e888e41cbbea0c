/** The engine's log format, taken apart wherever it is cut. */
import type Docker from 'dockerode';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullTime, LINE_BYTES_MAX, LogFrames } from '../../../node-agent/adapters/docker/log-frames.ts';
import { epochSeconds, readLogs } from '../../../node-agent/adapters/docker/log-stream.ts';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import type { LogRequest } from '../../../node-agent/executor/contracts.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';

const AT = '2026-01-02T03:04:05.000000001Z';

function frame(text: string, { stream = 1, at = AT }: { readonly stream?: number; readonly at?: string } = {}): Buffer {
  const payload = Buffer.from(`${at} ${text}`);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

function textsOf(chunks: readonly Buffer[]): string[] {
  const frames = new LogFrames();
  const lines = [...chunks.flatMap((chunk) => frames.push(chunk)), ...frames.end()];
  return lines.map((line) => line.text);
}

describe('frames', () => {
  it('become lines with their time and stream', () => {
    const lines = new LogFrames().push(Buffer.concat([frame('a\n'), frame('b\r\n', { stream: 2 })]));
    expect(lines).toEqual([
      { at: AT, stream: 'stdout', text: 'a' },
      { at: AT, stream: 'stderr', text: 'b' },
    ]);
  });

  it('may be cut anywhere', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n]/g, '')));
    fc.assert(
      fc.property(texts, fc.array(fc.nat(500)), (all, cuts) => {
        const data = Buffer.concat(all.map((text) => frame(`${text}\n`)));
        const places = [0, ...cuts.map((cut) => Math.min(cut, data.length)).sort((a, b) => a - b), data.length];
        const chunks = places.slice(1).map((place, index) => data.subarray(places[index], place));
        expect(textsOf(chunks)).toEqual(all);
      }),
    );
  });

  it('of one line are put together, each stream by itself', () => {
    const chunks = [frame('one '), frame('other\n', { stream: 2 }), frame('line\n')];
    expect(textsOf(chunks)).toEqual(['other', 'one line']);
  });

  it('without an end give their line when the output ends', () => {
    expect(textsOf([frame('no newline')])).toEqual(['no newline']);
  });

  it('of an endless line are cut, and never within a character', () => {
    const long = 'é'.repeat(LINE_BYTES_MAX);
    const texts = textsOf([frame(`x${long}\n`)]);
    expect(texts.join('')).toBe(`x${long}`);
    for (const text of texts) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(LINE_BYTES_MAX);
    expect(texts.length).toBe(3);
  });

  it('of one long line say that it goes on, all but the last', () => {
    const frames = new LogFrames();
    const lines = frames.push(Buffer.concat([frame(`${'x'.repeat(2 * LINE_BYTES_MAX + 1)}\n`), frame('next\n')]));
    expect(lines.map((line) => line.continues)).toEqual([true, true, undefined, undefined]);
    expect(new Set(lines.map((line) => line.at)).size).toBe(1);
  });

  it('with an empty line are an empty line', () => {
    expect(textsOf([frame('\n'), frame('a\n')])).toEqual(['', 'a']);
  });
});

describe('times', () => {
  it('have nine digits, so that they sort as texts', () => {
    expect(fullTime('2026-01-02T03:04:05Z')).toBe('2026-01-02T03:04:05.000000000Z');
    expect(fullTime('2026-01-02T03:04:05.12Z')).toBe('2026-01-02T03:04:05.120000000Z');
  });

  it('keep their last digit on the way to the engine', () => {
    expect(epochSeconds('2026-01-02T03:04:05.123456789Z')).toBe('1767323045.123456789');
  });
});

describe('output', () => {
  const ofEngine = (chunks: readonly Buffer[]): Docker => {
    async function* stream() {
      yield* chunks;
    }
    const dial = (_: unknown, answer: (error: null, stream: AsyncIterable<Buffer>) => void) => answer(null, stream());
    return { modem: { dial } } as unknown as Docker;
  };
  const read = async (chunks: readonly Buffer[], { since = null, tail = null }: Partial<LogRequest>) => {
    const lines: LogLine[] = [];
    const request = { follow: false, tail, since };
    for await (const batch of readLogs(
      { docker: ofEngine(chunks), container: 'c1', clock: systemClock },
      request,
      new AbortController().signal,
    )) {
      lines.push(...batch);
    }
    return lines;
  };

  it('of the latest lines has all that the engine gives, in whatever order stdout and stderr are dated', async () => {
    const chunks = [
      frame('oops\n', { stream: 2, at: '2030-01-01T10:00:00.000000002Z' }),
      frame('line 4\n', { at: '2030-01-01T10:00:00.000000001Z' }),
    ];
    const together = await read([Buffer.concat(chunks)], { tail: 2 });
    expect(together.map((line) => line.text)).toEqual(['oops', 'line 4']);
    expect(await read(chunks, { tail: 2 })).toEqual(together);
  });

  it('since a time is understood with an offset from UTC', async () => {
    const chunks = [
      frame('before\n', { at: '2030-01-01T09:59:59.999999999Z' }),
      frame('after\n', { at: '2030-01-01T10:30:00.1Z' }),
    ];
    const lines = await read(chunks, { since: '2030-01-01T12:00:00+02:00' });
    expect(lines.map((line) => line.text)).toEqual(['after']);
    expect(epochSeconds('2030-01-01T12:00:00.000000001+02:00')).toBe('1893492000.000000001');
  });
});
