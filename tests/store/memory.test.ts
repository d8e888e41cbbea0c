import { expect, test } from 'vitest';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { put, write } from './conformance/harness.ts';
import { storeConformance } from './conformance.ts';
import { ManualClock } from './manual-clock.ts';
import { openMemory } from './subjects.ts';

storeConformance('the memory store', openMemory);

test('the memory store gives back the memory of what was compacted', async () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  await write(store, put('stays', '1'));
  const { dbSizeBytes } = await store.status();
  for (let round = 0; round < 10; round++) await write(store, put('stays', '2'), put(`goes/${round}`, ''));
  const gone = await write(store, put('stays', '3'), ...deletions(10));
  expect((await store.status()).dbSizeBytes).toBeGreaterThan(dbSizeBytes);
  await store.compact(gone);
  expect((await store.status()).dbSizeBytes).toBe(dbSizeBytes);
});

function deletions(count: number) {
  return Array.from({ length: count }, (_, round) => ({ type: 'delete' as const, key: `goes/${round}` }));
}
