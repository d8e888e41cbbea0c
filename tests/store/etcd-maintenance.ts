/** etcd's databases, member by member, as an adapter sees them: how large they are, what of it is free, and how it is given back. */
import { Etcd3, Range } from 'etcd3';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { DEFRAGMENTATION_DEFAULTS, memberToDefragment } from '../../control-plane/controllers/defragmentation.ts';
import { type Store, type StoreMaintenance, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { StoreRoom } from '../../control-plane/store/room.ts';
import { present } from '../../shared/util/assert.ts';
import { startEtcd, startMembers, type TestEtcd } from '../support/etcd.ts';
import { eventually } from '../support/processes.ts';
import { put, write } from './conformance/harness.ts';
import type { SettingsOptions } from './etcd-settings.ts';

const MIB = 1024 ** 2;
/** Much less than what a call may take. */
const QUICKLY_MS = 10_000;

/** Runs the suite over an adapter that reaches etcd by TCP connections to its hosts. */
export function etcdMaintenance(connect: (options: SettingsOptions) => Store): void {
  const cleanups: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  function storeOf(members: readonly TestEtcd[]): Store {
    const store = connect({ hosts: members.map(({ url }) => url), requestTimeoutMs: 2000 });
    cleanups.push(() => store.close(), ...members.map((member) => () => member.stop()));
    cleanups.reverse();
    return store;
  }

  describe('a database that was full once', () => {
    test('is as large as ever until it is defragmented, and says how much of it is free', async () => {
      const store = storeOf([await startEtcd()]);
      await fillAndEmpty(store, 30);
      const [emptied] = await maintenanceOf(store).members();
      expect(emptied?.dbSizeBytes).toBeGreaterThan(25 * MIB);
      expect(await maintenanceOf(store).defragment(emptied?.name ?? '')).toBe(true);
      const [after] = await maintenanceOf(store).members();
      expect(after?.dbSizeBytes).toBeLessThan(5 * MIB);
    });
  });

  test('the size is read from whoever answers while a member stands still', { timeout: QUICKLY_MS }, async () => {
    const members = await startMembers(3);
    const store = connect({ hosts: members.map(({ url }) => url), requestTimeoutMs: 60_000 });
    cleanups.push(...members.map((member) => () => member.stop()), () => store.close());
    const room = new StoreRoom({ store, clock: new SystemClock(), quotaBytes: 1024 * MIB });
    await room.read();
    const leads = await Promise.all(members.map((member) => member.isLeader()));
    members.find((_, at) => !leads[at])?.pause();
    // Calls that find the one that stands still by chance take long; a reading after that goes to the others.
    const readings = Array.from({ length: 20 }, () => room.read());
    expect((await Promise.race(readings)).sizeBytes).toBeGreaterThan(0);
  });

  describe('several members', () => {
    const options = { ...DEFRAGMENTATION_DEFAULTS, quotaBytes: 1024 * MIB, sizeMinBytes: 10 * MIB };

    test('are defragmented one after the other, the leader last', async () => {
      const store = storeOf(await startMembers(3));
      await fillAndEmpty(store, 20);
      const room = new StoreRoom({ store, clock: new SystemClock(), quotaBytes: 1024 * MIB });
      expect((await room.read()).sizeBytes).toBeGreaterThan(15 * MIB);
      const order: boolean[] = [];
      for (;;) {
        const next = memberToDefragment(await maintenanceOf(store).members(), options);
        if (next === null) break;
        order.push(next.isLeader);
        expect(await maintenanceOf(store).defragment(next.name)).toBe(true);
      }
      expect(order).toEqual([false, false, true]);
      expect((await room.read()).sizeBytes).toBeLessThan(5 * MIB);
    });

    test('are left alone while one of them is away, whose size is taken from those that answer', async () => {
      const [first, ...others] = await startMembers(3);
      if (first === undefined) throw new Error('there is a member');
      const store = storeOf([first, ...others]);
      const room = new StoreRoom({ store, clock: new SystemClock(), quotaBytes: 1024 * MIB });
      await write(store, put('/some/value', 'x'.repeat(MIB)));
      await first.kill();
      await expect(maintenanceOf(store).members()).rejects.toThrow(StoreUnavailableError);
      await eventually('a member that lives to tell its size', async () => (await room.read()).sizeBytes > MIB);
    });
  });

  describe('a user who is not root', () => {
    test('is told the sizes, and may not defragment', async () => {
      const etcd = await startEtcd();
      cleanups.push(() => etcd.stop());
      const password = 'correct horse';
      const admin = new Etcd3({ hosts: etcd.url });
      await admin.role('root').create();
      await (await admin.user('root').create(password)).addRole('root');
      const role = await admin.role('berth').create();
      await role.grant({ permission: 'Readwrite', range: Range.prefix('/berth/') });
      await (await admin.user('berth').create(password)).addRole('berth');
      await admin.auth.authEnable();
      admin.close();
      const outcomes = ['berth', 'root'].map(async (username) => {
        const store = connect({ hosts: [etcd.url], auth: { username, password } });
        cleanups.push(() => store.close());
        expect((await maintenanceOf(store).members()).map(({ name }) => name)).toEqual([etcd.url]);
        return maintenanceOf(store).defragment(etcd.url);
      });
      expect(await Promise.all(outcomes)).toEqual([false, true]);
    });
  });
}

/** Leaves a database of which almost all is free. */
async function fillAndEmpty(store: Store, mebibytes: number): Promise<void> {
  for (let at = 0; at < mebibytes; at += 1) await write(store, put('/big/value', 'x'.repeat(MIB)));
  const revision = await write(store, { type: 'delete', key: '/big/value' });
  await store.compact(revision);
  // Pages become free with the writes that follow.
  await eventually('all members to know what is free', async () => {
    await write(store, put('/small/value', ''));
    const members = await maintenanceOf(store).members();
    return members.every(({ dbSizeInUseBytes }) => (dbSizeInUseBytes ?? 0) < 5 * MIB);
  });
}

function maintenanceOf({ maintenance }: Store): StoreMaintenance {
  return present(maintenance, 'maintenance');
}
