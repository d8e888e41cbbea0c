import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { base64Of, base64OfText, textOfBase64 } from '../../../../control-plane/adapters/etcd-gateway/base64.ts';
import { MalformedReplyError, Message } from '../../../../control-plane/adapters/etcd-gateway/message.ts';
import { int64, leaseId, spanOf, toGetRequest } from '../../../../control-plane/adapters/etcd-gateway/wire.ts';

describe('base64', () => {
  test('text comes back, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = base64OfText(text);
        expect(encoded).toBe(Buffer.from(text).toString('base64'));
        expect(textOfBase64(encoded)).toBe(Buffer.from(text).toString());
      }),
    );
  });

  test('long text that is not ASCII comes back', () => {
    const text = 'ü😀'.repeat(50_000);
    expect(textOfBase64(base64OfText(text))).toBe(text);
  });

  test('bytes that are no text hide nothing but themselves', () => {
    expect(textOfBase64(base64Of(new Uint8Array([0x61, 0xff, 0x62])))).toBe('a\ufffdb');
  });

  test('a byte order mark is text', () => {
    expect(textOfBase64(base64OfText('\ufeffa'))).toBe('\ufeffa');
  });
});

describe('a message', () => {
  test.each(['mod_revision', 'modRevision'])('is read by the names of the protocol, and by %s', (name) => {
    expect(Message.parse(JSON.stringify({ [name]: '7' })).integer('mod_revision')).toBe(7);
  });

  test('has zero, nothing and false where something is left out', () => {
    const message = Message.parse('{}');
    expect(message.integer('revision')).toBe(0);
    expect(message.digits('lease')).toBe('0');
    expect(message.flag('succeeded')).toBe(false);
    expect(message.decoded('value')).toBe('');
    expect(message.messages('kvs')).toEqual([]);
    expect(message.message('header').integer('revision')).toBe(0);
    expect(message.has('error')).toBe(false);
  });

  test('may say null for what is left out', () => {
    expect(Message.parse('{"kvs":null,"count":null}').messages('kvs')).toEqual([]);
  });

  test('keeps ids that no number holds', () => {
    expect(Message.parse('{"cluster_id":"14443903163313418560"}').digits('cluster_id')).toBe('14443903163313418560');
  });

  test.each(['9007199254740993', '-9007199254740993', '1e3', '1.5', 'x', '', '٧'])(
    'refuses %j as an integer',
    (text) => {
      expect(() => Message.parse(JSON.stringify({ revision: text })).integer('revision')).toThrow(MalformedReplyError);
    },
  );

  test.each([1.5, 2 ** 53, true, {}, []])('refuses %j as an integer', (value) => {
    expect(() => Message.parse(JSON.stringify({ revision: value })).integer('revision')).toThrow('revision is not');
  });

  test.each(['', '[]', 'null', '7', '"text"', '<html>', '{"a":1'])('is not made of %j', (text) => {
    expect(() => Message.parse(text)).toThrow(MalformedReplyError);
  });

  test('says which field is not what it should be', () => {
    const message = Message.parse('{"value":"%","succeeded":"yes","kvs":{},"header":[],"text":1}');
    expect(() => message.decoded('value')).toThrow('value is not base64, but "%"');
    expect(() => message.flag('succeeded')).toThrow('succeeded is not true or false, but "yes"');
    expect(() => message.messages('kvs')).toThrow('kvs is not a list, but {}');
    expect(() => message.message('header')).toThrow('header is no object, but []');
    expect(() => message.text('text')).toThrow('text is not text, but 1');
  });
});

describe('requests', () => {
  const span = (start: string, end: string) => ({ key: base64OfText(start), range_end: base64OfText(end) });

  test.each([
    ['/a/', undefined, span('/a/', '/a0')],
    ['/a/', '/a/1', span('/a/1\u0000', '/a0')],
    ['/a/', '/a', span('/a/', '/a0')],
    ['', undefined, span('\u0000', '\u0000')],
    ['', '/z', span('/z\u0000', '\u0000')],
  ])('the span of %j after %j', (prefix, after, expected) => {
    expect(spanOf(prefix, after)).toEqual(expected);
  });

  test('the end of a prefix is counted in bytes', () => {
    expect(spanOf('\u{10ffff}').range_end).toBe(base64Of(new Uint8Array([0xf4, 0x8f, 0xbf, 0xc0])));
  });

  test('a key is all of itself', () => {
    expect(toGetRequest('/a/ü')).toEqual({ key: 'L2Evw7w=' });
  });

  test('an integer that a number does not hold is not sent', () => {
    expect(int64(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991');
    for (const number of [2 ** 53, 1.5, Number.NaN]) expect(() => int64(number)).toThrow(`${number} is an integer`);
  });

  test('a lease that is no number is not sent', () => {
    expect(leaseId('2228897103030842381')).toBe('2228897103030842381');
    for (const lease of ['', 'x', '1"', '22288971030308423810']) expect(() => leaseId(lease)).toThrow('lease id');
  });
});
