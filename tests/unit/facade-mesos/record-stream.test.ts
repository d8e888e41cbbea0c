import { describe, expect, it } from 'vitest';
import { record } from '../../../control-plane/facade-mesos/http/record-io.ts';
import { closedRecordStream, recordStream } from '../../../control-plane/facade-mesos/http/record-stream.ts';
import { utf8Length } from '../../../shared/util/codec.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const HEARTBEAT = '20\n{"type":"HEARTBEAT"}';

class Source implements AsyncIterator<readonly object[], void> {
  readonly #waiting: ((result: IteratorResult<readonly object[], void>) => void)[] = [];
  readonly #given: IteratorResult<readonly object[], void>[] = [];
  asked = 0;
  /** To what it has not said yet. */
  listeners = 0;
  isReturned = false;

  give(...messages: object[]): void {
    this.#put({ done: false, value: messages });
  }

  end(): void {
    this.#put({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<readonly object[], void>> {
    this.asked += 1;
    const given = this.#given.shift();
    if (given !== undefined) return Promise.resolve(given);
    const silent = new Promise<IteratorResult<readonly object[], void>>((resolve) => this.#waiting.push(resolve));
    const listen = silent.then.bind(silent);
    Object.defineProperty(silent, 'then', {
      value: (...reactions: Parameters<typeof listen>) => {
        this.listeners += 1;
        return listen(...reactions);
      },
    });
    return silent;
  }

  return(): Promise<IteratorResult<readonly object[], void>> {
    this.isReturned = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  #put(result: IteratorResult<readonly object[], void>): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#given.push(result);
    else waiting(result);
  }
}

function open() {
  const clock = new ManualClock();
  const source = new Source();
  const over = new AbortController();
  over.signal.addEventListener('abort', () => source.end());
  const response = recordStream(source, { clock, over, headers: { 'Mesos-Stream-Id': 'x' } });
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  return { clock, source, over, response, reader, next };
}

describe('a record', () => {
  it.each([
    [{ type: 'HEARTBEAT' }, HEARTBEAT],
    [{ a: 'ü' }, '14\n{"a":"\\u00fc"}'],
    [{ a: '😀\n\u007f' }, '28\n{"a":"\\ud83d\\ude00\\n\\u007f"}'],
  ])('of %j', (value, text) => {
    expect(record(value)).toBe(text);
    const [length, json = ''] = text.split('\n');
    expect(Number(length)).toBe(utf8Length(json));
    expect(JSON.parse(json)).toEqual(value);
  });
});

describe('a stream of records', () => {
  it('has each record in a chunk of its own, and a heartbeat right after the first', async () => {
    const { source, next, response } = open();
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('transfer-encoding')).toBe('chunked');
    expect(response.headers.get('mesos-stream-id')).toBe('x');
    source.give({ type: 'SUBSCRIBED' });
    source.give({ n: 1 }, { n: 2 });
    expect(await next()).toBe('21\n{"type":"SUBSCRIBED"}');
    expect(await next()).toBe(HEARTBEAT);
    expect(await next()).toBe('7\n{"n":1}');
    expect(await next()).toBe('7\n{"n":2}');
  });

  it('beats every five seconds while nothing is said', async () => {
    const { source, next, clock } = open();
    source.give({ type: 'SUBSCRIBED' });
    await next();
    await next();
    for (let round = 0; round < 3; round++) {
      let isThere = false;
      const beat = next().then((text) => {
        isThere = true;
        return text;
      });
      await clock.advance(4999);
      expect(isThere).toBe(false);
      await clock.advance(1);
      expect(await beat).toBe(HEARTBEAT);
    }
  });

  it('beats a second after something was said, and goes on to beat however much more is', async () => {
    const { source, next, clock } = open();
    source.give({ type: 'SUBSCRIBED' });
    await next();
    await next();
    for (let round = 0; round < 3; round++) {
      for (let n = 1; n <= 3; n++) {
        const said = next();
        source.give({ n });
        expect(await said).toBe(`7\n{"n":${n}}`);
        await clock.advance(300);
      }
      const beat = next();
      await clock.advance(100);
      expect(await beat).toBe(HEARTBEAT);
    }
    const quiet = next();
    await clock.advance(5000);
    expect(await quiet).toBe(HEARTBEAT);
  });

  it('listens to a silent source once, however often it beats', async () => {
    const { source, next, clock } = open();
    source.give({ type: 'SUBSCRIBED' });
    await next();
    await next();
    for (let beats = 0; beats < 5; beats++) {
      const beat = next();
      await clock.advance(5000);
      expect(await beat).toBe(HEARTBEAT);
    }
    // The call that the stream began with, and the one that it waits for.
    expect([source.asked, source.listeners]).toEqual([2, 1]);
  });

  it('ends with its source, and lets the clock go', async () => {
    const { source, next, clock, reader, over } = open();
    source.give({ n: 1 });
    await next();
    await next();
    source.end();
    expect((await reader.read()).done).toBe(true);
    expect([over.signal.aborted, source.isReturned, clock.pending]).toEqual([true, true, 0]);
  });

  it('lets its source go when the reader does', async () => {
    const { source, next, clock, reader, over } = open();
    source.give({ n: 1 });
    await next();
    await next();
    await reader.cancel();
    await clock.advance(0);
    expect([over.signal.aborted, source.isReturned, clock.pending]).toEqual([true, true, 0]);
  });

  it('cuts off a reader that takes nothing for a minute, and asks its source for nothing meanwhile', async () => {
    const { source, next, clock, over } = open();
    for (let n = 0; n < 100; n++) source.give({ n });
    await next();
    await next();
    const asked = source.asked;
    await clock.advance(59_000);
    expect(over.signal.aborted).toBe(false);
    expect(source.asked - asked).toBeLessThan(3);
    await clock.advance(2000);
    expect(over.signal.aborted).toBe(true);
  });

  it('is these messages and no heartbeat where a subscription is refused', async () => {
    const over = new AbortController();
    const response = closedRecordStream([{ type: 'ERROR' }], { clock: new ManualClock(), over });
    expect(await response.text()).toBe('16\n{"type":"ERROR"}');
  });
});
