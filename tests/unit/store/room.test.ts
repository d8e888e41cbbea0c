import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { type Store, type StoreMember, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { IN_USE_SHARE_MAX, SIZE_SHARE_MAX, StoreRoom } from '../../../control-plane/store/room.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const QUOTA = 1000;

function member(dbSizeBytes: number, dbSizeInUseBytes: number | null): StoreMember {
  return { name: `member-${dbSizeBytes}`, isLeader: false, dbSizeBytes, dbSizeInUseBytes };
}

/** A store with these members, or whose members don't all answer. */
function storeWith(members: readonly StoreMember[] | 'away', clock = new ManualClock()): Store {
  const memory = new MemoryStore({ clock });
  const list = async () => {
    if (members === 'away') throw new StoreUnavailableError('a member does not answer');
    return members;
  };
  return new Proxy<Store>(memory, {
    get(target, name) {
      if (name === 'maintenance') return { members: list, defragment: async () => true };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function roomOf(...members: readonly StoreMember[]): Promise<StoreRoom> {
  const room = new StoreRoom({ store: storeWith(members), clock: new ManualClock(), quotaBytes: QUOTA });
  await room.read();
  return room;
}

describe('the room in a store', () => {
  it.each([
    { size: 700, inUse: QUOTA * IN_USE_SHARE_MAX - 1, tight: false },
    { size: 900, inUse: QUOTA * IN_USE_SHARE_MAX, tight: true },
    { size: QUOTA * SIZE_SHARE_MAX - 1, inUse: 10, tight: false },
    { size: QUOTA * SIZE_SHARE_MAX, inUse: 10, tight: true },
    { size: 799, inUse: null, tight: false },
    { size: 800, inUse: null, tight: true },
  ])('with $inUse in use in a file of $size of 1000 is tight: $tight', async ({ size, inUse, tight }) => {
    expect((await roomOf(member(size, inUse))).isTight).toBe(tight);
  });

  it('is that of the member that has least', async () => {
    const room = await roomOf(member(100, 90), member(900, 20), member(300, 200));
    expect(room.size).toEqual({ sizeBytes: 900, inUseBytes: 200 });
  });

  it('counts as enough before it is known', () => {
    const room = new StoreRoom({ store: storeWith([member(999, 999)]), clock: new ManualClock(), quotaBytes: QUOTA });
    expect(room.isTight).toBe(false);
  });

  it('is taken from the one that answers while another is away', async () => {
    const room = new StoreRoom({ store: storeWith('away'), clock: new ManualClock(), quotaBytes: QUOTA });
    expect(await room.read()).toEqual({ sizeBytes: 0, inUseBytes: 0 });
  });

  it('is read over and over, also after the store was away', async () => {
    const clock = new ManualClock();
    const memory = new MemoryStore({ clock });
    let isAway = true;
    const members = async () => {
      if (isAway) throw new StoreUnavailableError('away');
      return [member(950, 10)];
    };
    const status = async () => {
      if (isAway) throw new StoreUnavailableError('away');
      return memory.status();
    };
    const changed = { maintenance: { members, defragment: async () => true }, status };
    const store = new Proxy<Store>(memory, {
      get: (target, name) => Reflect.get(name in changed ? changed : target, name),
    });
    const room = new StoreRoom({ store, clock, quotaBytes: QUOTA });
    const end = new AbortController();
    const kept = room.keep(end.signal);
    await clock.advance(10_000);
    expect(room.size).toBeNull();
    isAway = false;
    await clock.advance(10_000);
    expect(room.size?.sizeBytes).toBe(950);
    end.abort();
    await kept;
  });
});
