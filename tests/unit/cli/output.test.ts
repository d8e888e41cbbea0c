import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { painter, wantsColour } from '../../../control-plane/cli/output/paint.ts';
import { type Column, renderPairs, renderTable } from '../../../control-plane/cli/output/table.ts';
import {
  ageText,
  bytesText,
  counted,
  cutTo,
  durationText,
  mebibytesText,
  printable,
  printableOutput,
} from '../../../control-plane/cli/output/text.ts';

describe('a table', () => {
  interface Row {
    readonly name: string;
    readonly count: number;
    readonly note: string;
  }
  const columns: readonly Column<Row>[] = [
    { header: 'NAME', value: (row) => row.name, shrinks: true },
    { header: 'COUNT', value: (row) => String(row.count), align: 'right' },
    { header: 'NOTE', value: (row) => row.note, shrinks: true },
  ];
  const rows: readonly Row[] = [
    { name: 'a', count: 7, note: 'short' },
    { name: 'a-longer-name', count: 1234, note: 'a note that takes a good deal of room' },
  ];

  it('lines its columns up', () => {
    expect(renderTable(columns, rows, { width: null })).toBe(
      [
        'NAME           COUNT  NOTE',
        'a                  7  short',
        'a-longer-name   1234  a note that takes a good deal of room',
        '',
      ].join('\n'),
    );
  });

  it('fits the terminal: the widest column that may gives way first', () => {
    const text = renderTable(columns, rows, { width: 40 });
    expect(text).toContain('a-longer-name   1234  a note that takes…\n');
    for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(40);
  });

  it('keeps what may not give way, and its lines, whatever the width', () => {
    const amount = fc.record({ name: fc.string({ unit: 'binary' }), count: fc.nat(), note: fc.string() });
    fc.assert(
      fc.property(fc.array(amount, { maxLength: 5 }), fc.integer({ min: 1, max: 200 }), (items, width) => {
        const lines = renderTable(columns, items, { width }).split('\n');
        expect(lines).toHaveLength(items.length + 2);
        for (const [at, item] of items.entries()) expect(lines[at + 1]).toContain(String(item.count));
      }),
    );
  });

  it('shows what could steer a terminal instead of obeying it', () => {
    const nasty = { name: '\u001b[2Jgone', count: 1, note: 'two\nlines\u009b31m' };
    expect(renderTable(columns, [nasty], { width: null })).toContain('\\x1b[2Jgone      1  two lines\\x9b31m\n');
  });

  it('is coloured without moving', () => {
    const paint = painter(true);
    const coloured = renderTable(
      [{ ...columns[0], header: 'NAME', value: (row) => row.name, colour: () => 'green' }],
      rows,
      {
        width: null,
        paint,
      },
    );
    expect(coloured).toContain('\u001b[32ma\u001b[39m');
  });
});

describe('pairs', () => {
  it('line their values up', () => {
    expect(
      renderPairs(
        [
          ['A', '1'],
          ['Longer', '2'],
        ],
        painter(false),
      ),
    ).toBe('A       1\nLonger  2\n');
  });
});

describe('colours', () => {
  const terminal = { write: () => {}, isTerminal: true, columns: 80 };

  it.each([
    ['on a terminal', terminal, {}, true, true],
    ['into a file', { ...terminal, isTerminal: false }, {}, true, false],
    ['with NO_COLOR', terminal, { NO_COLOR: '1' }, true, false],
    ['with an empty NO_COLOR', terminal, { NO_COLOR: '' }, true, true],
    ['with --no-color', terminal, {}, false, false],
    ['on a dumb terminal', terminal, { TERM: 'dumb' }, true, false],
  ])('%s', (_where, output, env, flag, wanted) => expect(wantsColour(output, env, flag)).toBe(wanted));
});

describe('amounts', () => {
  it.each([
    [0, '0ms'],
    [850.4, '850ms'],
    [1234, '1.2s'],
    [12_345, '12s'],
    [250_000, '4m10s'],
    [240_000, '4m'],
    [11_100_000, '3h5m'],
    [187_200_000, '2d4h'],
    [-5, '0ms'],
  ])('%d ms is %s', (ms, text) => expect(durationText(ms)).toBe(text));

  it.each([
    [512, '512MiB'],
    [1536, '1.5GiB'],
    [2048, '2GiB'],
    [1_572_864, '1.5TiB'],
  ])('%d MiB is %s', (amount, text) => expect(mebibytesText(amount)).toBe(text));

  it.each([
    [100, '100B'],
    [20_480, '20KiB'],
    [1_600_000, '1.5MiB'],
  ])('%d bytes is %s', (amount, text) => expect(bytesText(amount)).toBe(text));

  it('counts nouns', () => expect([counted(1, 'node'), counted(0, 'node')]).toEqual(['1 node', '0 nodes']));
  it('cuts text to a width', () =>
    expect([cutTo('abcdef', 4), cutTo('abc', 3), cutTo('abc', 0)]).toEqual(['abc…', 'abc', '']));
});

describe('ages', () => {
  const now = Date.parse('2026-01-01T00:10:00.000Z');
  it.each([
    [null, '-'],
    ['2026-01-01T00:09:59.500Z', 'now'],
    ['2026-01-01T00:10:05.000Z', 'now'],
    ['2026-01-01T00:09:57.900Z', '2s ago'],
    ['2026-01-01T00:00:00.000Z', '10m ago'],
    ['2025-12-30T00:10:00.000Z', '2d ago'],
  ])('of %s is %s', (time, text) => expect(ageText(time, now)).toBe(text));
});

describe('printable text', () => {
  it('shows what turns the text around', () => {
    expect(printable('a\u202eb')).toBe('a\\u202eb');
  });

  it.each([
    ['plain', 'plain'],
    ['a\tb', 'a\tb'],
    ['\u001b[31mred\u001b[0m', '\u001b[31mred\u001b[0m'],
    ['\u001b[2Jgone', '\\x1b[2Jgone'],
    ['\u001b]0;title\u0007', '\\x1b]0;title\\x07'],
    ['\u001b[31\u001b[0m', '\\x1b[31\u001b[0m'],
    ['over\rwritten', 'over\\x0dwritten'],
  ])('of a task keeps its colours and tabs, and drives the terminal no further: %j', (text, shown) => {
    expect(printableOutput(text)).toBe(shown);
  });

  it('has no control character, whatever it was', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/\p{Cc}/u.test(printable(text))));
  });
});
