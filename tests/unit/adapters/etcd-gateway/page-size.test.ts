import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  nextPageKeys,
  PAGE_BYTES,
  smallerPageKeys,
} from '../../../../control-plane/adapters/etcd-gateway/page-size.ts';
import { RANGE_PAGE_MAX } from '../../../../control-plane/store/contract.ts';

test.each([
  ['small values leave the page as large as it may be', 1000, { asked: 1000, keys: 1000, bytes: 100_000 }, 1000],
  ['large ones make it smaller', 1000, { asked: 1000, keys: 1000, bytes: 10 * PAGE_BYTES }, 100],
  ['after small ones it grows, by steps', 4, { asked: 4, keys: 4, bytes: 400 }, 16],
  ['it grows no further than it may', 400, { asked: 400, keys: 400, bytes: 400 }, 1000],
  ['a caller who wanted few makes nothing smaller', 1000, { asked: 4, keys: 4, bytes: 400 }, 1000],
  ['a page that was the last says nothing', 7, { asked: 7, keys: 3, bytes: 1 }, 7],
  ['one huge key is still a page', 1, { asked: 1, keys: 1, bytes: 10 * PAGE_BYTES }, 1],
])('%s', (_, known, page, expected) => {
  expect(nextPageKeys(known, page)).toBe(expected);
});

test('a refused page gets smaller until it is one key', () => {
  const sizes: number[] = [];
  for (let keys: number | null = RANGE_PAGE_MAX; keys !== null; keys = smallerPageKeys(keys)) sizes.push(keys);
  expect(sizes).toEqual([1000, 500, 250, 125, 63, 32, 16, 8, 4, 2, 1]);
});

test('whatever was read, the next page is at least one key and at most what a page may be', () => {
  const count = fc.integer({ min: 1, max: RANGE_PAGE_MAX });
  fc.assert(
    fc.property(count, count, count, fc.nat(), (known, asked, keys, bytes) => {
      const next = nextPageKeys(known, { asked, keys, bytes });
      expect(next).toBeGreaterThanOrEqual(1);
      expect(next).toBeLessThanOrEqual(RANGE_PAGE_MAX);
    }),
  );
});
