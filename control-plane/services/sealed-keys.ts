/**
 * The control plane's own signing keys in their envelopes. Whoever has one of them can make any token, so a replica that has an envelope
 * key leaves none of them in the clear: those that an earlier one left so are sealed when it starts.
 */
import { present } from '../../shared/util/assert.ts';
import { utf8Decode, utf8Encode } from '../../shared/util/codec.ts';
import { type Envelope, OpenError, unknownKey } from '../auth/envelope.ts';
import { type KeyValue, RANGE_PAGE_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { SecretRecord } from '../store/record-types.ts';
import { decodeRecord, putRecord } from '../store/records.ts';
import type { ServiceContext } from './context.ts';

export type KeyContext = Pick<ServiceContext, 'store' | 'clock' | 'mirror' | 'envelope'>;

/** A signing key can't be opened, so that this replica can neither make tokens nor check them. */
export class SealedKeyError extends Error {
  override readonly name = 'SealedKeyError';
}

/** The record with the private key in the clear, for memory only. Throws {@link SealedKeyError}. */
export async function openedKey(ctx: KeyContext, record: SecretRecord): Promise<SecretRecord> {
  const { kid, sealed } = record;
  if (sealed === null) return record;
  if (ctx.envelope === undefined) throw new SealedKeyError(closed(kid, unknownKey(sealed.envelopeKey, [])));
  try {
    const text = utf8Decode(await ctx.envelope.open(sealed, aboutKey(ctx, kid)));
    return { ...record, privateJwk: text };
  } catch (error) {
    throw error instanceof OpenError ? new SealedKeyError(closed(kid, error.message)) : error;
  }
}

/** The record as it is stored: sealed, where there is an envelope key. */
export async function sealedKey(ctx: KeyContext, record: SecretRecord): Promise<SecretRecord> {
  return ctx.envelope === undefined ? record : sealWith(ctx, ctx.envelope, record);
}

/** Seals what an earlier replica left in the clear. What others change meanwhile is theirs. */
export async function sealClearKeys(ctx: KeyContext): Promise<void> {
  const { envelope } = ctx;
  if (envelope === undefined) return;
  for (const found of await storedKeys(ctx)) {
    if (found.record.sealed === null) await put(ctx, found, await sealWith(ctx, envelope, found.record));
  }
}

export interface Resealing {
  /** Sealed under the first envelope key by this call. */
  readonly resealed: number;
  /** Still sealed under another one, or not at all. */
  readonly left: number;
}

/** Brings every signing key under the first envelope key. Those that can't be opened stay as they are. */
export async function resealKeys(ctx: KeyContext, envelope: Envelope): Promise<Resealing> {
  let [resealed, left] = [0, 0];
  for (const found of await storedKeys(ctx)) {
    const { record } = found;
    if (record.sealed?.envelopeKey === envelope.current) continue;
    const isDone =
      (record.sealed === null || envelope.opens(record.sealed)) &&
      (await put(ctx, found, await sealWith(ctx, envelope, await openedKey(ctx, record))));
    if (isDone) resealed += 1;
    else left += 1;
  }
  return { resealed, left };
}

interface StoredKey {
  readonly keyValue: KeyValue;
  readonly record: SecretRecord;
}

async function storedKeys({ store }: KeyContext): Promise<StoredKey[]> {
  const { keyValues } = await store.range({ prefix: keys.signingKey(''), limit: RANGE_PAGE_MAX });
  return keyValues.map((keyValue) => ({ keyValue, record: decodeRecord('secrets', keyValue.key, keyValue.value) }));
}

async function sealWith(ctx: KeyContext, envelope: Envelope, record: SecretRecord): Promise<SecretRecord> {
  const text = present(record.privateJwk, `the opened key ${record.kid}`);
  const sealed = await envelope.seal(utf8Encode(text), aboutKey(ctx, record.kid));
  return { ...record, privateJwk: null, sealed };
}

/** False: somebody else has changed it. */
async function put({ store }: KeyContext, { keyValue }: StoredKey, record: SecretRecord): Promise<boolean> {
  const { key, modRevision } = keyValue;
  const write = putRecord('secrets', key, record);
  const { committed } = await store.transact({ compares: [{ key, modRevision }], writes: [write] });
  return committed;
}

function aboutKey({ mirror }: KeyContext, kid: string): string[] {
  return ['signing-key', present(mirror.snapshot.cluster, 'the cluster record').id, kid];
}

function closed(kid: string, why: string): string {
  return `the signing key "${kid}" can't be opened: ${why}`;
}
