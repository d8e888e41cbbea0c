import { beforeEach, expect, test } from 'vitest';
import { present } from '../../../shared/util/assert.ts';
import { Collector, eventually, put, type Subject, write } from './harness.ts';

export function maintainingTests(subject: () => Subject): void {
  let prefix = '';
  beforeEach(() => {
    prefix = subject().prefix();
  });

  const maintenance = () => present(subject().store.maintenance, 'maintenance');

  test('the size grows with what is written, and what is in use is never more than that', async () => {
    const { store } = subject();
    await write(store, put(`${prefix}a`, 'x'.repeat(100_000)));
    await eventually(subject(), 'the size of what was written', async () => {
      const { dbSizeBytes, dbSizeInUseBytes } = await store.status();
      expect(dbSizeInUseBytes ?? 0).toBeLessThanOrEqual(dbSizeBytes);
      return dbSizeBytes >= 100_000 && (dbSizeInUseBytes ?? dbSizeBytes) >= 100_000;
    });
  });

  test('members have names of their own, and one of them leads', async () => {
    const members = await maintenance().members();
    expect(new Set(members.map(({ name }) => name)).size).toBe(members.length);
    expect(members.filter(({ isLeader }) => isLeader)).toHaveLength(1);
    for (const { dbSizeBytes } of members) expect(dbSizeBytes).toBeGreaterThan(0);
  });

  test('defragmenting every member loses no key, no lease and no event', async () => {
    const { store } = subject();
    const lease = await store.grantLease(60);
    const first = await write(store, put(`${prefix}a`, '1', lease));
    const watch = new Collector(store, prefix, first);
    for (const { name } of await maintenance().members()) expect(await maintenance().defragment(name)).toBe(true);
    const second = await write(store, put(`${prefix}b`, '2'));
    await eventually(subject(), 'both events', () => watch.events.length === 2);
    expect(watch.described).toEqual([`put ${prefix}a=1@${first}`, `put ${prefix}b=2@${second}`]);
    expect(await watch.stop()).toBe(null);
    expect(await store.keepLeaseAlive(lease)).toBe(true);
    expect((await store.get(`${prefix}a`)).keyValue).toMatchObject({ value: '1', modRevision: first, lease });
  });
}
