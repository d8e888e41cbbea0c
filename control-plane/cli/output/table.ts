/** Tables for people: columns that line up, cut to the width of the terminal. */
import { type Colour, type Paint, painter } from './paint.ts';
import { cutTo, printable, widthOf } from './text.ts';

export interface Column<T> {
  readonly header: string;
  readonly value: (item: T) => string;
  readonly colour?: (item: T) => Colour;
  readonly align?: 'left' | 'right';
  /** May be cut when the line is too long. The widest of these gives way first. */
  readonly shrinks?: boolean;
}

export interface TableOptions {
  /** Null: as wide as it takes. */
  readonly width: number | null;
  readonly paint?: Paint;
}

const GAP = '  ';
/** A column that gives way keeps at least this much. */
const SHRUNK_MIN = 8;

/** The table as text, every line ended; the header alone where there are no items. */
export function renderTable<T>(columns: readonly Column<T>[], items: readonly T[], options: TableOptions): string {
  const paint = options.paint ?? painter(false);
  const cells = items.map((item) => columns.map((column) => printable(column.value(item))));
  const headers = columns.map((column) => column.header);
  const natural = columns.map((_, at) => Math.max(...[headers, ...cells].map((row) => widthOf(row[at] ?? ''))));
  const widths = fitWidths(natural, columns, options.width);
  const line = (row: readonly string[], colourOf: (at: number) => Colour) =>
    row
      .map((text, at) => {
        const cut = cutTo(text, widths[at] ?? 0);
        const padding = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cut)));
        const painted = paint(colourOf(at), cut);
        if (columns[at]?.align === 'right') return padding + painted;
        return at === columns.length - 1 ? painted : painted + padding;
      })
      .join(GAP);
  const lines = [line(headers, () => 'dim')];
  for (const [index, item] of items.entries()) {
    lines.push(line(cells[index] ?? [], (at) => columns[at]?.colour?.(item) ?? 'plain'));
  }
  return lines.map((text) => `${text.trimEnd()}\n`).join('');
}

function fitWidths<T>(natural: readonly number[], columns: readonly Column<T>[], width: number | null): number[] {
  const widths = [...natural];
  if (width === null) return widths;
  const gaps = GAP.length * (columns.length - 1);
  let excess = widths.reduce((sum, each) => sum + each, gaps) - width;
  while (excess > 0) {
    const widest = widestShrinkable(widths, columns);
    if (widest === null) return widths;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}

function widestShrinkable<T>(widths: readonly number[], columns: readonly Column<T>[]): number | null {
  let widest: number | null = null;
  for (const [at, column] of columns.entries()) {
    const width = widths[at] ?? 0;
    if (column.shrinks !== true || width <= SHRUNK_MIN) continue;
    if (widest === null || width > (widths[widest] ?? 0)) widest = at;
  }
  return widest;
}

/** Names and values, one pair per line, the values lined up. */
export function renderPairs(pairs: readonly (readonly [string, string])[], paint: Paint): string {
  const width = Math.max(0, ...pairs.map(([name]) => widthOf(name)));
  return pairs
    .map(([name, value]) => `${paint('dim', name.padEnd(width))}${GAP}${value}`.trimEnd())
    .join('\n')
    .concat('\n');
}
