/** Which records a snapshot keeps, how they are read from a store, and what is known of each. */
import { canonicalJson } from '../../shared/util/codec.ts';
import type { KeyValue, LeaseId, Store } from './contract.ts';
import { PREFIX, parseKey, RECORD_KINDS, type RecordKind, unescapeRole } from './keys.ts';
import type { RecordOf } from './record-types.ts';
import { decodeRecord } from './records.ts';

/** Kinds whose values a snapshot doesn't keep. */
const UNKEPT_KINDS = ['ops', 'idempotency', 'exchanges', 'secrets', 'sealed', 'audit'] as const;
export type UnkeptKind = (typeof UNKEPT_KINDS)[number];

/** Kinds whose values a snapshot keeps. */
export type MirroredKind = Exclude<RecordKind, UnkeptKind>;

/** A kept record and what the store knows about its key. */
export interface Kept {
  readonly kind: MirroredKind;
  readonly value: RecordOf[MirroredKind];
  readonly modRevision: number;
  readonly lease: LeaseId | null;
}

/** Null for keys whose values aren't kept. */
export function keep(keyValue: KeyValue): Kept | null {
  const kind = parseKey(keyValue.key)?.[0];
  if (kind === undefined || !isMirrored(kind)) return null;
  const value = decodeRecord(kind, keyValue.key, keyValue.value);
  return { kind, value, modRevision: keyValue.modRevision, lease: keyValue.lease };
}

export function sameKept(a: Kept | undefined, b: Kept | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.modRevision !== b.modRevision || a.lease !== b.lease) return false;
  // After a restore the same revision may carry another value, so revisions alone don't tell.
  return canonicalJson(a.value) === canonicalJson(b.value);
}

/** The domain's id of a record. */
export function idOf(kind: MirroredKind, key: string, value: RecordOf[MirroredKind] | null): string {
  const path = parseKey(key)?.[1] ?? '';
  if (kind === 'jobs' && value !== null && 'uid' in value) return value.uid;
  if (kind === 'roles') return unescapeRole(path);
  return kind === 'streams' ? path.slice(path.lastIndexOf('/') + 1) : path;
}

const UNKEPT: ReadonlySet<RecordKind> = new Set(UNKEPT_KINDS);

export function isMirrored(kind: RecordKind): kind is MirroredKind {
  return !UNKEPT.has(kind);
}

/** The prefixes that hold the mirrored kinds. One may cover a key of another kind; a key is told by its own spelling. */
export const MIRRORED_PREFIXES = RECORD_KINDS.filter(isMirrored).map((kind) => `${PREFIX}${kind}`);

/** All pages under a prefix, as they stand at one revision. Throws what {@link Store.range} throws. */
export async function readAll(store: Pick<Store, 'range'>, prefix: string, revision: number | undefined) {
  const keyValues: KeyValue[] = [];
  let page = await store.range(revision === undefined ? { prefix } : { prefix, revision });
  for (;;) {
    for (const keyValue of page.keyValues) keyValues.push(keyValue);
    const last = page.keyValues.at(-1);
    if (!page.more || last === undefined) return { keyValues, revision: page.revision };
    page = await store.range({ prefix, revision: page.revision, after: last.key });
  }
}
