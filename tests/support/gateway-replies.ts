/** What etcd's JSON gateway answers, word for word: one file for each version, and what has to be asked to be answered so. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { base64OfText } from '../../control-plane/adapters/etcd-gateway/base64.ts';

const FOLDER = new URL('../unit/adapters/etcd-gateway/replies/', import.meta.url);

const FILE = z.strictObject({
  version: z.string(),
  /** Whether all of it was recorded from a live etcd of that version. */
  recorded: z.boolean(),
  replies: z.record(z.string(), z.strictObject({ status: z.int(), body: z.string() })),
});

export type Replies = z.infer<typeof FILE>;

export function fileOf(version: string): URL {
  return new URL(`${version}.json`, FOLDER);
}

export function readReplies(version: string): Replies {
  return FILE.parse(JSON.parse(readFileSync(fileOf(version), 'utf8')));
}

export interface Question {
  readonly path: string;
  readonly body: object;
  readonly token?: 'none' | 'stale' | 'user';
  /** Of a stream: how many lines of it. */
  readonly lines?: number;
}

const span = { key: btoa('/a/'), range_end: btoa('/a0') };
const key = btoa('/a/1');
const other = btoa('/a/2');
const put = { request_put: { key, value: base64OfText('{"v":"ü"}') } };
const ABSENT = { key, target: 'MOD', result: 'EQUAL', mod_revision: '0' };
const LOST = { compare: [ABSENT], success: [put], failure: [{ request_range: { key } }] };
export const LEASE = '7777';

/** Asked in this order of an empty etcd. */
export const QUESTIONS: Readonly<Record<string, Question>> = {
  'nothing there': { path: 'kv/range', body: { key } },
  written: { path: 'kv/txn', body: { ...LOST, success: [put, { request_put: { key: other, value: btoa('2') } }] } },
  'compare failed': { path: 'kv/txn', body: LOST },
  'one key': { path: 'kv/range', body: { key } },
  'a page': { path: 'kv/range', body: { ...span, limit: '1' } },
  'lease granted': { path: 'lease/grant', body: { TTL: '60', ID: LEASE } },
  'written with a lease': {
    path: 'kv/txn',
    body: { success: [{ request_put: { key: other, value: btoa('3'), lease: LEASE } }] },
  },
  'a page with a lease': { path: 'kv/range', body: span },
  'lease kept alive': { path: 'lease/keepalive', body: { ID: LEASE } },
  'lease asked about': { path: 'lease/timetolive', body: { ID: LEASE } },
  'lease revoked': { path: 'lease/revoke', body: { ID: LEASE } },
  'lease kept alive too late': { path: 'lease/keepalive', body: { ID: LEASE } },
  'lease asked about too late': { path: 'lease/timetolive', body: { ID: LEASE } },
  'lease not found': { path: 'lease/revoke', body: { ID: LEASE } },
  'written with a lease that has ended': {
    path: 'kv/txn',
    body: { success: [{ request_put: { key: other, value: btoa('4'), lease: LEASE } }] },
  },
  events: {
    path: 'watch',
    body: { create_request: { ...span, start_revision: '2', progress_notify: true, fragment: true } },
    lines: 2,
  },
  compacted: { path: 'kv/compaction', body: { revision: '4' } },
  'compacted before': { path: 'kv/compaction', body: { revision: '4' } },
  'history gone': { path: 'kv/range', body: { ...span, revision: '1' } },
  'yet to come': { path: 'kv/range', body: { ...span, revision: '1000' } },
  'watch of what is gone': { path: 'watch', body: { create_request: { ...span, start_revision: '2' } }, lines: 2 },
  'too many operations': { path: 'kv/txn', body: { success: Array.from({ length: 129 }, () => put) } },
  status: { path: 'maintenance/status', body: {} },
  defragmented: { path: 'maintenance/defragment', body: {} },
  'users not enabled': { path: 'auth/authenticate', body: { name: 'berth', password: 'right' } },
  'database full': { path: 'kv/txn', body: { success: [{ request_put: { key, value: btoa('x'.repeat(100_000)) } }] } },
  'logged in': { path: 'auth/authenticate', body: { name: 'berth', password: 'right' } },
  'wrong password': { path: 'auth/authenticate', body: { name: 'berth', password: 'wrong' } },
  'token unknown': { path: 'kv/range', body: { key }, token: 'stale' },
  'nobody named': { path: 'kv/range', body: { key }, token: 'none' },
  'not allowed': { path: 'kv/range', body: { key: btoa('/b') }, token: 'user' },
  'watch with a token unknown': { path: 'watch', body: { create_request: span }, token: 'stale', lines: 1 },
  'watch of what is not allowed': {
    path: 'watch',
    body: { create_request: { key: btoa('/b') } },
    token: 'user',
    lines: 1,
  },
};
