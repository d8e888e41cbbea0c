import { describe, expect, it } from 'vitest';
import { bodyStream } from '../../../shared/util/body-stream.ts';
import { ManualClock } from '../../store/manual-clock.ts';

function textOf(part: ReadableStreamReadResult<Uint8Array>): string {
  return new TextDecoder().decode(part.value);
}

describe('a body that arises over time', () => {
  it('holds what its source gives, and ends with it', async () => {
    const over = new AbortController();
    async function* source() {
      yield 'a';
      yield 'b';
    }
    const body = bodyStream(source(), { clock: new ManualClock(), over, heartbeat: null });
    expect(await new Response(body).text()).toBe('ab');
    expect(over.signal.aborted).toBe(true);
  });

  it('beats while its source is silent, and loses nothing by it', async () => {
    const clock = new ManualClock();
    let speak = (_text: string) => {};
    async function* source() {
      yield await new Promise<string>((resolve) => {
        speak = resolve;
      });
    }
    const options = { clock, over: new AbortController(), heartbeat: () => ':\n' };
    const reader = bodyStream(source(), options).getReader();
    for (let beats = 0; beats < 3; beats++) {
      const part = reader.read();
      await clock.advance(10_000);
      expect(textOf(await part)).toBe(':\n');
    }
    speak('now');
    expect(textOf(await reader.read())).toBe('now');
    expect((await reader.read()).done).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('listens to a silent source once, however often it beats', async () => {
    const clock = new ManualClock();
    const silent = new Promise<IteratorResult<string>>(() => {});
    let listeners = 0;
    const listen = silent.then.bind(silent);
    Object.defineProperty(silent, 'then', {
      value: (...reactions: Parameters<typeof listen>) => {
        listeners += 1;
        return listen(...reactions);
      },
    });
    const source = { [Symbol.asyncIterator]: () => ({ next: () => silent }) };
    const reader = bodyStream(source, { clock, over: new AbortController(), heartbeat: () => ':' }).getReader();
    for (let beats = 0; beats < 5; beats++) {
      const part = reader.read();
      await clock.advance(10_000);
      expect(textOf(await part)).toBe(':');
    }
    expect(listeners).toBe(1);
  });

  it('breaks off when its source does, so that nobody takes it for complete', async () => {
    async function* source() {
      yield 'a';
      throw new Error('gone');
    }
    const body = bodyStream(source(), { clock: new ManualClock(), over: new AbortController(), heartbeat: null });
    await expect(new Response(body).text()).rejects.toThrow('gone');
  });

  it('lets its source go when the client does', async () => {
    const over = new AbortController();
    let released = false;
    async function* source() {
      try {
        for (;;) yield 'x';
      } finally {
        released = true;
      }
    }
    const clock = new ManualClock();
    const reader = bodyStream(source(), { clock, over, heartbeat: null }).getReader();
    await reader.read();
    await reader.cancel();
    expect([over.signal.aborted, released, clock.pending]).toEqual([true, true, 0]);
  });

  it('is cut off when the client takes nothing for a minute', async () => {
    const clock = new ManualClock();
    const over = new AbortController();
    let given = 0;
    async function* source() {
      for (;;) {
        given += 1;
        yield 'x';
      }
    }
    const reader = bodyStream(source(), { clock, over, heartbeat: () => ':' }).getReader();
    await reader.read();
    await clock.advance(59_000);
    expect(over.signal.aborted).toBe(false);
    await clock.advance(2000);
    expect(over.signal.aborted).toBe(true);
    expect(given).toBeLessThan(5);
    await expect(reader.read()).rejects.toThrow('the client took nothing for 60 s');
  });
});
