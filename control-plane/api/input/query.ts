/**
 * Query parameters as a schema's types: all arrive as text, so they are turned into what the schema wants before it checks
 * them. What doesn't look like it stays text, and the schema says so.
 */
import { z } from 'zod';
import type { Fault } from '../../../shared/domain/errors.ts';
import { type Checked, check, unknownName } from './faults.ts';
import { unwrapped } from './schema-shape.ts';

export function checkQuery<S extends z.ZodObject>(schema: S, parameters: URLSearchParams): Checked<z.output<S>> {
  const faults: Fault[] = [];
  const values: Record<string, unknown> = {};
  for (const name of new Set(parameters.keys())) {
    const member: z.core.$ZodType | undefined = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
    if (member === undefined) {
      faults.push({ path: pathOf([name]), message: unknownName('parameter', name, Object.keys(schema.shape)) });
      continue;
    }
    const texts = parameters.getAll(name);
    const isList = unwrapped(member) instanceof z.ZodArray;
    if (texts.length > 1 && !isList) faults.push({ path: pathOf([name]), message: 'may be given only once' });
    values[name] = isList ? texts : natural(member, texts[0] ?? '');
  }
  const checked = check(schema, values, pathOf);
  if (checked.ok && faults.length === 0) return checked;
  return { ok: false, faults: checked.ok ? faults : [...faults, ...checked.faults] };
}

function natural(schema: z.core.$ZodType, text: string): unknown {
  const own = unwrapped(schema);
  if (own instanceof z.ZodNumber) return /^-?\d{1,20}(?:\.\d{1,20})?$/.test(text) ? Number(text) : text;
  if (own instanceof z.ZodBoolean) return text === 'true' ? true : text === 'false' ? false : text;
  return text;
}

function pathOf(path: readonly PropertyKey[]): string {
  return `query:${String(path[0] ?? '').slice(0, 64)}`;
}
