import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, hexEncode, utf8Decode, utf8Encode } from '../../../shared/util/codec.ts';

describe('canonicalJson', () => {
  it('sorts keys at every depth and leaves lists as they are', () => {
    expect(canonicalJson({ b: [{ z: 1, a: 2 }, 'x'], a: null, skip: undefined })).toBe(
      '{"a":null,"b":[{"a":2,"z":1},"x"]}',
    );
  });

  it('is the same for equal values, and says the same as JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(backwards(value))).toBe(text);
      }),
    );
  });
});

/** The same value with the keys of every object in the opposite order. */
function backwards(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(backwards);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, backwards(member)]),
  );
}

describe('text and bytes', () => {
  it('round-trip, and bytes that are not UTF-8 are refused', () => {
    const same = (text: string) => {
      expect(utf8Decode(utf8Encode(text))).toBe(text);
    };
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), same));
    same('\uFEFFa text that begins with a byte order mark');
    expect(() => utf8Decode(new Uint8Array([0xff]))).toThrow(TypeError);
  });

  it('are written as hex, two digits for each byte', () => {
    expect(hexEncode(new Uint8Array([0, 10, 255]))).toBe('000aff');
  });
});
