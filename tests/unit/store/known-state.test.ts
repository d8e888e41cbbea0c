/** Mirrors that stand still between requests, over one state that they share. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { KnownState } from '../../../control-plane/store/known-state.ts';
import { Mirror } from '../../../control-plane/store/mirror.ts';
import { putRecord, RecordError } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { UnreliableStore } from './unreliable-store.ts';

let clock: ManualClock;
let memory: MemoryStore;
let store: UnreliableStore;
let known: KnownState;
let requests: AbortController[];
let watches: number;
let lists: number;

beforeEach(async () => {
  clock = new ManualClock();
  memory = new MemoryStore({ clock });
  store = new UnreliableStore(memory);
  requests = [];
  watches = 0;
  lists = 0;
  await begin(1);
  known = new KnownState(await Snapshot.load(memory), 1000);
});
afterEach(() => {
  for (const request of requests) request.abort();
});

function mirrorOf(state = known): Mirror {
  const counted = changed(store, {
    range: (request) => {
      lists += 1;
      return store.range(request);
    },
    watch: (request) => {
      watches += 1;
      return store.watch(request);
    },
  });
  return Mirror.of(state, { store: counted, clock, log: SILENT_LOGGER });
}

/** One more request that has come to the present; `end` is its end. */
async function request(mirror = mirrorOf()): Promise<{ mirror: Mirror; end: () => void }> {
  const over = new AbortController();
  requests.push(over);
  await mirror.resume(over.signal);
  return { mirror, end: () => over.abort() };
}

async function begin(incarnation: number): Promise<void> {
  const record = { id: 'c', incarnation, formatVersion: 1 as const };
  await memory.transact({ compares: [], writes: [putRecord('cluster', keys.cluster, record)] });
}

/** Raises the node's epoch; returns the revision. */
async function raise(epoch: number, node = 'n1'): Promise<number> {
  const write = putRecord('epochs', keys.epoch(node), { epoch, unreachableSinceMs: null });
  return (await memory.transact({ compares: [], writes: [write] })).revision;
}

async function expectSameAsStore(mirror: Mirror): Promise<void> {
  const read = await Snapshot.load(memory);
  expect(mirror.revision).toBe(read.revision);
  expect(mirror.snapshot.differences(read)).toEqual([]);
}

test('a request for which nothing has changed asks once and follows nothing', async () => {
  const { mirror } = await request();
  await expectSameAsStore(mirror);
  expect([watches, lists]).toEqual([0, 0]);
});

test('a request comes to the present by what has changed, without a list', async () => {
  for (let epoch = 1; epoch <= 20; epoch++) await raise(epoch, `n${epoch % 3}`);
  await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.epoch('n1') }] });
  const { mirror } = await request();
  await expectSameAsStore(mirror);
  expect([watches, lists]).toEqual([1, 0]);
});

test('what one request has seen the next one knows, and again one mirror serves many', async () => {
  await raise(1);
  const first = await request();
  first.end();
  await settle();
  expect((await request(first.mirror)).mirror.snapshot.epochOf('n1')).toBe(1);
  expect(watches).toBe(1);
  await raise(2);
  expect((await request()).mirror.snapshot.epochOf('n1')).toBe(2);
  expect([watches, lists]).toEqual([2, 0]);
});

test('a request that waits follows from then on, and one that has ended follows no more', async () => {
  const { mirror, end } = await request();
  const waiting = mirror.waitFor(mirror.revision + 1, { timeoutMs: 1000 });
  await raise(1);
  expect(await waiting).toBe(true);
  end();
  await settle();
  const revision = await raise(2);
  await settle();
  expect(mirror.revision).toBe(revision - 1);
  expect(await mirror.waitFor(revision, { timeoutMs: 1000 })).toBe(false);
});

test('of two requests each hears of every change once, by its own watch, whoever moved the state along', async () => {
  const held: (() => void)[] = [];
  const late = changed(store, {
    async *watch(asked) {
      for await (const batch of store.watch(asked)) {
        await new Promise<void>((resolve) => held.push(resolve));
        yield batch;
      }
    },
  });
  const slow = (await request(Mirror.of(known, { store: late, clock, log: SILENT_LOGGER }))).mirror;
  const fast = (await request()).mirror;
  const heard: Record<string, string[]> = { slow: [], fast: [] };
  for (const [name, mirror] of Object.entries({ slow, fast })) {
    mirror.follow();
    mirror.subscribe((changes, revision, reset) => {
      heard[name]?.push(...changes.map(({ id, after }) => `${id} ${JSON.stringify(after)}@${revision}${reset}`));
    });
  }
  await settle();
  await raise(1);
  const revision = await raise(2, 'n2');
  await fast.waitFor(revision, { timeoutMs: 1000 });
  expect([heard['fast']?.length, heard['slow']]).toEqual([2, []]);
  expect(slow.revision).toBe(revision);
  while (heard['slow']?.length !== 2) {
    held.shift()?.();
    await settle();
  }
  expect(heard['slow']).toEqual(heard['fast']);
  held.shift()?.();
  await settle();
  expect(heard['slow']).toHaveLength(2);
  await expectSameAsStore(slow);
});

test('whoever hears of records that are not kept hears of each once, by its own watch, and of none from before', async () => {
  const note = async (id: string) => {
    const write = { type: 'put', key: keys.audit(id), value: '{"v":1}' } as const;
    return (await memory.transact({ compares: [], writes: [write] })).revision;
  };
  await note('early');
  const heard: Record<string, string[]> = { first: [], second: [] };
  const mirrors = { first: (await request()).mirror, second: (await request()).mirror };
  const seen = await note('before');
  await mirrors.first.waitFor(seen, { timeoutMs: 1000 });
  for (const [name, mirror] of Object.entries(mirrors)) {
    mirror.hear('audit', (keyValue) => heard[name]?.push(keyValue?.key.split('/').at(-1) ?? 'lost'));
  }
  await note('a');
  await mirrors.second.waitFor(await note('b'), { timeoutMs: 1000 });
  await settle();
  expect(heard).toEqual({ first: ['a', 'b'], second: ['a', 'b'] });
  await memory.compact(await raise(1));
  store.away = true;
  store.breakWatches();
  await note('missed');
  await memory.compact(await raise(2));
  store.away = false;
  await clock.advance(5000);
  await note('c');
  await clock.advance(5000);
  expect(heard).toEqual({ first: ['a', 'b', 'lost', 'c'], second: ['a', 'b', 'lost', 'c'] });
});

test('a listener is told nothing that it could read when it began to listen', async () => {
  const idle = mirrorOf();
  const { mirror } = await request();
  await mirror.waitFor(await raise(1), { timeoutMs: 1000 });
  expect(idle.behind).toBe(1);
  const heard: number[] = [];
  idle.subscribe((_changes, revision) => heard.push(revision));
  expect([idle.behind, heard]).toEqual([0, []]);
});

test('a request that begins to follow hears at once of what others have seen since it began', async () => {
  const { mirror } = await request();
  const heard: string[] = [];
  mirror.subscribe((changes) => heard.push(...changes.map(({ id }) => id)));
  const other = (await request()).mirror;
  await other.waitFor(await raise(1), { timeoutMs: 1000 });
  expect([mirror.revision, heard]).toEqual([other.revision, []]);
  mirror.follow();
  await settle();
  expect(heard).toEqual(['n1']);
});

test('one that stands still for too long is of no use any more, and keeps nothing', async () => {
  const idle = mirrorOf();
  const { mirror } = await request();
  mirror.follow();
  let revision = 0;
  for (let epoch = 1; epoch <= 10_001; epoch++) revision = await raise(epoch);
  await mirror.waitFor(revision, { timeoutMs: 1000 });
  expect([idle.behind, mirror.behind]).toEqual([Number.POSITIVE_INFINITY, 0]);
});

test('where history was compacted since, the state is listed again, once for all', async () => {
  await raise(1, 'goes');
  const follower = await request();
  follower.end();
  await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.epoch('goes') }] });
  await memory.compact(await raise(2));
  const idle = mirrorOf();
  const told: unknown[] = [];
  idle.subscribe((changes, _revision, reset) => told.push([changes.map(({ id }) => id).sort(), reset]));
  const { mirror } = await request();
  await expectSameAsStore(mirror);
  const listed = lists;
  expect(listed).toBeGreaterThan(0);
  await request(idle);
  expect([lists, told]).toEqual([listed, [[['goes', 'n1'], true]]]);
});

test('a store that went back in time is listed again', async () => {
  await raise(7);
  await raise(8);
  await request();
  const older = new MemoryStore({ clock });
  memory = older;
  await begin(1);
  await raise(5);
  store = new UnreliableStore(older);
  const { mirror } = await request();
  expect(mirror.snapshot.epochOf('n1')).toBe(5);
  await expectSameAsStore(mirror);
});

test('a cluster that was recovered is listed again, however far its store has come', async () => {
  await raise(7);
  await request();
  const restored = new MemoryStore({ clock });
  memory = restored;
  await begin(1);
  await begin(2);
  let revision = 0;
  while (revision <= known.revision + 3) revision = await raise(1, 'n2');
  store = new UnreliableStore(restored);
  const { mirror } = await request();
  expect([mirror.snapshot.epochOf('n1'), mirror.snapshot.incarnation]).toEqual([0, 2]);
  await expectSameAsStore(mirror);
});

test('a record that cannot be read is an answer for each request, and leaves the state as it was', async () => {
  const before = known.revision;
  await memory.transact({ compares: [], writes: [{ type: 'put', key: keys.alive('n1'), value: '{"v":1}' }] });
  const mirror = mirrorOf();
  for (let attempt = 0; attempt < 2; attempt++) await expect(request(mirror)).rejects.toThrow(RecordError);
  expect(known.revision).toBe(before);
  await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('n1') }] });
  // Its history can't be read, but what stands now can.
  await memory.compact(await raise(3));
  await expectSameAsStore((await request(mirror)).mirror);
});

test('a request that ends while the store is away lets go of it', async () => {
  await raise(1);
  const over = new AbortController();
  const mirror = mirrorOf();
  const slow = changed(store, {
    watch: () => store.watch({ prefix: '', fromRevision: 1, signal: AbortSignal.abort() }),
  });
  const stuck = Mirror.of(known, { store: slow, clock, log: SILENT_LOGGER });
  const resuming = expect(stuck.resume(over.signal)).rejects.toThrow('gone');
  await settle();
  over.abort(new Error('gone'));
  await clock.advance(5000);
  await resuming;
  await expectSameAsStore((await request(mirror)).mirror);
});

test('whatever happens between requests, and in whichever order, a mirror equals what is read at its revision', async () => {
  const node = fc.constantFrom('n1', 'n2', 'n3');
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('put' as const), node, epoch: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('delete' as const), node }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('compact' as const) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('recover' as const) }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('begin' as const), at: fc.nat({ max: 2 }) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('end' as const), at: fc.nat({ max: 2 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      memory = new MemoryStore({ clock });
      store = new UnreliableStore(memory);
      await begin(1);
      known = new KnownState(await Snapshot.load(memory), 1000);
      const mirrors = [mirrorOf(), mirrorOf(), mirrorOf()];
      const ends = new Map<number, () => void>();
      let incarnation = 1;
      for (const one of steps) {
        if (one.what === 'put') await raise(one.epoch, one.node);
        else if (one.what === 'delete') {
          await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.epoch(one.node) }] });
        } else if (one.what === 'compact') await memory.compact((await memory.status()).revision);
        else if (one.what === 'recover') await begin(++incarnation);
        else if (one.what === 'end') {
          ends.get(one.at)?.();
          ends.delete(one.at);
          await settle();
        } else if (!ends.has(one.at)) {
          const { revision } = await memory.status();
          const { mirror, end } = await request(mirrors[one.at]);
          ends.set(one.at, end);
          expect(mirror.revision).toBeGreaterThanOrEqual(revision);
          expect(mirror.snapshot.differences(await Snapshot.load(memory, mirror.revision))).toEqual([]);
        }
      }
      for (const end of ends.values()) end();
      await settle();
    }),
    { numRuns: 150 },
  );
});
