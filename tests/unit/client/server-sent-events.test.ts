import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEventParser, EVENT_CHARACTERS_MAX } from '../../../shared/client/server-sent-events.ts';

describe('an event stream', () => {
  it.each([
    ['one event', 'event: log\nid: 7\ndata: hello\n\n', [{ type: 'log', data: 'hello', id: '7' }]],
    ['an event without a name', 'data: x\n\n', [{ type: 'message', data: 'x', id: null }]],
    ['data over several lines', 'data: a\ndata:\ndata:  b\n\n', [{ type: 'message', data: 'a\n\n b', id: null }]],
    ['comments', ': alive\n\n: still\n\n', []],
    ['a position alone', ': alive\nid: 9\n\n', [{ type: 'message', data: null, id: '9' }]],
    ['an event without data', 'event: log\n\n', []],
    ['fields that nobody knows', 'retry: 10\nfoo\ndata: x\n\n', [{ type: 'message', data: 'x', id: null }]],
    ['an event that has not ended', 'data: x\n', []],
    [
      'an id that does not stick',
      'id: 1\ndata: a\n\ndata: b\n\n',
      [
        { type: 'message', data: 'a', id: '1' },
        { type: 'message', data: 'b', id: null },
      ],
    ],
  ])('holds %s', (_what, text, events) => {
    expect(createEventParser()(text)).toEqual(events);
  });

  it('says the same wherever it is cut and however its lines end', () => {
    const field = fc.oneof(
      fc.constant(': comment'),
      fc.stringMatching(/^(data|event|id): ?[a-z ]{0,5}$/),
      fc.constant(''),
    );
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
    fc.assert(
      fc.property(fc.array(field, { maxLength: 30 }), lineEnd, fc.array(fc.nat(200)), (lines, end, cuts) => {
        const text = `${lines.join(end)}${end}${end}data: last${end}${end}: rest`;
        const whole = createEventParser()(text);
        const parse = createEventParser();
        const bounds = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
        const pieces = bounds.slice(1).map((to, at) => text.slice(bounds[at], to));
        expect(pieces.flatMap((piece) => parse(piece))).toEqual(whole);
        expect(whole.at(-1)).toMatchObject({ data: 'last' });
      }),
    );
  });

  it('has a bound on the length of an event', () => {
    const parse = createEventParser();
    const piece = `data: ${'x'.repeat(EVENT_CHARACTERS_MAX / 2)}\n`;
    parse(piece);
    expect(() => parse(piece)).toThrow(RangeError);
  });
});
