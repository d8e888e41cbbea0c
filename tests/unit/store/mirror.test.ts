import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { Mirror, type MirrorOptions } from '../../../control-plane/store/mirror.ts';
import { putRecord, RecordError } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { revisionOf } from '../../store/faults/watches.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { UnreliableStore } from './unreliable-store.ts';

let clock: ManualClock;
let memory: MemoryStore;
let store: UnreliableStore;
let end: AbortController;

beforeEach(() => {
  clock = new ManualClock();
  memory = new MemoryStore({ clock });
  store = new UnreliableStore(memory);
  end = new AbortController();
});

afterEach(() => {
  end.abort();
});

function start(change: Partial<MirrorOptions> = {}): Promise<Mirror> {
  return Mirror.start({ store, clock, signal: end.signal, log: SILENT_LOGGER, ...change });
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

test('a mirror has what was there before it began, and follows what comes', async () => {
  await raise(1);
  const mirror = await start();
  expect(mirror.snapshot.epochOf('n1')).toBe(1);
  const revision = await raise(2);
  expect(await mirror.waitFor(revision, { timeoutMs: 1000 })).toBe(true);
  expect(mirror.snapshot.epochOf('n1')).toBe(2);
  await expectSameAsStore(mirror);
});

test('waiting for a revision ends with the revision, the time, the caller or the mirror', async () => {
  const mirror = await start();
  const next = mirror.revision + 1;
  expect(await mirror.waitFor(mirror.revision, { timeoutMs: 0 })).toBe(true);
  const late = mirror.waitFor(next, { timeoutMs: 1000 });
  await clock.advance(1000);
  expect(await late).toBe(false);
  const caller = new AbortController();
  const left = mirror.waitFor(next, { timeoutMs: 1000, signal: caller.signal });
  caller.abort();
  expect(await left).toBe(false);
  expect(await mirror.waitFor(next, { timeoutMs: 1000, signal: caller.signal })).toBe(false);
  const ended = mirror.waitFor(next, { timeoutMs: 1000 });
  end.abort();
  expect([await ended, await mirror.stopped]).toEqual([false, null]);
  expect(await mirror.waitFor(next, { timeoutMs: 1000 })).toBe(false);
  expect(clock.pending).toBe(0);
});

test('listeners hear of each change once, until they leave', async () => {
  const mirror = await start();
  const heard: string[] = [];
  const leave = mirror.subscribe((changes, revision, reset) => {
    heard.push(`${changes.map((change) => `${change.kind}/${change.id}`).join()}@${revision}${reset ? ' reset' : ''}`);
  });
  const first = await raise(1);
  await mirror.waitFor(first, { timeoutMs: 1000 });
  leave();
  await mirror.waitFor(await raise(2), { timeoutMs: 1000 });
  expect(heard).toEqual([`epochs/n1@${first}`]);
});

test('who missed changes gets them by revision, as far back as they are kept', async () => {
  const mirror = await start({ historyMax: 10 });
  const begun = mirror.revision;
  for (let epoch = 1; epoch <= 15; epoch++) await raise(epoch);
  await mirror.waitFor(begun + 15, { timeoutMs: 1000 });
  const revisions = (since: number) => mirror.changesSince(since)?.map((change) => change.revision - begun) ?? null;
  expect(revisions(begun + 12)).toEqual([13, 14, 15]);
  expect(revisions(begun + 15)).toEqual([]);
  expect(revisions(begun)).toHaveLength(15);
  for (let epoch = 16; epoch <= 40; epoch++) await raise(epoch);
  await mirror.waitFor(begun + 40, { timeoutMs: 1000 });
  expect(revisions(begun)).toBe(null);
  const { oldestRevision } = mirror;
  expect(oldestRevision).toBeLessThanOrEqual(begun + 30);
  expect(revisions(oldestRevision)?.at(0)).toBe(oldestRevision - begun + 1);
  expect(revisions(oldestRevision - 1)).toBe(null);
});

test('a mirror that starts later still knows the changes before it, with what they changed', async () => {
  const begun = await raise(1);
  for (let epoch = 2; epoch <= 5; epoch++) await raise(epoch);
  const mirror = await start();
  const changes = mirror
    .changesSince(begun + 2)
    ?.map(({ revision, before, after }) => [revision - begun, before, after]);
  const epoch = (number: number) => ({ epoch: number, unreachableSinceMs: null });
  expect(changes).toEqual([
    [3, epoch(3), epoch(4)],
    [4, epoch(4), epoch(5)],
  ]);
});

test('where history was compacted a mirror starts with the present', async () => {
  await raise(1);
  const compacted = await raise(2);
  await memory.compact(compacted);
  const mirror = await start();
  expect([mirror.snapshot.epochOf('n1'), mirror.oldestRevision]).toEqual([2, compacted]);
  expect(mirror.changesSince(compacted - 1)).toBe(null);
});

test('a connection that breaks costs nothing but time', async () => {
  const mirror = await start();
  const resets: boolean[] = [];
  mirror.subscribe((_changes, _revision, reset) => resets.push(reset));
  store.away = true;
  store.breakWatches();
  const revision = await raise(1);
  await clock.advance(5000);
  expect(mirror.revision).toBeLessThan(revision);
  store.away = false;
  await clock.advance(5000);
  expect(resets).toEqual([false]);
  await expectSameAsStore(mirror);
});

test('history lost while away means: list again, tell the difference, start the changes anew', async () => {
  await raise(1, 'stays');
  await raise(1, 'goes');
  const mirror = await start();
  const before = mirror.snapshot;
  const told: unknown[] = [];
  mirror.subscribe((changes, revision, reset) => {
    told.push([changes.map(({ id, after }) => [id, after !== null]).sort(), revision, reset]);
  });
  store.away = true;
  store.breakWatches();
  await raise(1, 'comes');
  await raise(2, 'comes');
  const { revision } = await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.epoch('goes') }] });
  await memory.compact(revision);
  store.away = false;
  await clock.advance(5000);
  expect(told).toEqual([
    [
      [
        ['comes', true],
        ['goes', false],
      ],
      revision,
      true,
    ],
  ]);
  expect(mirror.snapshot).toBe(before);
  expect(mirror.changesSince(revision - 1)).toBe(null);
  await expectSameAsStore(mirror);
  await mirror.waitFor(await raise(3, 'comes'), { timeoutMs: 1000 });
  expect(mirror.changesSince(revision)).toHaveLength(1);
});

test('a store that tells of no revisions but those of its events is no reason to wait for ever', async () => {
  const quiet = changed(memory, {
    async *watch(request) {
      for await (const { events } of memory.watch(request)) {
        const last = events.at(-1);
        if (last !== undefined) yield { revision: revisionOf(last), events };
      }
    },
  });
  const revision = await raise(1);
  await memory.transact({ compares: [], writes: [{ type: 'put', key: '/somebody/else', value: '' }] });
  const starting = start({ store: quiet });
  await clock.advance(5000);
  const mirror = await starting;
  expect([mirror.snapshot.epochOf('n1'), mirror.revision]).toEqual([1, revision]);
});

test('a mirror is not done starting while something is on its way to it', async () => {
  await raise(1);
  const late = new AbortController();
  const slow = changed(memory, {
    async *watch(request) {
      await new Promise((resolve) => late.signal.addEventListener('abort', resolve));
      yield* memory.watch(request);
    },
  });
  let started = false;
  const starting = start({ store: slow }).finally(() => {
    started = true;
  });
  await clock.advance(60_000);
  expect(started).toBe(false);
  late.abort();
  expect((await starting).snapshot.epochOf('n1')).toBe(1);
});

test('a store that is away at the start is waited for', async () => {
  await raise(7);
  store.away = true;
  const starting = start();
  await clock.advance(10_000);
  store.away = false;
  await clock.advance(10_000);
  expect((await starting).snapshot.epochOf('n1')).toBe(7);
});

test('a start that is called off rejects', async () => {
  store.away = true;
  const starting = start();
  end.abort(new Error('called off'));
  await expect(starting).rejects.toThrow('called off');
});

test('a record that cannot be read stops the mirror, and says which', async () => {
  const mirror = await start();
  const waiting = mirror.waitFor(mirror.revision + 1, { timeoutMs: 60_000 });
  await memory.transact({ compares: [], writes: [{ type: 'put', key: keys.alive('n1'), value: '{"v":1}' }] });
  expect(await waiting).toBe(false);
  const error = await mirror.stopped;
  expect(error).toBeInstanceOf(RecordError);
  expect(error?.message).toContain(keys.alive('n1'));
  await expect(start()).rejects.toThrow(RecordError);
});
