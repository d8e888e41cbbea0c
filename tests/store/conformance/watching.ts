import { beforeEach, expect, test } from 'vitest';
import { HistoryGoneError } from '../../../control-plane/store/contract.ts';
import { Collector, eventually, put, type Subject, write } from './harness.ts';

export function watchingTests(subject: () => Subject): void {
  let prefix = '';
  beforeEach(() => {
    prefix = subject().prefix();
  });

  const until = (watch: Collector, revision: number) =>
    eventually(subject(), `revision ${revision}`, () => (watch.batches.at(-1)?.revision ?? 0) >= revision);

  test('a watch from the past sees everything since, then what comes', async () => {
    const { store } = subject();
    const first = await write(store, put(`${prefix}a`, '1'));
    await write(store, put(`${prefix}a`, '2'), put(`${prefix}b`, '1'));
    await write(store, { type: 'delete', key: `${prefix}a` });
    const watch = new Collector(store, prefix, first + 1);
    await until(watch, first + 2);
    await write(store, put(`${prefix}c`, '1'));
    await until(watch, first + 3);
    expect(watch.described).toEqual([
      `put ${prefix}a=2@${first + 1}`,
      `put ${prefix}b=1@${first + 1}`,
      `delete ${prefix}a@${first + 2}`,
      `put ${prefix}c=1@${first + 3}`,
    ]);
    expect(await watch.stop()).toBe(null);
  });

  test('events carry the revisions and the lease of the key', async () => {
    const { store } = subject();
    const lease = await store.grantLease(60);
    const created = await write(store, put(`${prefix}a`, '1'));
    const changed = await write(store, put(`${prefix}a`, '2', lease));
    const watch = new Collector(store, prefix, created);
    await until(watch, changed);
    expect(watch.events[1]).toEqual({
      type: 'put',
      keyValue: { key: `${prefix}a`, value: '2', createRevision: created, modRevision: changed, lease },
    });
    await watch.stop();
    await store.revokeLease(lease);
  });

  test('a watch sees just the keys with its prefix', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}out`, ''));
    const watch = new Collector(store, `${prefix}in/`, revision + 1);
    await write(
      store,
      put(`${prefix}in`, ''),
      put(`${prefix}in/`, 'x'),
      put(`${prefix}in0`, ''),
      put(`${prefix}in/a`, ''),
    );
    const last = await write(store, { type: 'delete', key: `${prefix}in` }, put(`${prefix}in/z`, ''));
    await until(watch, last);
    expect(watch.described).toEqual([
      `put ${prefix}in/=x@${revision + 1}`,
      `put ${prefix}in/a=@${revision + 1}`,
      `put ${prefix}in/z=@${last}`,
    ]);
    await watch.stop();
  });

  test('the events of one revision come in one batch, and batches only go forward', async () => {
    const { store } = subject();
    const start = (await store.get(prefix)).revision;
    const early = new Collector(store, prefix, start + 1);
    let last = start;
    for (let round = 0; round < 10; round++) {
      const writes = Array.from({ length: 100 }, (_, index) => put(`${prefix}${index}`, 'x'.repeat(5000)));
      last = await write(store, ...writes);
    }
    const late = new Collector(store, prefix, start + 1);
    for (const watch of [early, late]) {
      await until(watch, last);
      expect(watch.events).toHaveLength(1000);
      let seen = start;
      for (const batch of watch.batches) {
        const revisions = batch.events.map((event) => (event.type === 'put' ? event.keyValue : event).modRevision);
        expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
        if (revisions.length > 0) expect(revisions[0]).toBeGreaterThan(seen);
        for (const revision of new Set(revisions)) {
          expect(revisions.filter((other) => other === revision)).toHaveLength(100);
          expect(revision).toBeLessThanOrEqual(batch.revision);
        }
        expect(batch.revision).toBeGreaterThanOrEqual(seen);
        seen = batch.revision;
      }
      await watch.stop();
    }
  });

  test('one revision of more than a mebibyte stays whole', async () => {
    const { store } = subject();
    const writes = Array.from({ length: 120 }, (_, index) => put(`${prefix}${index}`, 'y'.repeat(10_000)));
    const revision = await write(store, ...writes);
    const watch = new Collector(store, prefix, revision);
    await until(watch, revision);
    expect(watch.batches[0]?.events).toHaveLength(120);
    await watch.stop();
  });

  test('a watch that is ended sees nothing more', async () => {
    const { store } = subject();
    const first = await write(store, put(`${prefix}a`, '1'));
    const watch = new Collector(store, prefix, first);
    const other = new Collector(store, prefix, first);
    await until(watch, first);
    expect(await watch.stop()).toBe(null);
    const count = watch.events.length;
    const last = await write(store, put(`${prefix}a`, '2'));
    await until(other, last);
    expect(watch.events).toHaveLength(count);
    await other.stop();
  });

  test('a watch that is ended before it began sees nothing', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}a`, '1'));
    const watch = new Collector(store, prefix, revision);
    expect(await watch.stop()).toBe(null);
    expect(watch.events).toEqual([]);
  });

  test('many watches at once each see everything', async () => {
    const { store } = subject();
    const start = (await store.get(prefix)).revision;
    const watches = Array.from({ length: 50 }, () => new Collector(store, prefix, start + 1));
    let last = start;
    for (let round = 0; round < 20; round++) last = await write(store, put(`${prefix}${round % 7}`, String(round)));
    for (const watch of watches) await until(watch, last);
    const described = watches.map((watch) => watch.described.join());
    expect(new Set(described).size).toBe(1);
    expect(watches[0]?.events).toHaveLength(20);
    expect(await Promise.all(watches.map((watch) => watch.stop()))).toEqual(watches.map(() => null));
  });

  test('a watch from beyond the next revision is told that the store went back', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}a`, '1'));
    expect(await new Collector(store, prefix, revision + 100).done).toBeInstanceOf(HistoryGoneError);
  });

  test('compaction forgets the past and keeps the present', async () => {
    const { store } = subject();
    const first = await write(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '1'));
    const second = await write(store, put(`${prefix}a`, '2'), { type: 'delete', key: `${prefix}b` });
    const third = await write(store, put(`${prefix}c`, '1'));
    await store.compact(second);
    await expect(store.range({ prefix, revision: first })).rejects.toThrow(HistoryGoneError);
    const atSecond = await store.range({ prefix, revision: second });
    expect(atSecond.keyValues.map((keyValue) => keyValue.value)).toEqual(['2']);
    expect((await store.range({ prefix })).keyValues.map((keyValue) => keyValue.value)).toEqual(['2', '1']);
    const watch = new Collector(store, prefix, third);
    await until(watch, third);
    expect(watch.described).toEqual([`put ${prefix}c=1@${third}`]);
    await watch.stop();
  });

  test('a watch from a compacted revision, the last one included, is refused', async () => {
    const { store } = subject();
    const first = await write(store, put(`${prefix}a`, '1'));
    const second = await write(store, { type: 'delete', key: `${prefix}a` });
    await write(store, put(`${prefix}b`, '1'));
    await store.compact(second);
    expect(await new Collector(store, prefix, first).done).toBeInstanceOf(HistoryGoneError);
    expect(await new Collector(store, prefix, second).done).toBeInstanceOf(HistoryGoneError);
  });

  test('a watch that is up to date does not notice a compaction', async () => {
    const { store } = subject();
    const first = await write(store, put(`${prefix}a`, '1'));
    const watch = new Collector(store, prefix, first);
    await until(watch, first);
    await store.compact(first);
    const last = await write(store, put(`${prefix}a`, '2'));
    await until(watch, last);
    expect(watch.described).toEqual([`put ${prefix}a=1@${first}`, `put ${prefix}a=2@${last}`]);
    expect(await watch.stop()).toBe(null);
  });

  test('compacting again, or less, is harmless; compacting the future is refused', async () => {
    const { store } = subject();
    await write(store, put(`${prefix}a`, '1'));
    const revision = await write(store, put(`${prefix}a`, '2'));
    await store.compact(revision);
    await store.compact(revision);
    await store.compact(revision - 1);
    await expect(store.compact(revision + 100)).rejects.toThrow(HistoryGoneError);
  });
}
