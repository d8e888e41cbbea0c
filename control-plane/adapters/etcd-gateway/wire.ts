/** Requests and answers between the contract's form and the gateway's JSON. */
import { invariant } from '../../../shared/util/assert.ts';
import { utf8Encode } from '../../../shared/util/codec.ts';
import type { KeyValue, LeaseId, RangeRequest, Transaction, WatchEvent, Write } from '../../store/contract.ts';
import type { WatchAnswer } from '../etcd-api/watch-batches.ts';
import { base64Of, base64OfText } from './base64.ts';
import type { Message } from './message.ts';

/** What stands in a request: everything that the protocol has goes as text, lists, and objects of those. */
export type Body = { readonly [name: string]: string | boolean | Body | readonly Body[] };

/** The least key of all. As an end: everything after the start. */
const ZERO_KEY = new Uint8Array([0]);

/** Keys in base64. */
export interface Span {
  readonly key: string;
  readonly range_end: string;
}

/** The protocol's span of all keys with a prefix, or of those after one of them. */
export function spanOf(prefix: string, after?: string): Body & Span {
  const start = utf8Encode(prefix);
  const afterKey = after === undefined ? start : utf8Encode(`${after}\u0000`);
  const key = isAfter(afterKey, start) ? afterKey : start;
  return { key: base64Of(key.length === 0 ? ZERO_KEY : key), range_end: base64Of(endOf(start)) };
}

/** Any one key of those that may be read by whoever may read all with the prefix. */
export function keyWithin(prefix: string): string {
  return spanOf(prefix).key;
}

function isAfter(key: Uint8Array, other: Uint8Array): boolean {
  const differs = key.findIndex((byte, index) => byte !== other[index]);
  return differs >= 0 && (key[differs] ?? 0) > (other[differs] ?? -1);
}

/** The first key after all those that begin with `prefix`. */
function endOf(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last < 0) return ZERO_KEY;
  const end = prefix.slice(0, last + 1);
  end[last] = (end[last] ?? 0) + 1;
  return end;
}

/** An integer of 64 bits. */
export function int64(value: number): string {
  invariant(Number.isSafeInteger(value), `${value} is an integer that can be sent`);
  return String(value);
}

const LEASE_ID = /^-?\d{1,19}$/;

export function leaseId(lease: LeaseId): string {
  invariant(LEASE_ID.test(lease), `lease id ${JSON.stringify(lease)} is an integer of 64 bits`);
  return lease;
}

export function toGetRequest(key: string): Body {
  return { key: base64OfText(key) };
}

export function toRangeRequest({ prefix, after, revision }: RangeRequest, limit: number): Body {
  return {
    ...spanOf(prefix, after),
    limit: int64(limit),
    ...(revision === undefined ? {} : { revision: int64(revision) }),
  };
}

/** When a compare fails, the same transaction reads what stands under all of them. */
export function toTxnRequest({ compares, writes }: Transaction): Body {
  return {
    compare: compares.map(({ key, modRevision }) => ({
      target: 'MOD',
      result: 'EQUAL',
      key: base64OfText(key),
      mod_revision: int64(modRevision),
    })),
    success: writes.map(toRequestOp),
    failure: compares.map(({ key }) => ({ request_range: toGetRequest(key) })),
  };
}

/** Reads several keys as they stood at one revision. */
export function toReadRequest(keys: readonly string[], revision: number): Body {
  return { success: keys.map((key) => ({ request_range: { ...toGetRequest(key), revision: int64(revision) } })) };
}

function toRequestOp(write: Write): Body {
  const key = base64OfText(write.key);
  if (write.type === 'delete') return { request_delete_range: { key } };
  const lease = write.lease === undefined ? {} : { lease: leaseId(write.lease) };
  return { request_put: { key, value: base64OfText(write.value), ...lease } };
}

export function toWatchRequest(prefix: string, startRevision: number): Body {
  const start_revision = int64(startRevision);
  return { create_request: { ...spanOf(prefix), start_revision, progress_notify: true, fragment: true } };
}

export function fromKeyValue(message: Message): KeyValue {
  const lease = message.digits('lease');
  return {
    key: message.decoded('key'),
    value: message.decoded('value'),
    createRevision: message.integer('create_revision'),
    modRevision: message.integer('mod_revision'),
    lease: lease === '0' ? null : lease,
  };
}

/** What a range over one key found. */
export function onlyKeyValue(range: Message): KeyValue | null {
  const [first] = range.messages('kvs');
  return first === undefined ? null : fromKeyValue(first);
}

/** What each of the ranges in a transaction found. */
export function rangesOf(transaction: Message): readonly (KeyValue | null)[] {
  return transaction.messages('responses').map((each) => onlyKeyValue(each.message('response_range')));
}

export function fromWatchResponse(message: Message): WatchAnswer {
  return {
    revision: message.message('header').integer('revision'),
    created: message.flag('created'),
    canceled: message.flag('canceled'),
    compactRevision: message.integer('compact_revision'),
    cancelReason: message.text('cancel_reason'),
    fragment: message.flag('fragment'),
    events: message.messages('events').map(fromEvent),
  };
}

/** A put is the type that is left out. */
function fromEvent(event: Message): WatchEvent {
  const keyValue = event.message('kv');
  if (!event.isOneOf('type', ['DELETE', 1])) return { type: 'put', keyValue: fromKeyValue(keyValue) };
  return { type: 'delete', key: keyValue.decoded('key'), modRevision: keyValue.integer('mod_revision') };
}
