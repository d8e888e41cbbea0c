import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { newestFirst, oldestFirst, spanOfTimes } from '../../../control-plane/store/audit-log.ts';
import type { KeyValue, Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { auditId } from '../../../shared/domain/audit.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';

const EVERYTHING = { after: '', before: '~' };

async function storeOf(ids: readonly string[]): Promise<Store> {
  const store = new MemoryStore({ clock: new ManualClock() });
  for (let at = 0; at < ids.length; at += 100) {
    const writes = ids.slice(at, at + 100).map((id) => ({ type: 'put', key: keys.audit(id), value: '{}' }) as const);
    await store.transact({ compares: [], writes });
  }
  return store;
}

async function idsOf(pages: AsyncIterable<readonly KeyValue[]>, atMost = Number.POSITIVE_INFINITY): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of pages) {
    ids.push(...page.map(({ key }) => key.slice(keys.audit('').length)));
    if (ids.length >= atMost) return ids;
  }
  return ids;
}

const times = fc.uniqueArray(
  fc.oneof(
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_300 }),
    fc.integer({ min: 0, max: 9_999_999_999_999 }),
  ),
  { maxLength: 60 },
);

describe('what is on record', () => {
  it('is the same from either end, within any span, however much a page takes', async () => {
    const span = fc.tuple(
      fc.integer({ min: 0, max: 9_999_999_999_999 }),
      fc.integer({ min: 0, max: 9_999_999_999_999 }),
    );
    await fc.assert(
      fc.asyncProperty(times, span, fc.integer({ min: 1, max: 7 }), async (all, [a, b], pageMax) => {
        const store = await storeOf(all.map((atMs) => auditId(atMs, '0123456789abcdef')));
        const [fromMs, toMs] = [Math.min(a, b), Math.max(a, b)];
        const within = all.filter((atMs) => fromMs <= atMs && atMs < toMs).sort((x, y) => x - y);
        const expected = within.map((atMs) => auditId(atMs, '0123456789abcdef'));
        const asked = spanOfTimes(fromMs, toMs);
        expect(await idsOf(oldestFirst(store, asked, pageMax))).toEqual(expected);
        expect(await idsOf(newestFirst(store, asked, pageMax))).toEqual(expected.toReversed());
      }),
      { numRuns: 60 },
    );
  });

  it('is whole where more was made in one millisecond than a page takes', async () => {
    const ids = Array.from({ length: 30 }, (_, n) => auditId(1_700_000_000_000, n.toString(16).padStart(16, '0')));
    const store = await storeOf(ids);
    expect(await idsOf(newestFirst(store, EVERYTHING, 4))).toEqual(ids.toReversed());
    const [, second = '', third = '', , fifth = ''] = ids;
    expect(await idsOf(newestFirst(store, { after: second, before: fifth }, 1))).toEqual([ids[3], third]);
  });

  it('takes a few small requests for the last of a hundred thousand', async () => {
    const start = 1_700_000_000_000;
    const ids = Array.from({ length: 100_000 }, (_, n) => auditId(start + n * 60_000, '0123456789abcdef'));
    const store = await storeOf(ids);
    let requests = 0;
    let read = 0;
    const counting = changed(store, {
      range: async (request) => {
        requests += 1;
        const page = await store.range(request);
        read += page.keyValues.length;
        return page;
      },
    });
    expect(await idsOf(newestFirst(counting, EVERYTHING, 100), 100)).toEqual(ids.slice(-100).toReversed().slice(0));
    expect(requests).toBeLessThan(60);
    expect(read).toBeLessThan(2000);
  });
});
