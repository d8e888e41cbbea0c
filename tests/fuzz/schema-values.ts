/** Values that a JSON Schema describes, drawn by chance: mostly ones that pass, since only those come past the checks. */
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { HOSTILE_NUMBERS } from './hostile.ts';

/** As much of JSON Schema 2020-12 as the documents of the API use. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
}

export interface ValueSource {
  readonly random: SeededRandom;
  /** What a `$ref` names. */
  readonly resolve: (reference: string) => JsonSchema;
  /** A text that means something here, such as the id of something that is there; null: nothing does. */
  readonly meaningful: (member: string, random: SeededRandom) => string | null;
}

const DEPTH_MAX = 9;
/** Of each object one: the more it has, the sooner something of it is refused. */
const OPTIONAL_CHANCES = [0, 0.05, 0.15, 0.4];
const MEANINGFUL_CHANCE = 0.8;
const EDGE_CHANCE = 0.08;
/** Larger ones only make a larger state: what there is at the edges comes by chance. */
const USUAL_NUMBER_MAX = 4;
const ITEMS_MAX = 3;

export function drawnValue(schema: JsonSchema, source: ValueSource, member = '', depth = 0): unknown {
  const { random } = source;
  if (schema.$ref !== undefined) return drawnValue(source.resolve(schema.$ref), source, member, depth + 1);
  if ('const' in schema) return schema.const;
  if (schema.enum !== undefined) return random.pick(schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined && choices.length > 0) return drawnValue(random.pick(choices), source, member, depth + 1);
  if (schema.allOf !== undefined) return merged(schema.allOf, source, member, depth);
  const type = typeof schema.type === 'object' ? random.pick(schema.type) : schema.type;
  switch (type) {
    case 'object':
      return objectOf(schema, source, depth);
    case 'array':
      return arrayOf(schema, source, member, depth);
    case 'string':
      return textOf(schema, source, member);
    case 'integer':
      return Math.round(numberOf(schema, random));
    case 'number':
      return numberOf(schema, random);
    case 'boolean':
      return random.chance(0.5);
    case 'null':
      return null;
    default:
      return random.pick<unknown>([null, 1, 'x', {}, []]);
  }
}

function merged(parts: readonly JsonSchema[], source: ValueSource, member: string, depth: number): unknown {
  const values = parts.map((part) => drawnValue(part, source, member, depth + 1));
  const [first] = values;
  return values.every((value) => typeof value === 'object' && value !== null) ? Object.assign({}, ...values) : first;
}

function objectOf(schema: JsonSchema, source: ValueSource, depth: number): Record<string, unknown> {
  const { random } = source;
  const made: Record<string, unknown> = {};
  const chance = random.pick(OPTIONAL_CHANCES);
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const isNeeded = schema.required?.includes(name) === true;
    if (isNeeded || (depth < DEPTH_MAX && random.chance(chance))) {
      made[name] = drawnValue(member, source, name, depth + 1);
    }
  }
  if (typeof schema.additionalProperties === 'object' && depth < DEPTH_MAX) {
    for (let count = random.between(0, 2); count > 0; count--) {
      const name = source.meaningful('key', random) ?? `key-${count}`;
      made[name] = drawnValue(schema.additionalProperties, source, name, depth + 1);
    }
  }
  return made;
}

function arrayOf(schema: JsonSchema, source: ValueSource, member: string, depth: number): unknown[] {
  if (depth >= DEPTH_MAX) return [];
  const least = schema.minItems ?? 0;
  const most = Math.min(schema.maxItems ?? ITEMS_MAX, Math.max(ITEMS_MAX, least));
  const length = source.random.between(least, Math.max(least, most));
  return Array.from({ length }, () => drawnValue(schema.items ?? {}, source, member, depth + 1));
}

function textOf({ pattern, minLength = 0, maxLength = 40, format }: JsonSchema, source: ValueSource, member: string) {
  const { random } = source;
  const known = random.chance(MEANINGFUL_CHANCE) ? source.meaningful(member, random) : null;
  if (known !== null) return known;
  if (format === 'uri') return 'https://example.test/x';
  if (format === 'date-time') return '2026-11-27T00:00:00Z';
  if (pattern?.includes('^[0-9') === true) return String(random.between(0, 20));
  const length = random.between(minLength, Math.max(minLength, Math.min(maxLength, 12)));
  return Array.from({ length }, () => random.pick([...'abcxyz0-'])).join('');
}

function numberOf({ minimum, exclusiveMinimum, maximum }: JsonSchema, random: SeededRandom): number {
  const low = minimum ?? exclusiveMinimum ?? 0;
  if (random.chance(EDGE_CHANCE)) return random.pick([low, maximum ?? low, ...HOSTILE_NUMBERS]);
  const high = Math.min(maximum ?? Number.MAX_SAFE_INTEGER, Math.max(low, 0) + USUAL_NUMBER_MAX);
  return random.between(Math.max(low, 0), Math.max(high, low, 0));
}
