/** Keys, values and transactions between the contract's form and the protocol's: bytes, and numbers as strings. */
import type { IEvent, IKeyValue, IRangeRequest, ITxnRequest, IWatchResponse } from 'etcd3';
import type { KeyValue, RangeRequest, Transaction, WatchEvent, Write } from '../../store/contract.ts';
import type { WatchAnswer } from '../etcd-api/watch-batches.ts';

/** The least key of all. As an end: everything after the start. */
const ZERO_KEY = Buffer.from([0]);

/** The protocol's span of all keys with a prefix, or of those after one of them. */
export function spanOf(prefix: string, after?: string): { key: Buffer; range_end: Buffer } {
  const start = Buffer.from(prefix);
  const afterKey = after === undefined ? start : Buffer.concat([Buffer.from(after), ZERO_KEY]);
  const key = Buffer.compare(afterKey, start) > 0 ? afterKey : start;
  return { key: key.length === 0 ? ZERO_KEY : key, range_end: endOf(start) };
}

/** The first key after all those that begin with `prefix`. */
function endOf(prefix: Buffer): Buffer {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last < 0) return ZERO_KEY;
  const end = Buffer.from(prefix.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return end;
}

export function toRangeRequest({ prefix, after, revision }: RangeRequest, limit: number): IRangeRequest {
  return { ...spanOf(prefix, after), limit, ...(revision === undefined ? {} : { revision }) };
}

/** When a compare fails, the same transaction reads what stands under all of them. */
export function toTxnRequest({ compares, writes }: Transaction): ITxnRequest {
  return {
    compare: compares.map(({ key, modRevision }) => ({
      target: 'Mod',
      result: 'Equal',
      key: Buffer.from(key),
      mod_revision: modRevision,
    })),
    success: writes.map(toRequestOp),
    failure: compares.map(({ key }) => ({ request_range: { key: Buffer.from(key) } })),
  };
}

function toRequestOp(write: Write) {
  const key = Buffer.from(write.key);
  if (write.type === 'delete') return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(write.value), lease: write.lease ?? '0' } };
}

export function fromKeyValue(keyValue: IKeyValue): KeyValue {
  return {
    key: keyValue.key.toString(),
    value: keyValue.value.toString(),
    createRevision: Number(keyValue.create_revision),
    modRevision: Number(keyValue.mod_revision),
    lease: keyValue.lease === '0' ? null : keyValue.lease,
  };
}

export function fromWatchResponse(answer: IWatchResponse): WatchAnswer {
  return {
    revision: Number(answer.header.revision),
    created: answer.created,
    canceled: answer.canceled,
    compactRevision: Number(answer.compact_revision),
    cancelReason: answer.cancel_reason,
    fragment: answer.fragment,
    events: answer.events.map(fromEvent),
  };
}

function fromEvent({ type, kv }: IEvent): WatchEvent {
  if (type === 'Put') return { type: 'put', keyValue: fromKeyValue(kv) };
  return { type: 'delete', key: kv.key.toString(), modRevision: Number(kv.mod_revision) };
}
