/** What differs between two versions of a job, as paths and values. */
import { printable } from './output/text.ts';

export interface Change {
  readonly path: string;
  /** Undefined: it wasn't there, or isn't any more. */
  readonly before: unknown;
  readonly after: unknown;
}

/** Every place where two JSON values differ, parents before children, in the order of their keys. */
export function changesBetween(before: unknown, after: unknown, path = ''): Change[] {
  if (before === after) return [];
  const a = membersOf(before);
  const b = membersOf(after);
  if (a === null || b === null || Array.isArray(before) !== Array.isArray(after)) return [{ path, before, after }];
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.flatMap((name) => changesBetween(a.get(name), b.get(name), `${path}/${escapeSegment(name)}`));
}

function membersOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (typeof value !== 'object' || value === null) return null;
  return new Map(Object.entries(value));
}

function escapeSegment(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** `~ /groups/0/count: 1 → 3`, `+ /labels/team: "ml"`, `- /labels/team: "ml"`. */
export function describeChange({ path, before, after }: Change): string {
  if (before === undefined || before === null) return `+ ${path}: ${valueText(after)}`;
  if (after === undefined || after === null) return `- ${path}: ${valueText(before)}`;
  return `~ ${path}: ${valueText(before)} → ${valueText(after)}`;
}

const VALUE_CHARACTERS_MAX = 200;

function valueText(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? 'nothing');
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX - 1)}…` : text;
}
