/**
 * Checks data from outside against a schema and says everything that is wrong with it at once: where, as a JSON pointer, and
 * what to write instead.
 */
import type { z } from 'zod';
import type { Fault } from '../../../shared/domain/errors.ts';
import { nearestName } from './nearest.ts';
import { knownFields } from './schema-shape.ts';

/** What a checked value came to. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Nobody reads more; and a body full of faults must not become an answer that is larger still. */
const FAULTS_MAX = 100;

/** Of a value or name that is repeated in a message. */
const QUOTE_LENGTH_MAX = 64;

/** `locate` makes a fault's path of where the value stands in the checked data. */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  locate: (path: readonly PropertyKey[]) => string = jsonPointer,
): Checked<z.output<S>> {
  const result = schema.safeParse(value, { error: messageOf });
  if (result.success) return { ok: true, value: result.data };
  const faults = result.error.issues.slice(0, FAULTS_MAX).flatMap((issue) => faultsOf(schema, issue, locate));
  return { ok: false, faults: faults.slice(0, FAULTS_MAX) };
}

/** RFC 6901; the whole document is `/`, which reads better than nothing at all. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return `/${path.map((step) => String(step).replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`;
}

export function quoted(text: string): string {
  const short = text.length > QUOTE_LENGTH_MAX ? `${text.slice(0, QUOTE_LENGTH_MAX)}…` : text;
  return JSON.stringify(short);
}

function faultsOf(
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  locate: (path: readonly PropertyKey[]) => string,
): Fault[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: locate(issue.path), message: issue.message }];
  const known = knownFields(schema, issue.path);
  return issue.keys.slice(0, FAULTS_MAX).map((key) => ({
    path: locate([...issue.path, key.slice(0, QUOTE_LENGTH_MAX)]),
    message: unknownName('field', key, known),
  }));
}

/** `unknown field "imgae"; did you mean "image"?` */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  if (nearest !== null) return `unknown ${kind} ${quoted(name)}; did you mean ${quoted(nearest)}?`;
  return known.length === 0
    ? `unknown ${kind} ${quoted(name)}`
    : `unknown ${kind} ${quoted(name)}; known are ${known.join(', ')}`;
}

/** Ours for the issues that schemas leave to the library; what a schema says itself comes first. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is required'
        : `must be ${typeName(String(issue.expected))}, not ${described(issue.input)}`;
    case 'too_big':
      return `must ${limit(issue.origin, 'at most', Number(issue.maximum), issue.inclusive !== false)}`;
    case 'too_small':
      return `must ${limit(issue.origin, 'at least', Number(issue.minimum), issue.inclusive !== false)}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return notAmong(issue.input, issue.values.map(String));
    case 'invalid_format':
      return `must be ${issue.format === 'regex' ? `text that matches ${issue.pattern}` : `a valid ${issue.format}`}`;
    case 'invalid_key':
      return `is not a name that can stand here: it ${messages(issue.issues)}`;
    case 'invalid_union':
      return messages(issue.errors.flat());
    default:
      return undefined;
  }
}

function notAmong(input: unknown, values: readonly string[]): string {
  const allowed = values.map((value) => JSON.stringify(value)).join(', ');
  const must = values.length === 1 ? `must be ${allowed}` : `must be one of ${allowed}`;
  if (input === undefined) return `is required and ${must}`;
  const nearest = typeof input === 'string' ? nearestName(input, values) : null;
  return `${must}, not ${described(input)}${nearest === null ? '' : `; did you mean ${JSON.stringify(nearest)}?`}`;
}

function messages(issues: readonly { readonly message: string }[]): string {
  return [...new Set(issues.map((issue) => issue.message))].join(', or ');
}

function typeName(expected: string): string {
  switch (expected) {
    case 'int':
      return 'a whole number';
    case 'object':
    case 'record':
      return 'an object';
    case 'array':
      return 'a list';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'text';
    default:
      return expected;
  }
}

function described(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'object':
      return 'an object';
    case 'string':
      return `the text ${quoted(value)}`;
    case 'number':
      return Number.isFinite(value) ? String(value) : 'a number that is too large';
    case 'boolean':
      return String(value);
    default:
      return typeof value;
  }
}

/** `be at most 5`, `have at least 1 item`, `have at most 63 characters`. */
function limit(origin: string, bound: string, amount: number, isInclusive: boolean): string {
  const than = isInclusive ? bound : bound === 'at most' ? 'less than' : 'more than';
  switch (origin) {
    case 'string':
      return `have ${than} ${amount} ${amount === 1 ? 'character' : 'characters'}`;
    case 'array':
    case 'set':
      return `have ${than} ${amount} ${amount === 1 ? 'item' : 'items'}`;
    default:
      return `be ${than} ${amount}`;
  }
}
