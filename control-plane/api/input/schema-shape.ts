/** What a schema says about the shape of its values, as far as messages and query parameters need it. */
import { z } from 'zod';

/** The schema without its defaults, without what lets a value be absent, and as it is before it is transformed. */
export function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe) return unwrapped(schema.in);
  const isWrapper =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly;
  return isWrapper ? unwrapped(schema.unwrap()) : schema;
}

/** Names of the fields that a value may have at `path`; empty where the schema names none. */
export function knownFields(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const own = unwrapped(schema);
  const [step, ...rest] = path;
  if (own instanceof z.ZodUnion) return [...new Set(own.options.flatMap((option) => knownFields(option, path)))];
  if (step === undefined) return own instanceof z.ZodObject ? Object.keys(own.shape) : [];
  if (own instanceof z.ZodObject) {
    const member: z.core.$ZodType | undefined = own.shape[String(step)];
    return member === undefined ? [] : knownFields(member, rest);
  }
  if (own instanceof z.ZodArray) return knownFields(own.element, rest);
  if (own instanceof z.ZodRecord) return knownFields(own.valueType, rest);
  return [];
}
