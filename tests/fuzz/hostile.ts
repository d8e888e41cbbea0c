/** What somebody sends who means no good, or whose program is broken: texts, numbers and bodies that code trips over. */
import type { SeededRandom } from '../simulation/seeded-random.ts';

export const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\u202eevil',
  '\ufeff',
  'ａｄｍｉｎ',
  'аdmin',
  'İ',
  '𝕏'.repeat(40),
  'e\u0301'.repeat(50),
  '..',
  '../../etc/passwd',
  '/',
  '//',
  '.',
  '*',
  '%',
  '%00',
  '%2e%2e%2f',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'prototype',
  'null',
  'undefined',
  'true',
  'NaN',
  '-0',
  '0',
  '-1',
  '1e400',
  '9007199254740993',
  '18446744073709551616',
  'Infinity',
  '0x10',
  '1,2',
  '\r\nX-Injected: yes',
  '\t',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  '#{7*7}',
  '{{7*7}}',
  '$(id)',
  '`id`',
  '(a+)+$',
  '^(([a-z])+.)+[A-Z]([a-z])+$',
  '\u001b[2J',
  'a'.repeat(64),
  'a'.repeat(256),
  'a'.repeat(5000),
  'a/'.repeat(200),
  'a,'.repeat(500),
];

export const HOSTILE_NUMBERS: readonly number[] = [
  -1,
  0,
  -0,
  0.1,
  1.5,
  -1.5,
  1e-7,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
  5e-324,
];

const DEPTH = 5000;

/** Bodies that no generator of values would make. Bytes, where no text could say it. */
export const HOSTILE_BODIES: readonly (string | Uint8Array)[] = [
  '',
  ' ',
  '{',
  '}',
  '{"a":1,}',
  '[]',
  'null',
  '0',
  '"text"',
  '{"a":1e999}',
  '{"name":"a","name":"b"}',
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"admin":true}}}',
  '\ufeff{}',
  '{"a":"\ud800"}',
  `${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`,
  `${'{"a":'.repeat(DEPTH)}1${'}'.repeat(DEPTH)}`,
  `[${'0,'.repeat(20_000)}0]`,
  `{${Array.from({ length: 5000 }, (_, place) => `"k${place}":0`).join(',')}}`,
  JSON.stringify({ name: 'x'.repeat(300_000) }),
  Uint8Array.of(0xff, 0xfe, 0xfd),
  Uint8Array.of(0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d),
  Uint8Array.of(0x1f, 0x8b, 0x08, 0x00, 0x00),
  '2\n{}3\n{}',
  'a=b&c=d&a=e',
  '{}\n{}\n{"at":1}\nnot a line\n',
];

/** The value with one to three places of it spoilt. The value itself stays as it is. */
export function spoilt(value: unknown, random: SeededRandom): unknown {
  let now = structuredClone(value);
  for (let times = random.between(1, 3); times > 0; times--) now = spoiltOnce(now, random);
  return now;
}

const DESCENT_CHANCE = 0.7;

function spoiltOnce(value: unknown, random: SeededRandom): unknown {
  if (typeof value !== 'object' || value === null || !random.chance(DESCENT_CHANCE)) return spoiltHere(value, random);
  const members = Array.isArray(value) ? value : (value as Record<string, unknown>);
  const names = Object.keys(members);
  if (names.length === 0) return spoiltHere(value, random);
  const name = random.pick(names);
  const before = (members as Record<string, unknown>)[name];
  (members as Record<string, unknown>)[name] = spoiltOnce(before, random);
  return members;
}

function spoiltHere(value: unknown, random: SeededRandom): unknown {
  const how = random.weighted({ text: 4, number: 3, kind: 2, empty: 1, more: 2, less: 2, proto: 1 });
  switch (how) {
    case 'text':
      return random.pick(HOSTILE_TEXTS);
    case 'number':
      return random.pick(HOSTILE_NUMBERS);
    case 'kind':
      return random.pick([null, true, [], {}, [null], [[]], { a: {} }, '']);
    case 'empty':
      return Array.isArray(value) ? [] : {};
    case 'more':
      return Array.isArray(value) ? [...value, ...value, null] : withMember(value, random.pick(HOSTILE_TEXTS), random);
    case 'less':
      return withoutMember(value, random);
    case 'proto':
      return JSON.parse('{"__proto__": {"admin": true}, "constructor": 1, "toString": null}') as unknown;
    default:
      return value;
  }
}

function withMember(value: unknown, name: string, random: SeededRandom): unknown {
  if (typeof value !== 'object' || value === null) return [value];
  // By definition, so that `__proto__` is a member like any other.
  return Object.defineProperty({ ...value }, name, {
    value: random.pick<unknown>([1, 'x', null, {}, []]),
    enumerable: true,
    writable: true,
  });
}

function withoutMember(value: unknown, random: SeededRandom): unknown {
  if (Array.isArray(value)) return value.slice(1);
  if (typeof value !== 'object' || value === null) return null;
  const names = Object.keys(value);
  if (names.length === 0) return null;
  const gone = random.pick(names);
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== gone));
}
