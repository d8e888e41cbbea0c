import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readShape, TOKEN_LENGTH_MAX } from '../../../control-plane/auth/token-shape.ts';
import { base64url } from './attacks/forge.ts';

const tokenOf = (claims: string, header = '{"alg":"EdDSA"}') => `${base64url(header)}.${base64url(claims)}.AAAA`;

describe('the shape of a token', () => {
  it('lets every object of JSON pass, and reads it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (claims) => {
        const text = JSON.stringify(claims);
        fc.pre(text.length < 4000);
        expect(readShape(tokenOf(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"a":{"b":1,"c":2,"b":3}}',
    '{"a":[{"b":":"},{"b":1,"b":2}]}',
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
    '{"a\\":":1,"a\\":":2}',
  ])('is refused where something is said twice: %s', (claims) => {
    expect(() => readShape(tokenOf(claims))).toThrow('the token says something twice');
    expect(() => readShape(tokenOf('{}', claims))).toThrow('the token says something twice');
  });

  it('is refused in every spelling but one', () => {
    const token = tokenOf('{"sub":"ab"}');
    const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const part of [0, 1]) {
      const parts = token.split('.');
      const own = parts[part] ?? '';
      const spellings = [...LETTERS].filter((letter) => {
        const other = own.slice(0, -1) + letter;
        const isSame = Buffer.from(other, 'base64url').equals(Buffer.from(own, 'base64url'));
        try {
          readShape(parts.with(part, other).join('.'));
          return isSame;
        } catch {
          return false;
        }
      });
      expect(spellings).toEqual([own.slice(-1)]);
    }
  });

  it('is looked at up to a length', () => {
    expect(() => readShape('a'.repeat(TOKEN_LENGTH_MAX + 1))).toThrow('longer than 8192');
  });
});
