import { beforeEach, expect, test } from 'vitest';
import { LeaseGoneError } from '../../../control-plane/store/contract.ts';
import { InvariantError } from '../../../shared/util/assert.ts';
import { committed, put, type Subject, write } from './harness.ts';

export function transactingTests(subject: () => Subject): void {
  let prefix = '';
  beforeEach(() => {
    prefix = subject().prefix();
  });

  test('compares hold on the revision of the last change and on nothing else', async () => {
    const { store } = subject();
    const key = `${prefix}a`;
    const first = await write(store, put(key, 'same'));
    const second = await write(store, put(key, 'same'));
    const late = await store.transact({ compares: [{ key, modRevision: first }], writes: [put(key, 'late')] });
    expect(late.committed).toBe(false);
    committed(await store.transact({ compares: [{ key, modRevision: second }], writes: [put(key, 'in time')] }));
    expect((await store.get(key)).keyValue?.value).toBe('in time');
  });

  test('revision 0 means that the key does not exist, be it never or no more', async () => {
    const { store } = subject();
    const key = `${prefix}a`;
    const create = { compares: [{ key, modRevision: 0 }], writes: [put(key, 'new')] };
    committed(await store.transact(create));
    expect((await store.transact(create)).committed).toBe(false);
    await write(store, { type: 'delete', key });
    committed(await store.transact(create));
  });

  test('all writes happen at one revision', async () => {
    const { store } = subject();
    await write(store, put(`${prefix}c`, '0'));
    const revision = await write(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '2'), {
      type: 'delete',
      key: `${prefix}c`,
    });
    const page = await store.range({ prefix });
    expect(page.revision).toBe(revision);
    expect(page.keyValues.map((keyValue) => [keyValue.value, keyValue.modRevision])).toEqual([
      ['1', revision],
      ['2', revision],
    ]);
  });

  test('one compare that fails stops everything, and shows what stands under each', async () => {
    const { store } = subject();
    const [a, b, c] = [`${prefix}a`, `${prefix}b`, `${prefix}c`];
    const first = await write(store, put(a, '1'));
    const second = await write(store, put(b, '2'));
    const result = await store.transact({
      compares: [
        { key: c, modRevision: 0 },
        { key: b, modRevision: first },
        { key: a, modRevision: first },
      ],
      writes: [put(a, 'no'), { type: 'delete', key: b }, put(c, 'no')],
    });
    expect(result).toEqual({
      committed: false,
      revision: second,
      observed: [
        null,
        { key: b, value: '2', createRevision: second, modRevision: second, lease: null },
        { key: a, value: '1', createRevision: first, modRevision: first, lease: null },
      ],
    });
    expect((await store.range({ prefix })).keyValues.map((keyValue) => keyValue.value)).toEqual(['1', '2']);
  });

  test('of many that compare the same key one wins', async () => {
    const { store } = subject();
    const key = `${prefix}a`;
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        store.transact({ compares: [{ key, modRevision: 0 }], writes: [put(key, String(index))] }),
      ),
    );
    expect(results.filter((result) => result.committed)).toHaveLength(1);
    const winner = results.findIndex((result) => result.committed);
    expect((await store.get(key)).keyValue?.value).toBe(String(winner));
  });

  test('deleting what does not exist succeeds and changes nothing', async () => {
    const { store } = subject();
    const before = await write(store, put(`${prefix}a`, '1'));
    expect(await write(store, { type: 'delete', key: `${prefix}none` })).toBe(before);
    expect((await store.get(`${prefix}a`)).revision).toBe(before);
  });

  test('without compares it always commits; without writes it only compares', async () => {
    const { store } = subject();
    const key = `${prefix}a`;
    const revision = await write(store, put(key, '1'));
    const holds = await store.transact({ compares: [{ key, modRevision: revision }], writes: [] });
    expect(holds).toEqual({ committed: true, revision });
  });

  test('128 compares and 128 writes are taken, one more of either is refused', async () => {
    const { store } = subject();
    const compares = Array.from({ length: 128 }, (_, index) => ({ key: `${prefix}c${index}`, modRevision: 0 }));
    const writes = Array.from({ length: 128 }, (_, index) => put(`${prefix}w${index}`, ''));
    committed(await store.transact({ compares, writes }));
    const compare = { key: `${prefix}c`, modRevision: 0 };
    await expect(store.transact({ compares: [...compares, compare], writes: [] })).rejects.toThrow(InvariantError);
    await expect(store.transact({ compares: [], writes: [...writes, put(prefix, '')] })).rejects.toThrow(
      InvariantError,
    );
  });

  test('more bytes than a transaction takes are refused, and nothing is written', async () => {
    const { store } = subject();
    const writes = [put(`${prefix}a`, 'x'.repeat(800_000)), put(`${prefix}b`, 'x'.repeat(800_000))];
    await expect(store.transact({ compares: [], writes })).rejects.toThrow(InvariantError);
    expect((await store.range({ prefix })).keyValues).toEqual([]);
  });

  test('a key that is written twice is refused', async () => {
    const { store } = subject();
    const key = `${prefix}a`;
    await expect(store.transact({ compares: [], writes: [put(key, '1'), put(key, '2')] })).rejects.toThrow(key);
    const both = store.transact({ compares: [], writes: [put(key, '1'), { type: 'delete', key }] });
    await expect(both).rejects.toThrow(InvariantError);
    expect((await store.get(key)).keyValue).toBe(null);
  });

  test('a lease that does not exist fails the transaction, but only when it would commit', async () => {
    const { store } = subject();
    const [a, b] = [`${prefix}a`, `${prefix}b`];
    const writes = [put(a, '1'), put(b, '2', '123456789')];
    await expect(store.transact({ compares: [], writes })).rejects.toThrow(LeaseGoneError);
    expect((await store.range({ prefix })).keyValues).toEqual([]);
    const lost = await store.transact({ compares: [{ key: a, modRevision: 1 }], writes });
    expect(lost.committed).toBe(false);
  });
}
