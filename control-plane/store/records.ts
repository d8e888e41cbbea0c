/**
 * Records as text and back. Every value is JSON with a version field `v`, and is checked by its schema on the way out as
 * well as on the way in: a value that can't be read again must not be written, since every replica would stop at it.
 */
import type { z } from 'zod';
import type { LeaseId, Write } from './contract.ts';
import type { RecordKind } from './keys.ts';
import type { RecordOf } from './record-types.ts';
import { RECORD_SCHEMAS } from './schemas.ts';

export type * from './record-types.ts';

/** The version of every value that this code writes, and the only one that it reads. */
const VALUE_VERSION = 1;

/** A value under one of Berth's keys isn't what it has to be. The message names the key and what is wrong. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly key: string;

  constructor(key: string, problem: string) {
    super(`record ${key} ${problem}`);
    this.key = key;
  }
}

/** The value as it is stored; members that its schema doesn't know are left out. Throws {@link RecordError}. */
export function encodeRecord<K extends RecordKind>(kind: K, value: RecordOf[K], key: string = kind): string {
  return JSON.stringify({ v: VALUE_VERSION, ...check(kind, key, value) });
}

/** The value that `text`, found under `key`, stands for. Throws {@link RecordError}. */
export function decodeRecord<K extends RecordKind>(kind: K, key: string, text: string): RecordOf[K] {
  const value = parseJson(key, text);
  const version = typeof value === 'object' && value !== null && 'v' in value ? value.v : undefined;
  if (version !== VALUE_VERSION) {
    throw new RecordError(key, `has version ${JSON.stringify(version)}; this program reads version ${VALUE_VERSION}`);
  }
  return check(kind, key, value);
}

/** The write that puts the record. With a lease, the record goes when the lease ends. */
export function putRecord<K extends RecordKind>(kind: K, key: string, value: RecordOf[K], lease?: LeaseId): Write {
  const text = encodeRecord(kind, value, key);
  return lease === undefined ? { type: 'put', key, value: text } : { type: 'put', key, value: text, lease };
}

function parseJson(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RecordError(key, `isn't JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function check<K extends RecordKind>(kind: K, key: string, value: unknown): RecordOf[K] {
  // The compiler can't follow one kind through two maps; `schemas.ts` proves that they agree for every kind.
  const schema = RECORD_SCHEMAS[kind] as unknown as z.ZodType<RecordOf[K]>;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `/${issue.path.map(String).join('/')}: ${issue.message}`);
  throw new RecordError(key, `is malformed at ${problems.join('; ')}`);
}
