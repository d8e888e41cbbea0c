/** Puts results on stdout in the form that was asked for, and notes for people on stderr. */
import { stringify } from 'yaml';
import type { Io, Output } from '../io.ts';
import { type Paint, painter, wantsColour } from './paint.ts';
import { type Column, renderTable } from './table.ts';
import { counted } from './text.ts';

export const FORMATS = ['table', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];

/** How a kind of thing is shown in a list. */
export interface ListShape<T> {
  readonly noun: string;
  readonly columns: (nowMs: number) => readonly Column<T>[];
  /** What names it on the command line again. */
  readonly nameOf: (item: T) => string;
}

export interface Printer {
  readonly format: Format;
  /** For stdout. */
  readonly paint: Paint;
  /** For stderr. */
  readonly paintNote: Paint;
  readonly width: number | null;
  list<T>(items: readonly T[], shape: ListShape<T>): void;
  /** `render` makes the text for people. */
  one<T>(item: T, options: { name: string; render: (paint: Paint, nowMs: number) => string }): void;
  /** A line on stderr. */
  note(text: string): void;
  text(text: string): void;
}

export function createPrinter(io: Io, options: { format: Format; colour: boolean | undefined }): Printer {
  const { format } = options;
  const paint = painter(wantsColour(io.out, io.env, options.colour));
  const paintNote = painter(wantsColour(io.err, io.env, options.colour));
  const note = (text: string) => io.err.write(`${text}\n`);
  const width = widthFor(io.out);
  return {
    format,
    paint,
    paintNote,
    width,
    note,
    text: (text) => io.out.write(text),
    list(items, shape) {
      io.out.write(listText(items, shape, { format, paint, width, nowMs: io.clock.now() }));
      if (format === 'table' && items.length === 0) note(`There are no ${counted(2, shape.noun).slice(2)}.`);
    },
    one(item, { name, render }) {
      io.out.write(format === 'table' ? render(paint, io.clock.now()) : documentText(item, format, name));
    },
  };
}

interface ListOptions {
  readonly format: Format;
  readonly paint: Paint;
  readonly width: number | null;
  readonly nowMs: number;
}

export function listText<T>(items: readonly T[], shape: ListShape<T>, options: ListOptions): string {
  const { format, paint, width, nowMs } = options;
  switch (format) {
    case 'table':
      return items.length === 0 ? '' : renderTable(shape.columns(nowMs), items, { width, paint });
    case 'name':
      return items.map((item) => `${shape.nameOf(item)}\n`).join('');
    case 'json':
    case 'yaml':
      return documentText(items, format, '');
  }
}

function documentText(value: unknown, format: Exclude<Format, 'table'>, name: string): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml':
      return yamlText(value);
    case 'name':
      return `${name}\n`;
  }
}

/** Without anchors: a job file that is read back must not depend on them. */
export function yamlText(value: unknown): string {
  return stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });
}

function widthFor(output: Output): number | null {
  return output.isTerminal ? output.columns : null;
}
