import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { type AuditFilter, type AuditQuery, readAudit } from '../../../control-plane/services/audit-reading.ts';
import { type AuditStart, watchAudit } from '../../../control-plane/services/audit-stream.ts';
import { submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { setRoles } from '../../../control-plane/services/roles.ts';
import { type Store, StoreUnavailableError, type Transaction } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { fitsTransaction } from '../../../control-plane/store/pack.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { type AuditRecord, auditId } from '../../../shared/domain/audit.ts';
import type { AuditView } from '../../../shared/protocol/audit.ts';
import type { Page } from '../../../shared/protocol/views.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { ADMIN, callOf, caughtUp, granted, specOf, startReplica, type TestReplica } from '../../support/replica.ts';
import { anAuditRecord } from '../store/samples.ts';

const NO_FILTER: AuditFilter = {
  ...{ role: null, subject: null, token: null },
  ...{ object: null, operation: null, outcome: null },
};
const ALL: AuditQuery = { filter: NO_FILTER, sinceMs: null, untilMs: null, order: 'oldest', limit: 1000, after: null };

const OF_ENG = granted({ ...ADMIN, subject: 'eng-lead' }, { roles: ['eng'], actions: ['audit:read'] });

let clock: ManualClock;
let store: Store;
let replica: TestReplica;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore({ clock });
  replica = await startReplica({ store, clock });
});
afterEach(() => replica.stop());

const read = async (change: Partial<AuditQuery> = {}, principal: Principal = ADMIN) =>
  readAudit(replica.ctx, principal, { ...ALL, ...change });
const filtered = async (filter: Partial<AuditFilter>, principal = ADMIN) =>
  (await read({ filter: { ...NO_FILTER, ...filter } }, principal)).items;

let made = 0;
async function record(change: Partial<AuditRecord> = {}, atMs = clock.now()): Promise<string> {
  made += 1;
  const id = auditId(atMs, made.toString(16).padStart(16, '0'));
  const one = anAuditRecord({ id, atMs, ...change });
  await store.transact({ compares: [], writes: [putRecord('audit', keys.audit(id), one)] });
  return id;
}

const object = (role: string | null, id = 'web', kind: AuditRecord['objects'][number]['kind'] = 'job') =>
  ({ kind, id, role, change: 'changed', fields: [], version: null, grants: [] }) as const;

const about = (...roles: (string | null)[]): Partial<AuditRecord> => ({
  objects: roles.map((role) => object(role)),
  roles: roles.flatMap((role) => role ?? []),
});

describe('a change', () => {
  it('says who, with which token, from where, by which call, and what is another now, by name only', async () => {
    const origin = { requestId: 'r-7', address: '192.0.2.7', operation: 'PUT /v1/jobs/{name}' };
    const call = { ...callOf(), origin };
    await submitJob(replica.ctx, call, specOf({ groups: [{ image: 'a:1', env: { KEY: 'secret-1' } }] }));
    await caughtUp(replica.ctx);
    await clock.advance(1);
    const groups = [{ image: 'a:2', env: { KEY: 'secret-2', NEW: 'secret-3' } }];
    await updateJob(replica.ctx, call, specOf({ priority: 7, groups }), { ifVersion: null, onlyCreate: false });
    const { items } = await read();
    const who = { kind: 'user', subject: 'admin', tokenId: 'token-admin' };
    expect(items).toMatchObject([
      { who, ...origin, outcome: 'done', objects: [{ kind: 'job', id: 'hello', role: 'default', change: 'created' }] },
      { who, ...origin, outcome: 'done', objects: [{ kind: 'job', id: 'hello', change: 'changed', version: 2 }] },
    ]);
    expect(items[1]?.objects[0]?.fields).toEqual([
      '/spec/groups/0/env/KEY',
      '/spec/groups/0/env/NEW',
      '/spec/groups/0/image',
      '/spec/priority',
    ]);
    expect(JSON.stringify(items)).not.toContain('secret-');
  });

  it('of very many things names some of them, counts the rest, and is one that a transaction takes', async () => {
    const roles = Array.from({ length: 50 }, (_, n) => [`r${n}/${'x'.repeat(50)}`, { weight: 2 }] as const);
    await setRoles(replica.ctx, callOf(), new Map(roles), { force: true });
    const { items } = await read();
    expect(items).toHaveLength(1);
    expect([items[0]?.objects.length, items[0]?.moreObjects]).toEqual([20, 30]);
  });

  it('has its record exactly where it was made, whatever becomes of transactions and their answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('ok', 'lost', 'unanswered'), { maxLength: 40 }), async (fates) => {
        const real = new MemoryStore({ clock });
        const turns = [...fates];
        const faulty = changed(real, {
          transact: async (transaction: Transaction) => {
            const fate = transaction.writes.some(({ key }) => key.includes('/audit/')) ? turns.shift() : 'ok';
            if (fate === 'lost') throw new StoreUnavailableError('lost on its way');
            const result = await real.transact(transaction);
            if (fate === 'unanswered') throw new StoreUnavailableError('carried out, and the answer lost');
            return result;
          },
        });
        const one = await startReplica({ store: faulty, clock });
        for (let n = 0; n < 10; n += 1) {
          await submitJob(one.ctx, callOf(), specOf({ name: `job-${n}` })).catch(() => undefined);
        }
        await caughtUp(one.ctx);
        const { items } = await readAudit(one.ctx, ADMIN, ALL);
        const told = items.flatMap(({ objects }) => objects.map(({ id }) => id)).sort();
        const jobs = [...one.ctx.mirror.snapshot.jobs.values()].map(({ spec }) => spec.name).sort();
        one.stop();
        expect(told).toEqual(jobs);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves room for its record in a transaction that is full', () => {
    const writes = Array.from({ length: 126 }, (_, n) => ({ type: 'put', key: `k${n}`, value: '' }) as const);
    expect(fitsTransaction({ compares: [], writes: writes.slice(1) })).toBe(true);
    expect(fitsTransaction({ compares: [], writes })).toBe(false);
  });
});

describe('reading', () => {
  it('takes the right to, and shows of roles only those that it reaches', async () => {
    await record(about('eng/ml'));
    await record(about('ops'));
    await record(about('eng', 'ops', null));
    await record({ objects: [], roles: [] });
    expect((await read()).items.map(({ objects }) => objects.length)).toEqual([1, 1, 3, 0]);
    expect((await read({}, OF_ENG)).items.map(({ objects }) => objects.map(({ role }) => role))).toEqual([
      ['eng/ml'],
      ['eng'],
    ]);
    const { message } = await read({}, granted(ADMIN, { actions: ['event:read'] })).catch((error) => error);
    expect(message).toContain('audit:read');
  });

  it('tells nobody how much was done to roles that they may not read', async () => {
    await record({ ...about('eng', 'ops'), moreObjects: 9 });
    expect((await read({}, OF_ENG)).items).toMatchObject([{ moreObjects: 0 }]);
  });

  it('leaves out what is not asked for', async () => {
    const web = await record({ ...about('eng/ml'), operation: 'PUT /v1/jobs/{name}' });
    const who = { kind: 'user', subject: 'ci', tokenId: 't9' };
    const node = await record({ objects: [object(null, 'edge-1', 'node')], roles: [], who, outcome: 'refused' });
    const idsOf = (items: readonly AuditView[]) => items.map(({ id }) => id);
    expect(idsOf(await filtered({ role: 'eng' }))).toEqual([web]);
    expect(idsOf(await filtered({ role: 'ops' }))).toEqual([]);
    expect(idsOf(await filtered({ subject: 'ci' }))).toEqual([node]);
    expect(idsOf(await filtered({ token: 't1' }))).toEqual([web]);
    expect(idsOf(await filtered({ object: { kind: 'node', id: 'edge-1' } }))).toEqual([node]);
    expect(idsOf(await filtered({ object: { kind: 'job', id: 'edge-1' } }))).toEqual([]);
    expect(idsOf(await filtered({ operation: 'put /v1/jobs' }))).toEqual([web, node]);
    expect(idsOf(await filtered({ outcome: 'refused' }))).toEqual([node]);
  });

  it('goes on from page to page from either end, over any number of pages, within a span of time', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 25; n += 1) ids.push(await record({}, clock.now() + n * 1000));
    for (const order of ['oldest', 'newest'] as const) {
      const found: string[] = [];
      for (let after: string | null = null, pages = 0; pages < 10; pages += 1) {
        const { items, next }: Page<AuditView> = await read({ order, limit: 7, after });
        found.push(...items.map(({ id }) => id));
        if (next === null) break;
        after = next;
      }
      expect(found).toEqual(order === 'oldest' ? ids : ids.toReversed());
    }
    const span = { sinceMs: clock.now() + 5000, untilMs: clock.now() + 8000 };
    expect((await read(span)).items.map(({ id }) => id)).toEqual(ids.slice(5, 8));
  });

  it('looks through so many records and no more, and says where to go on', async () => {
    for (let n = 0; n < 60; n += 1) {
      const writes = Array.from({ length: 100 }, (_, at) => {
        const id = auditId(clock.now() + n, at.toString(16).padStart(16, '0'));
        return putRecord('audit', keys.audit(id), anAuditRecord({ id, atMs: clock.now() + n }));
      });
      await store.transact({ compares: [], writes });
    }
    const filter = { ...NO_FILTER, subject: 'nobody' };
    const first = await read({ filter, order: 'newest' });
    expect(first).toMatchObject({ items: [], next: expect.any(String) });
    expect(await read({ filter, order: 'newest', after: first.next })).toEqual({ items: [], next: null });
  });
});

describe('following', () => {
  async function opened(start: Partial<AuditStart> = {}, on = replica, principal = ADMIN) {
    const ending = new AbortController();
    const whole = { after: null, sinceMs: null, ...start };
    const batches = watchAudit(on.ctx, principal, { start: whole, filter: NO_FILTER, signal: ending.signal });
    await batches.next();
    return {
      end: () => ending.abort(),
      next: async (count: number) => {
        const ids: string[] = [];
        while (ids.length < count) {
          const { value, done } = await batches.next();
          if (done === true) throw new Error('the stream has ended');
          ids.push(...value.map(({ id }) => id));
        }
        return ids;
      },
    };
  }

  it('hears of what is done from then on, as far as it may be read', async () => {
    await record(about('eng'));
    await caughtUp(replica.ctx);
    const [all, eng] = [await opened(), await opened({}, replica, OF_ENG)];
    const ops = await record(about('ops'));
    const mine = await record(about('eng'));
    expect(await all.next(2)).toEqual([ops, mine]);
    expect(await eng.next(1)).toEqual([mine]);
    for (const one of [all, eng]) one.end();
  });

  it('goes on after a record on any replica, however long ago it was, and misses nothing whose clock was behind', async () => {
    const seen = await record({}, clock.now() - 3_600_000);
    const missed = [await record(), await record()];
    const late = await record({}, clock.now() - 3_600_000 - 60_000);
    const other = await startReplica({ store, clock, id: 'replica-2' });
    const stream = await opened({ after: seen }, other);
    expect((await stream.next(3)).sort()).toEqual([late, ...missed].sort());
    const news = await record();
    expect(await stream.next(1)).toEqual([news]);
    stream.end();
    other.stop();
  });

  it('begins at a time', async () => {
    await record({}, clock.now() - 10_000);
    const recent = await record({}, clock.now() - 1000);
    const stream = await opened({ sinceMs: clock.now() - 5000 });
    expect(await stream.next(1)).toEqual([recent]);
    stream.end();
  });

  it('says so when the record to go on after is not kept any more', async () => {
    const gone = auditId(clock.now(), 'ffffffffffffffff');
    await expect(opened({ after: gone })).rejects.toMatchObject({ code: 'history-gone' });
  });
});
