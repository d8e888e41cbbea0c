import { afterEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import {
  DEFRAGMENTATION_DEFAULTS,
  type DefragmentationOptions,
  memberToDefragment,
} from '../../../control-plane/controllers/defragmentation.ts';
import { Defragmenter } from '../../../control-plane/controllers/defragmenter.ts';
import {
  type Store,
  type StoreMaintenance,
  type StoreMember,
  StoreUnavailableError,
} from '../../../control-plane/store/contract.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { startReplica, type TestReplica } from '../../support/replica.ts';

const MIB = 1024 ** 2;
const OPTIONS: DefragmentationOptions = { ...DEFRAGMENTATION_DEFAULTS, quotaBytes: 1000 * MIB };

function member(name: string, size: number, inUse: number | null, isLeader = false): StoreMember {
  return { name, isLeader, dbSizeBytes: size * MIB, dbSizeInUseBytes: inUse === null ? null : inUse * MIB };
}

describe('a member that is worth being defragmented', () => {
  it.each([
    { size: 63, inUse: 0, expected: null },
    { size: 64, inUse: 32, expected: 'a' },
    { size: 64, inUse: 33, expected: null },
    { size: 749, inUse: 590, expected: null },
    { size: 750, inUse: 600, expected: 'a' },
    { size: 750, inUse: 601, expected: null },
    { size: 900, inUse: null, expected: null },
    { size: 949, inUse: 949, expected: null },
    { size: 950, inUse: 950, expected: 'a' },
  ])('has $inUse MiB in use in a file of $size: $expected', ({ size, inUse, expected }) => {
    expect(memberToDefragment([member('a', size, inUse)], OPTIONS)?.name ?? null).toBe(expected);
  });

  it('is the one with most to gain, and the leader only when there is no other', () => {
    const leader = member('leader', 900, 10, true);
    const [small, large] = [member('small', 100, 10), member('large', 400, 10)];
    expect(memberToDefragment([leader, small, large], OPTIONS)?.name).toBe('large');
    expect(memberToDefragment([leader, small], OPTIONS)?.name).toBe('small');
    expect(memberToDefragment([leader], OPTIONS)?.name).toBe('leader');
    expect(memberToDefragment([], OPTIONS)).toBeNull();
  });
});

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function defragmenterOver(maintenance: StoreMaintenance | undefined) {
  const clock = new ManualClock();
  const replica = await startReplica({ store: new MemoryStore({ clock }), clock });
  replicas.push(replica);
  const store = new Proxy<Store>(replica.ctx.store, {
    get: (target, name) => (name === 'maintenance' ? maintenance : Reflect.get(target, name, target)),
  });
  return { clock, defragmenter: new Defragmenter({ ...replica.ctx, store }, OPTIONS) };
}

describe('the defragmenter', () => {
  const WORTH_IT = [member('a', 100, 1), member('b', 100, 1)];

  it('takes one member at a time, far apart, however often it is told to look', async () => {
    const begun: string[] = [];
    let finish = () => {};
    const { clock, defragmenter } = await defragmenterOver({
      members: async () => WORTH_IT,
      defragment: (name) => {
        begun.push(name);
        return new Promise((resolve) => {
          finish = () => resolve(true);
        });
      },
    });
    const look = async (afterMs: number) => {
      await clock.advance(afterMs);
      defragmenter.look();
      await settle();
      return begun.length;
    };
    expect(await look(0)).toBe(1);
    expect(await look(2 * OPTIONS.intervalMs)).toBe(1);
    finish();
    await settle();
    expect(await look(OPTIONS.intervalMs - 1)).toBe(1);
    expect(await look(1)).toBe(2);
  });

  it('waits as long after one that failed, or that it may not do', async () => {
    for (const outcome of [false, new StoreUnavailableError('it took too long')]) {
      let tries = 0;
      const { clock, defragmenter } = await defragmenterOver({
        members: async () => WORTH_IT,
        defragment: async () => {
          tries += 1;
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
      });
      for (const afterMs of [0, OPTIONS.intervalMs - 1]) {
        await clock.advance(afterMs);
        defragmenter.look();
        await settle();
      }
      expect(tries).toBe(1);
      await clock.advance(1);
      defragmenter.look();
      await settle();
      expect(tries).toBe(2);
    }
  });

  it('does nothing while a member is away, and nothing at all where there are none', async () => {
    const away = await defragmenterOver({
      members: async () => {
        throw new StoreUnavailableError('a member is away');
      },
      defragment: async () => {
        throw new Error('no member is to be defragmented');
      },
    });
    away.defragmenter.look();
    await settle();
    const none = await defragmenterOver(undefined);
    none.defragmenter.look();
    await settle();
    expect(none.clock.pending + away.clock.pending).toBe(0);
  });
});
