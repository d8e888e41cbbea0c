import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import {
  LeaseGoneError,
  StoreFullError,
  StoreUnavailableError,
  type Write,
} from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { decodeRecord } from '../../../control-plane/store/records.ts';
import { commitOnce, type Operation, OpLeases } from '../../../control-plane/store/transact.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { UnreliableStore } from './unreliable-store.ts';

const KEY = '/test/a';

let clock: ManualClock;
let memory: MemoryStore;
let store: UnreliableStore;
let leases: OpLeases;

beforeEach(() => {
  clock = new ManualClock();
  memory = new MemoryStore({ clock });
  store = new UnreliableStore(memory);
  leases = new OpLeases({ store, clock });
});

function operation(change: Partial<Operation> = {}): Operation {
  const writes: Write[] = [{ type: 'put', key: KEY, value: 'mine' }];
  return { opId: 'op', leases, by: 'r1', compares: [{ key: KEY, modRevision: 0 }], writes, ...change };
}

/** Lets retries and deadlines come while `work` goes on. */
async function whileTimePasses<T>(work: Promise<T>): Promise<T> {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  ended.catch(() => undefined);
  for (let step = 0; step < 100 && !over; step++) await clock.advance(500);
  return ended;
}

async function opsOf(prefix = ''): Promise<[string, boolean][]> {
  const { keyValues } = await memory.range({ prefix: keys.op(prefix) });
  return keyValues.map(({ key, value }) => [key, decodeRecord('ops', key, value).aborted]);
}

async function valueUnder(key: string): Promise<string | null> {
  return (await memory.get(key)).keyValue?.value ?? null;
}

test('an operation leaves its record, on a lease, at the revision of its writes', async () => {
  const result = await commitOnce(store, operation());
  const { keyValue } = await memory.get(keys.op('op'));
  expect(result).toEqual({ committed: true, revision: keyValue?.modRevision });
  expect(keyValue?.lease).not.toBe(null);
  expect((await memory.get(KEY)).keyValue?.modRevision).toBe(result.revision);
});

test('a compare that fails is reported with what stands there, and leaves no record', async () => {
  await memory.transact({ compares: [], writes: [{ type: 'put', key: KEY, value: 'theirs' }] });
  const result = await commitOnce(store, operation());
  expect(result).toMatchObject({ committed: false, observed: [{ key: KEY, value: 'theirs' }] });
  expect(await opsOf()).toEqual([]);
});

describe('when the outcome is unknown', () => {
  test('a lost answer is found, even after the value was overwritten', async () => {
    store.mishaps.push('answer-lost');
    store.beforeTransact = async ({ writes }) => {
      if (writes.length === 1)
        await memory.transact({ compares: [], writes: [{ type: 'put', key: KEY, value: 'later' }] });
    };
    const result = await whileTimePasses(commitOnce(store, operation()));
    const mine = (await memory.get(keys.op('op'))).keyValue?.modRevision;
    expect(result).toEqual({ committed: true, revision: mine });
    expect(await valueUnder(KEY)).toBe('later');
  });

  test('a request that never arrived is tried anew under another id', async () => {
    store.mishaps.push('never-arrives');
    expect((await whileTimePasses(commitOnce(store, operation()))).committed).toBe(true);
    expect(await opsOf()).toEqual([
      [keys.op('op'), true],
      [keys.op('op.1'), false],
    ]);
  });

  test('a request that arrives after it was given up does nothing', async () => {
    store.mishaps.push('late');
    const { revision } = await whileTimePasses(commitOnce(store, operation({ compares: [] })));
    const [late] = await store.deliverLate();
    expect(late?.committed).toBe(false);
    expect((await memory.get(KEY)).keyValue?.modRevision).toBe(revision);
  });

  test('a compare that failed in silence is reported as failed', async () => {
    await memory.transact({ compares: [], writes: [{ type: 'put', key: KEY, value: 'theirs' }] });
    store.mishaps.push('answer-lost');
    const result = await whileTimePasses(commitOnce(store, operation()));
    expect(result).toMatchObject({ committed: false, observed: [{ value: 'theirs' }] });
  });

  test('the answer to the question may get lost as well', async () => {
    store.mishaps.push('answer-lost', 'never-arrives', 'answer-lost', 'never-arrives');
    const result = await whileTimePasses(commitOnce(store, operation()));
    expect(result.committed).toBe(true);
    expect(await opsOf()).toEqual([[keys.op('op'), false]]);
  });

  test('a tombstone of our own whose answer was lost counts', async () => {
    store.mishaps.push('never-arrives', 'answer-lost');
    expect((await whileTimePasses(commitOnce(store, operation()))).committed).toBe(true);
    expect(await opsOf()).toEqual([
      [keys.op('op'), true],
      [keys.op('op.1'), false],
    ]);
  });

  test('a store that stays away leaves it unknown, and says so, within its deadline', async () => {
    await leases.opsLease();
    store.mishaps.push('answer-lost', ...Array.from({ length: 1000 }, () => 'never-arrives' as const));
    const begunMs = clock.monotonicMs();
    const outcome = whileTimePasses(commitOnce(store, operation()));
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow('outcome of operation op is unknown');
    expect(clock.monotonicMs() - begunMs).toBeLessThan(20_000);
    expect(await valueUnder(KEY)).toBe('mine');
  });

  test('what is given up again and again was not written, and the error says so', async () => {
    await leases.opsLease();
    store.mishaps.push('never-arrives');
    store.beforeTransact = async () => {
      // Every tombstone arrives, every attempt does not.
      store.mishaps.push('never-arrives');
    };
    await expect(whileTimePasses(commitOnce(store, operation()))).rejects.toThrow('nothing was written');
    expect(await valueUnder(KEY)).toBe(null);
    expect((await opsOf()).every(([, aborted]) => aborted)).toBe(true);
  });

  test('a record that may have gone with its lease proves nothing', async () => {
    const lease = await leases.opsLease();
    store.mishaps.push('answer-lost');
    store.beforeTransact = async ({ writes }) => {
      if (writes.length === 1) await memory.revokeLease(lease);
    };
    const outcome = whileTimePasses(commitOnce(store, operation()));
    await expect(outcome).rejects.toThrow('outcome of operation op is unknown');
    expect(await valueUnder(KEY)).toBe('mine');
  });
});

describe('when the store says that it is full', () => {
  test('an operation that it carried out all the same is found', async () => {
    store.mishaps.push('full-but-written');
    const result = await commitOnce(store, operation());
    expect(result).toEqual({ committed: true, revision: (await memory.get(KEY)).keyValue?.modRevision });
  });

  test('an operation that it refused is reported so, and was not written', async () => {
    store.mishaps.push('full');
    await expect(whileTimePasses(commitOnce(store, operation()))).rejects.toThrow(StoreFullError);
    expect([await valueUnder(KEY), await opsOf()]).toEqual([null, []]);
  });

  test('an operation whose answer was lost is found without writing anything', async () => {
    store.mishaps.push('answer-lost', ...Array.from({ length: 1000 }, () => 'full' as const));
    expect((await whileTimePasses(commitOnce(store, operation()))).committed).toBe(true);
  });

  test('an operation that may be on its way stays unknown', async () => {
    store.mishaps.push('late', ...Array.from({ length: 1000 }, () => 'full' as const));
    const outcome = whileTimePasses(commitOnce(store, operation()));
    await expect(outcome).rejects.toThrow('outcome of operation op is unknown');
    store.mishaps.splice(0);
    expect(await store.deliverLate()).toMatchObject([{ committed: true }]);
  });

  test('what it answers while it is away counts when it is back', async () => {
    await leases.opsLease();
    store.mishaps.push('full-but-written');
    store.beforeTransact = async () => {
      store.away = true;
    };
    const outcome = commitOnce(store, operation());
    await clock.advance(1000);
    store.away = false;
    expect((await whileTimePasses(outcome)).committed).toBe(true);
  });
});

describe('the leases of answers', () => {
  const KEYS_PER_LEASE = 500;

  test('end before their time when there are more answers than are kept, the oldest first', async () => {
    leases = new OpLeases({ store, clock, answersMax: 3 * KEYS_PER_LEASE });
    for (let at = 0; at < 5 * KEYS_PER_LEASE; at += 1) {
      const lease = await leases.answersLease();
      await store.transact({ compares: [], writes: [{ type: 'put', key: `/answers/${at}`, value: '', lease }] });
    }
    await clock.advance(1000);
    const left: string[] = [];
    for (let after = '/answers/'; ; after = left.at(-1) ?? '') {
      const { keyValues, more } = await memory.range({ prefix: '/answers/', after });
      left.push(...keyValues.map(({ key }) => key));
      if (!more) break;
    }
    expect(left).toHaveLength(3 * KEYS_PER_LEASE);
    expect(left).toContain(`/answers/${5 * KEYS_PER_LEASE - 1}`);
    expect(left).not.toContain('/answers/0');
    expect(left).not.toContain(`/answers/${2 * KEYS_PER_LEASE - 1}`);
  });
});

describe('the leases of operations', () => {
  test('are granted when first needed, once, however many ask', async () => {
    const [first, second] = await Promise.all([leases.opsLease(), leases.opsLease()]);
    expect(first).toBe(second);
    expect(await leases.answersLease()).not.toBe(first);
  });

  test('keep every key for the time that was promised, and not for ever', async () => {
    leases = new OpLeases({ store, clock, opsKeepSeconds: 100 });
    const goneAfterMs = new Map<string, number>();
    const begunMs = clock.now();
    for (let at = 0; at < 60; at += 5) {
      await commitOnce(store, operation({ opId: `at-${at}`, compares: [], writes: [] }));
      await clock.advance(5000);
    }
    for (let left = await opsOf(); left.length > 0; left = await opsOf()) {
      for (const [key] of left) goneAfterMs.set(key, clock.now() - begunMs);
      await clock.advance(1000);
    }
    for (let at = 0; at < 60; at += 5) {
      const livedSeconds = (goneAfterMs.get(keys.op(`at-${at}`)) ?? 0) / 1000 + 1 - at;
      expect(livedSeconds).toBeGreaterThanOrEqual(100);
      expect(livedSeconds).toBeLessThanOrEqual(126);
    }
  });

  test('are replaced before they hold too many keys', async () => {
    const taken = new Set<string>();
    for (let count = 0; count < 1001; count++) taken.add(await leases.opsLease());
    expect(taken.size).toBe(3);
  });

  test('are asked for again after the store could not grant one', async () => {
    store.away = true;
    await expect(leases.opsLease()).rejects.toThrow(StoreUnavailableError);
    store.away = false;
    expect(await leases.opsLease()).toEqual(expect.any(String));
  });

  test('are replaced when they were lost, in the writes as well', async () => {
    const [ops, answers] = [await leases.opsLease(), await leases.answersLease()];
    await memory.revokeLease(ops);
    await memory.revokeLease(answers);
    const writes: Write[] = [{ type: 'put', key: KEY, value: 'answer', lease: answers }];
    expect((await commitOnce(store, operation({ writes }))).committed).toBe(true);
    const { keyValue } = await memory.get(KEY);
    expect(keyValue?.lease).toBe(await leases.answersLease());
    expect(keyValue?.lease).not.toBe(answers);
  });

  test('a lease of somebody else that has ended is not replaced', async () => {
    const writes: Write[] = [{ type: 'put', key: KEY, value: '', lease: '424242' }];
    await expect(commitOnce(store, operation({ writes }))).rejects.toThrow(LeaseGoneError);
    expect(await valueUnder(KEY)).toBe(null);
  });
});
