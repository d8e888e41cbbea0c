import { describe, expect, it } from 'vitest';
import {
  jsonPieces,
  listPart,
  objectPart,
  pieceByPiece,
  Turns,
} from '../../../control-plane/facade-mesos/http/json-pieces.ts';
import type { Timer } from '../../../shared/util/clock.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';

const same = (value: unknown) => value;

describe('a document in pieces', () => {
  it.each<[string, unknown, unknown]>([
    ['a value', { a: [1, 'é'] }, { a: [1, 'é'] }],
    ['nothing in it', objectPart({ none: listPart([], same), empty: objectPart({}) }), { none: [], empty: {} }],
    ['members that are undefined', objectPart({ a: undefined, b: 1 }), { b: 1 }],
    [
      'lists in objects in lists',
      listPart([1, 2], (n) => objectPart({ n, more: listPart(['x', 'y'], (text) => `${text}${n}`), last: null })),
      [
        { n: 1, more: ['x1', 'y1'], last: null },
        { n: 2, more: ['x2', 'y2'], last: null },
      ],
    ],
  ])('is the JSON that it would be in one: %s', (_what, part, value) => {
    for (const size of [1, 1000]) expect(JSON.parse([...jsonPieces(part, size)].join(''))).toEqual(value);
  });

  it('is ASCII', () =>
    expect([...jsonPieces(objectPart({ 'é€': '𝄞' }))]).toEqual(['{"\\u00e9\\u20ac":"\\ud834\\udd1e"}']));

  it('makes an item when its turn comes, and pieces no larger than they have to be', () => {
    const made: number[] = [];
    const items = listPart([0, 1, 2, 3, 4, 5], (n) => {
      made.push(n);
      return 'x'.repeat(40);
    });
    const pieces = jsonPieces(items, 100);
    expect(pieces.next().value?.length).toBeLessThan(100 + 43);
    expect(made).toEqual([0, 1, 2]);
    expect([...pieces].every((piece) => piece.length < 100 + 43)).toBe(true);
    expect(made).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

/** A clock on which each turn fires the timers that are due by then, and none that is set meanwhile. */
class TurnClock extends ManualClock {
  #due: (() => void)[] = [];

  override setTimer(delayMs: number, callback: () => void): Timer {
    if (delayMs > 0) return super.setTimer(delayMs, callback);
    this.#due.push(callback);
    return { cancel: () => undefined };
  }

  async turn(): Promise<void> {
    const due = this.#due;
    this.#due = [];
    for (const callback of due) callback();
    await settle();
  }
}

describe('a body that is made while it is read', () => {
  const url = new URL('http://berth.test/state?jsonp=a.b');
  const large = () =>
    listPart(
      Array.from({ length: 10 }, (_, n) => n),
      () => 'x'.repeat(30_000),
    );

  function reading(clock: ManualClock, turns: Turns, signal = new AbortController().signal) {
    const { body } = pieceByPiece(url, large(), { clock, turns, signal });
    if (body === null) throw new Error('there is no body');
    const reader = body.getReader();
    const texts: string[] = [];
    const end = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 'whole';
        texts.push(new TextDecoder().decode(value));
      }
    })().catch((error: Error) => error.message);
    return { texts, end };
  }

  it('lets others have their turn after each piece, however many are written at a time', async () => {
    const clock = new TurnClock();
    const turns = new Turns(clock);
    const [one, two] = [reading(clock, turns), reading(clock, turns)];
    const seen: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      await clock.turn();
      seen.push(one.texts.length + two.texts.length);
    }
    expect(await Promise.all([one.end, two.end])).toEqual(['whole', 'whole']);
    const perTurn = seen.map((count, place) => count - (seen[place - 1] ?? 0));
    expect([perTurn[0], Math.max(...perTurn.slice(1))]).toEqual([2, 1]);
    expect(one.texts.join('')).toBe(`a.b(${JSON.stringify(Array.from({ length: 10 }, () => 'x'.repeat(30_000)))});`);
  });

  it('breaks off when the replica ends, so that nobody takes it for whole', async () => {
    const clock = new ManualClock();
    const ending = new AbortController();
    const { end, texts } = reading(clock, new Turns(clock), ending.signal);
    await settle();
    ending.abort(new Error('the replica goes away'));
    await clock.advance(0);
    expect(await end).toBe('the replica goes away');
    expect(texts).toHaveLength(1);
  });
});
