import { beforeEach, expect, test } from 'vitest';
import { LeaseGoneError } from '../../../control-plane/store/contract.ts';
import { Collector, eventually, put, type Subject, write } from './harness.ts';

export function leasingTests(subject: () => Subject): void {
  let prefix = '';
  beforeEach(() => {
    prefix = subject().prefix();
  });

  const isGone = async (key: string) => (await subject().store.get(key)).keyValue === null;

  test('a key shows its lease, and goes with it all at one revision', async () => {
    const { store } = subject();
    const lease = await store.grantLease(1);
    const keys = [`${prefix}b`, `${prefix}a`, `${prefix}c`];
    const revision = await write(store, ...keys.map((key) => put(key, '', lease)));
    expect((await store.get(`${prefix}a`)).keyValue?.lease).toBe(lease);
    const watch = new Collector(store, prefix, revision + 1);
    await eventually(subject(), 'the end of the lease', () => watch.events.length >= 3);
    expect(watch.described).toEqual(
      ['a', 'b', 'c'].map((name) => `delete ${prefix}${name}@${watch.batches.at(-1)?.revision}`),
    );
    expect(await watch.stop()).toBe(null);
  });

  test('a lease that is kept alive outlives its time', async () => {
    const { store } = subject();
    const lease = await store.grantLease(2);
    await write(store, put(`${prefix}a`, '', lease));
    for (let round = 0; round < 12; round++) {
      expect(await store.keepLeaseAlive(lease)).toBe(true);
      await subject().tick(300);
    }
    expect(await isGone(`${prefix}a`)).toBe(false);
    await store.revokeLease(lease);
  });

  test('of a lease it is known how long it was not kept alive, until it ends', async () => {
    const { store } = subject();
    const lease = await store.grantLease(4);
    await write(store, put(`${prefix}a`, '', lease));
    const isSilentFor = async (seconds: number) => ((await store.leaseSilenceSeconds(lease)) ?? 0) >= seconds;
    expect(await isSilentFor(2)).toBe(false);
    await eventually(subject(), 'a second of silence', () => isSilentFor(2));
    expect(await store.keepLeaseAlive(lease)).toBe(true);
    expect(await isSilentFor(2)).toBe(false);
    await eventually(subject(), 'its end', async () => (await store.leaseSilenceSeconds(lease)) === null);
    await eventually(subject(), 'the end of its key', () => isGone(`${prefix}a`));
  });

  test('a revoked lease takes its keys at once; revoking again is harmless', async () => {
    const { store } = subject();
    const lease = await store.grantLease(60);
    await write(store, put(`${prefix}a`, '', lease), put(`${prefix}b`, ''));
    await store.revokeLease(lease);
    expect((await store.range({ prefix })).keyValues.map((keyValue) => keyValue.key)).toEqual([`${prefix}b`]);
    await store.revokeLease(lease);
  });

  test('a lease that has ended can neither be kept alive nor be used', async () => {
    const { store } = subject();
    const lease = await store.grantLease(60);
    await store.revokeLease(lease);
    expect(await store.keepLeaseAlive(lease)).toBe(false);
    const late = store.transact({ compares: [], writes: [put(`${prefix}a`, '', lease)] });
    await expect(late).rejects.toThrow(LeaseGoneError);
    expect(await isGone(`${prefix}a`)).toBe(true);
  });

  test('a key that is put again leaves its old lease', async () => {
    const { store } = subject();
    const [first, second] = [await store.grantLease(60), await store.grantLease(60)];
    await write(store, put(`${prefix}a`, '1', first), put(`${prefix}b`, '1', first), put(`${prefix}c`, '1', first));
    await write(store, put(`${prefix}a`, '2'), put(`${prefix}b`, '2', second));
    await store.revokeLease(first);
    const left = (await store.range({ prefix })).keyValues.map((keyValue) => [keyValue.key, keyValue.lease]);
    expect(left).toEqual([
      [`${prefix}a`, null],
      [`${prefix}b`, second],
    ]);
    await store.revokeLease(second);
    expect(await isGone(`${prefix}b`)).toBe(true);
  });

  test('a key that was deleted before its lease ended is deleted once', async () => {
    const { store } = subject();
    const lease = await store.grantLease(60);
    const revision = await write(store, put(`${prefix}a`, '', lease));
    await write(store, { type: 'delete', key: `${prefix}a` });
    await store.revokeLease(lease);
    const last = await write(store, put(`${prefix}b`, ''));
    const watch = new Collector(store, prefix, revision);
    await eventually(subject(), 'the last write', () => watch.batches.at(-1)?.revision === last);
    expect(watch.described).toEqual([
      `put ${prefix}a=@${revision}`,
      `delete ${prefix}a@${revision + 1}`,
      `put ${prefix}b=@${last}`,
    ]);
    await watch.stop();
  });

  test('each lease has an id of its own', async () => {
    const { store } = subject();
    const leases = await Promise.all(Array.from({ length: 10 }, () => store.grantLease(60)));
    expect(new Set(leases).size).toBe(10);
    await Promise.all(leases.map((lease) => store.revokeLease(lease)));
  });
}
