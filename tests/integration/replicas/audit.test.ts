/** Who did what, on a real etcd: read from either end of many records, and followed from one replica to the other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { type AuditQuery, readAudit } from '../../../control-plane/services/audit-reading.ts';
import { watchAudit } from '../../../control-plane/services/audit-stream.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { type AuditRecord, auditId } from '../../../shared/domain/audit.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { ADMIN, callOf, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const RECORDS = 20_000;
const START_MS = 1_700_000_000_000;
const NO_FILTER = { role: null, subject: null, token: null, object: null, operation: null, outcome: null };
const NEWEST: AuditQuery = {
  ...{ filter: NO_FILTER, sinceMs: null, untilMs: null },
  ...{ order: 'newest', limit: 50, after: null },
};

let etcd: TestEtcd;
let stores: EtcdStore[];
let a: TestReplica;
let b: TestReplica;

beforeAll(async () => {
  etcd = await startEtcd();
  stores = [new EtcdStore({ hosts: [etcd.url] }), new EtcdStore({ hosts: [etcd.url] })];
  const [one, other] = stores;
  if (one === undefined || other === undefined) throw new Error('there are two stores');
  [a, b] = [await startReplica({ store: one, id: 'a' }), await startReplica({ store: other, id: 'b' })];
  for (let from = 0; from < RECORDS; from += 100) {
    const writes = Array.from({ length: 100 }, (_, n) => recordAt(from + n));
    await one.transact({ compares: [], writes });
  }
});
afterAll(async () => {
  a?.stop();
  b?.stop();
  for (const store of stores ?? []) await store.close();
  await etcd?.stop();
});

/** One in a minute. */
function idAt(n: number): string {
  return auditId(START_MS + n * 60_000, '0123456789abcdef');
}

function recordAt(n: number) {
  const record: AuditRecord = {
    ...{ id: idAt(n), atMs: START_MS + n * 60_000, who: null, requestId: `r${n}`, address: null, operation: 'a test' },
    ...{ objects: [], moreObjects: 0, roles: [], outcome: 'done', refusal: null, count: 1 },
  };
  return putRecord('audit', keys.audit(record.id), record);
}

describe('who did what', () => {
  it('is read page by page from either end', async () => {
    const newest = await readAudit(a.ctx, ADMIN, NEWEST);
    expect(newest.items.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, n) => idAt(RECORDS - 1 - n)));
    const before = await readAudit(b.ctx, ADMIN, { ...NEWEST, after: newest.next });
    expect(before.items[0]?.id).toBe(idAt(RECORDS - 51));
    const oldest = await readAudit(b.ctx, ADMIN, { ...NEWEST, order: 'oldest', sinceMs: START_MS + 600_000 });
    expect(oldest.items.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, n) => idAt(10 + n)));
  });

  it('is followed at another replica than where it was done, from a record of long ago', async () => {
    const ending = new AbortController();
    const start = { after: idAt(RECORDS - 100), sinceMs: null };
    const batches = watchAudit(b.ctx, ADMIN, { start, filter: NO_FILTER, signal: ending.signal });
    const found: string[] = [];
    let isSubmitted = false;
    for await (const views of batches) {
      found.push(...views.map(({ objects, requestId }) => objects[0]?.id ?? requestId));
      if (found.length === 99 && !isSubmitted) {
        isSubmitted = true;
        await submitJob(a.ctx, callOf(), specOf({ name: 'train' }));
      }
      if (found.includes('train')) break;
    }
    ending.abort();
    expect(found).toEqual([...Array.from({ length: 99 }, (_, n) => `r${RECORDS - 99 + n}`), 'train']);
  });
});
