import { beforeEach, expect, test } from 'vitest';
import { HistoryGoneError } from '../../../control-plane/store/contract.ts';
import { put, type Subject, write } from './harness.ts';

export function readingTests(subject: () => Subject): void {
  let prefix = '';
  beforeEach(() => {
    prefix = subject().prefix();
  });

  test('a key that does not exist reads as null, at a revision', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}other`, '1'));
    expect(await store.get(`${prefix}none`)).toEqual({ keyValue: null, revision });
  });

  test('a key carries its value and the revisions of its creation and last change', async () => {
    const { store } = subject();
    const created = await write(store, put(`${prefix}a`, 'one'));
    const changed = await write(store, put(`${prefix}a`, 'two'));
    expect(changed).toBe(created + 1);
    expect(await store.get(`${prefix}a`)).toEqual({
      keyValue: { key: `${prefix}a`, value: 'two', createRevision: created, modRevision: changed, lease: null },
      revision: changed,
    });
  });

  test('a key that was deleted and created again begins anew', async () => {
    const { store } = subject();
    await write(store, put(`${prefix}a`, 'one'));
    await write(store, { type: 'delete', key: `${prefix}a` });
    const created = await write(store, put(`${prefix}a`, 'two'));
    const { keyValue } = await store.get(`${prefix}a`);
    expect([keyValue?.createRevision, keyValue?.modRevision]).toEqual([created, created]);
  });

  test('text of every kind comes back as it was written', async () => {
    const { store } = subject();
    const values = ['', ' ', '{"v":1}', 'Größe 😀 日本語', '\u0000\u0001', 'é', '\uffff', 'a\r\nb'];
    await write(store, ...values.map((value, index) => put(`${prefix}${index}-ключ😀`, value)));
    const { keyValues } = await store.range({ prefix });
    expect(keyValues.map((keyValue) => keyValue.value)).toEqual(values);
    expect(keyValues[0]?.key).toBe(`${prefix}0-ключ😀`);
  });

  test('a value of a mebibyte comes back', async () => {
    const { store } = subject();
    const value = 'ab'.repeat(512 * 1024);
    await write(store, put(`${prefix}large`, value));
    expect((await store.get(`${prefix}large`)).keyValue?.value === value).toBe(true);
  });

  test('a range holds just the keys with its prefix, in the order of their bytes', async () => {
    const { store } = subject();
    const inside = ['a', 'a/', 'a/b', 'a0', 'B', 'z', 'é', '\ue000', '\u{10000}', '~'];
    await write(store, ...inside.map((name) => put(`${prefix}in/${name}`, name)));
    await write(store, put(`${prefix}in`, 'before'), put(`${prefix}in.`, 'before'), put(`${prefix}in0`, 'after'));
    const { keyValues, more } = await store.range({ prefix: `${prefix}in/` });
    const names = keyValues.map((keyValue) => keyValue.value);
    expect(names).toEqual([...inside].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect(more).toBe(false);
  });

  test('a range over nothing is empty', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}a`, '1'));
    expect(await store.range({ prefix: `${prefix}none/` })).toEqual({ keyValues: [], more: false, revision });
  });

  test('pages of one revision show one state while writes go on', async () => {
    const { store } = subject();
    const names = Array.from({ length: 10 }, (_, index) => `${prefix}k${index}`);
    await write(store, ...names.map((name) => put(name, 'old')));
    const first = await store.range({ prefix, limit: 4 });
    await write(store, put(`${prefix}k5`, 'new'), put(`${prefix}k55`, 'new'), { type: 'delete', key: `${prefix}k7` });
    const seen = [...first.keyValues];
    let page = first;
    while (page.more) {
      page = await store.range({
        prefix,
        limit: 4,
        revision: first.revision,
        ...(seen.length === 0 ? {} : { after: seen.at(-1)?.key ?? '' }),
      });
      expect(page.revision).toBe(first.revision);
      seen.push(...page.keyValues);
    }
    expect(seen.map((keyValue) => `${keyValue.key}=${keyValue.value}`)).toEqual(names.map((name) => `${name}=old`));
    expect((await store.range({ prefix })).keyValues.map((keyValue) => keyValue.value)).toContain('new');
  });

  test('without a limit a page holds at most 1000 keys, and says that there are more', async () => {
    const { store } = subject();
    for (let start = 0; start < 1100; start += 100) {
      await write(
        store,
        ...Array.from({ length: 100 }, (_, index) => put(`${prefix}${String(start + index).padStart(5, '0')}`, '')),
      );
    }
    const first = await store.range({ prefix });
    expect([first.keyValues.length, first.more]).toEqual([1000, true]);
    const rest = await store.range({ prefix, after: first.keyValues.at(-1)?.key ?? '', revision: first.revision });
    expect([rest.keyValues.length, rest.more]).toEqual([100, false]);
  });

  test('pages that are too large for one answer come in smaller ones', async () => {
    const { store } = subject();
    const value = 'x'.repeat(1_000_000);
    for (let index = 0; index < 8; index++) await write(store, put(`${prefix}${index}`, value));
    const sizes: number[] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const page = await store.range(after === null ? { prefix } : { prefix, after });
      sizes.push(...page.keyValues.map((keyValue) => keyValue.value.length));
      after = page.keyValues.at(-1)?.key ?? null;
      more = page.more;
    }
    expect(sizes).toEqual(Array.from({ length: 8 }, () => 1_000_000));
  });

  test('a revision that is still to come is refused', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}a`, '1'));
    await expect(store.range({ prefix, revision: revision + 100 })).rejects.toThrow(HistoryGoneError);
  });

  test('the status tells the revision and one cluster id', async () => {
    const { store } = subject();
    const revision = await write(store, put(`${prefix}a`, '1'));
    const status = await store.status();
    expect(status.revision).toBe(revision);
    expect(status.clusterId).toBe((await store.status()).clusterId);
    expect(status.dbSizeBytes).toBeGreaterThan(0);
  });
}
