/** The values that messages are made of, as Mesos's JSON spells them. */
import { z } from 'zod';

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const SPECIAL_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['NaN', Number.NaN],
]);

/** A number, or the text of one; `Infinity`, `-Infinity` and `NaN` are texts. */
export const doubleSchema = z.union([z.number(), z.string()]).transform((value, context): number => {
  if (typeof value === 'number') return value;
  const special = SPECIAL_NUMBERS.get(value);
  if (special !== undefined) return special;
  if (NUMBER.test(value)) return Number(value);
  context.addIssue({ code: 'custom', message: `Failed to parse '${value.slice(0, 100)}' as a number` });
  return z.NEVER;
});

export const integerSchema = doubleSchema.refine(Number.isInteger, 'Expecting a whole number');

/** A list; a single value stands for a list of one. */
export function repeated<S extends z.ZodType>(item: S) {
  return z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), z.array(item));
}

/** The same; absent, it is empty. */
export function optionalList<S extends z.ZodType>(item: S) {
  return repeated(item.optional() as z.ZodOptional<S>)
    .optional()
    .transform((items) => (items ?? []).flatMap((one) => (one === undefined ? [] : [one])) as z.output<S>[]);
}

/** A name of an enum; one that isn't known counts as unset, as with Mesos, so that newer clients are served. */
export function enumSchema<const T extends readonly [string, ...string[]]>(names: T) {
  const known: ReadonlySet<string> = new Set(names);
  return z
    .string()
    .transform((name) => (known.has(name) ? (name as T[number]) : undefined))
    .optional();
}

/** Bytes in base64, which is what they stay. */
export const bytesSchema = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'Failed to base64 decode bytes');

/** Some encoders write it as a text. */
export const booleanSchema = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);

/** Of a framework, an agent, an offer, a task …: each is a message with its text. */
export const idSchema = z.object({ value: z.string() });

/** One that clients leave empty where they don't know it; then it counts as unset. */
export const looseIdSchema = z
  .object({ value: z.string().optional() })
  .transform(({ value }) => (value === undefined || value === '' ? undefined : { value }))
  .optional();

export const labelSchema = z.object({ key: z.string(), value: z.string().optional() });
export const labelsSchema = z.object({ labels: optionalList(labelSchema) });

/** Of a length of time, or of a time since 1970. */
export const nanosecondsSchema = z.object({ nanoseconds: integerSchema });

export interface WireId {
  readonly value: string;
}

export type WireLabel = z.output<typeof labelSchema>;

/** The same without members and items that are null, which stand for what is unset. It must not be deeper than a stack. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => item !== null).map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => (member === null ? [] : [[name, withoutNulls(member)]])),
  );
}
