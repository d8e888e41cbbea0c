import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { AuditKeeper } from '../../../control-plane/controllers/audit-keeper.ts';
import { setSettings } from '../../../control-plane/services/settings.ts';
import { oldestFirst } from '../../../control-plane/store/audit-log.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { auditId } from '../../../shared/domain/audit.ts';
import { DEFAULT_SETTINGS } from '../../../shared/domain/settings.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { callOf, caughtUp, startReplica, type TestReplica } from '../../support/replica.ts';
import { anAuditRecord } from '../store/samples.ts';

const DAY_MS = 24 * 3600_000;
const QUOTA = 1_000_000;

let clock: ManualClock;
let inUse: number;
let replica: TestReplica;
let removed: [number, string | undefined][];
let keeper: AuditKeeper;

beforeEach(async () => {
  clock = new ManualClock();
  inUse = 0;
  removed = [];
  const memory = new MemoryStore({ clock });
  const store: Store = changed(memory, {
    status: async () => ({ ...(await memory.status()), dbSizeBytes: QUOTA, dbSizeInUseBytes: inUse }),
  });
  replica = await startReplica({ store, clock });
  keeper = new AuditKeeper(replica.ctx, QUOTA, { add: (amount, labels) => removed.push([amount, labels?.[0]]) });
});
afterEach(() => replica.stop());

async function record(ageDays: number, count = 1): Promise<void> {
  const atMs = clock.now() - ageDays * DAY_MS;
  for (let from = 0; from < count; from += 100) {
    const writes = Array.from({ length: Math.min(100, count - from) }, (_, n) => {
      const id = auditId(atMs, (from + n).toString(16).padStart(16, '0'));
      return putRecord('audit', keys.audit(id), anAuditRecord({ id, atMs }));
    });
    await replica.ctx.store.transact({ compares: [], writes });
  }
}

async function ages(): Promise<number[]> {
  const found: number[] = [];
  for await (const page of oldestFirst(replica.ctx.store, { after: '', before: '~' }, 500)) {
    found.push(...page.map(({ value }) => (clock.now() - JSON.parse(value).atMs) / DAY_MS));
  }
  return found;
}

describe('records of who did what', () => {
  it('go when their time is over, which is set', async () => {
    for (const age of [91, 89, 10, 0]) await record(age);
    await keeper.run();
    expect(await ages()).toEqual([89, 10, 0]);
    await setSettings(replica.ctx, callOf(), { ...DEFAULT_SETTINGS, auditKeepDays: 7 }, { ifVersion: null });
    await caughtUp(replica.ctx);
    await keeper.run();
    expect(await ages()).toHaveLength(4);
    await clock.advance(60_000);
    await keeper.run();
    expect((await ages()).filter((age) => age > 7)).toEqual([]);
    expect(removed).toEqual([
      [1, 'expired'],
      [2, 'expired'],
    ]);
  });

  it('go as many at a time as a look may take, and the rest soon', async () => {
    await record(100, 1500);
    await keeper.run();
    expect(await ages()).toHaveLength(300);
    await clock.advance(1000);
    await keeper.run();
    expect(await ages()).toEqual([]);
  });

  it('go before their time where the store is nearly full, and never those of the last day', async () => {
    for (const age of [80, 2, 0.5]) await record(age);
    await keeper.run();
    expect(await ages()).toEqual([80, 2, 0.5]);
    inUse = QUOTA * 0.9;
    await clock.advance(60_000);
    await keeper.run();
    expect((await ages()).map(Math.round)).toEqual([1]);
    expect(removed).toEqual([[2, 'room']]);
  });
});
