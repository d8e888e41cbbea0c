/** What an adapter of etcd must survive that no other store does: a process that dies, stands still, or can't be heard. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { HistoryGoneError, type Store, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { Mirror } from '../../control-plane/store/mirror.ts';
import { decodeRecord, putRecord } from '../../control-plane/store/records.ts';
import { Snapshot } from '../../control-plane/store/snapshot.ts';
import { commitOnce, OpLeases } from '../../control-plane/store/transact.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';
import { startEtcd, type TestEtcd } from '../support/etcd.ts';
import { Collector, committed, eventually, put, type Subject, write } from './conformance/harness.ts';
import { type Subject as Adapter, TIMING } from './faults/place.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PREFIX = '/faults/';

/** Runs the suite over an adapter that reaches etcd by TCP connections to its hosts. */
export function etcdOutages(connect: Adapter['connect']): void {
  let etcd: TestEtcd;
  let store: Store;
  let subject: Subject;

  beforeEach(async () => {
    etcd = await startEtcd();
    store = connect([etcd.url], TIMING);
    subject = { store, tick: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), prefix: () => PREFIX };
  });

  afterEach(async () => {
    await store.close();
    await etcd.stop();
  });

  /** Writes until it is told to stop; returns what was acknowledged, by revision. */
  function writeOn(key: string, go: { on: boolean }): Promise<Map<number, string>> {
    const acknowledged = new Map<number, string>();
    return (async () => {
      for (let count = 0; go.on; count++) {
        try {
          acknowledged.set(await write(store, put(key, String(count))), String(count));
        } catch (error) {
          await restAWhile(error);
        }
      }
      return acknowledged;
    })();
  }

  /** After the store didn't answer. Anything else is a failure of the test. */
  async function restAWhile(error: unknown): Promise<void> {
    if (!(error instanceof StoreUnavailableError)) throw error;
    await subject.tick(10);
  }

  async function raiseEpochs(node: string, go: { on: boolean }): Promise<void> {
    for (let epoch = 1; go.on; epoch++) {
      const record = putRecord('epochs', keys.epoch(node), { epoch, unreachableSinceMs: null });
      await write(store, record).then(() => undefined, restAWhile);
    }
  }

  describe('an etcd that is killed', () => {
    test('loses no event and repeats none, for any of many watches', async () => {
      const start = await write(store, put(`${PREFIX}start`, ''));
      const watches = Array.from({ length: 20 }, () => new Collector(store, PREFIX, start + 1));
      const go = { on: true };
      const writers = ['a', 'b', 'c'].map((name) => writeOn(`${PREFIX}${name}`, go));
      for (let round = 0; round < 4; round++) {
        const before = watches[0]?.events.length ?? 0;
        await eventually(subject, 'events after a restart', () => (watches[0]?.events.length ?? 0) > before + 20);
        await etcd.kill();
        await etcd.restart();
      }
      go.on = false;
      const acknowledged = (await Promise.all(writers)).flatMap((map) => [...map.keys()]);
      const last = await write(store, put(`${PREFIX}end`, ''));
      const expected = Array.from({ length: last - start }, (_, index) => start + 1 + index);
      expect(acknowledged.length).toBeGreaterThan(50);
      for (const watch of watches) {
        await eventually(subject, 'the last event', () => watch.batches.at(-1)?.revision === last);
        // Nobody else writes to this etcd, so every revision since the start is one event.
        const seen = watch.events.map((event) => (event.type === 'put' ? event.keyValue : event).modRevision);
        expect(seen).toEqual(expected);
        expect(await watch.stop()).toBe(null);
      }
    });

    test('a mirror over it equals what is read at the same revision, throughout', async () => {
      const end = new AbortController();
      const mirror = await Mirror.start({ store, clock: new SystemClock(), signal: end.signal, log: SILENT_LOGGER });
      const go = { on: true };
      const writers = ['n1', 'n2', 'n3'].map((node) => raiseEpochs(node, go));
      for (let round = 0; round < 6; round++) {
        const { revision } = mirror;
        await eventually(subject, 'progress of the mirror', () => mirror.revision > revision + 20);
        if (round % 2 === 0) {
          await etcd.kill();
          await etcd.restart();
        }
        if (round === 3) await store.compact(mirror.revision);
        // No await between the two: the mirror must not move on before it has been copied.
        const [seen, at] = [new Map(mirror.snapshot.epochs), mirror.revision];
        const read = await eventually(subject, 'a read', () => Snapshot.load(store, at).catch(() => null));
        expect(seen).toEqual(read.epochs);
      }
      go.on = false;
      await Promise.all(writers);
      end.abort();
      expect(await mirror.stopped).toBe(null);
    });

    test('keeps its leases, and calls work again as soon as it is back', async () => {
      const lease = await store.grantLease(30);
      await write(store, put(`${PREFIX}a`, '', lease));
      await etcd.kill();
      await expect(store.get(`${PREFIX}a`)).rejects.toThrow(StoreUnavailableError);
      await expect(store.keepLeaseAlive(lease)).rejects.toThrow(StoreUnavailableError);
      await etcd.restart();
      await eventually(subject, 'an answer', () => store.keepLeaseAlive(lease).catch(() => false));
      expect((await store.get(`${PREFIX}a`)).keyValue?.lease).toBe(lease);
    });

    test('a watch that is ended meanwhile ends', async () => {
      const watch = new Collector(store, PREFIX, await write(store, put(`${PREFIX}a`, '')));
      await eventually(subject, 'the first event', () => watch.events.length === 1);
      await etcd.kill();
      expect(await watch.stop()).toBe(null);
    });
  });

  describe('an etcd that stands still', () => {
    test('fails every call within its deadline', async () => {
      const lease = await store.grantLease(30);
      etcd.pause();
      const unheard = () =>
        store.get(`${PREFIX}a`).then(
          () => false,
          () => true,
        );
      await eventually(subject, 'a standstill', unheard);
      const begun = performance.now();
      const calls = [
        store.get(`${PREFIX}a`),
        store.range({ prefix: PREFIX }),
        write(store, put(`${PREFIX}a`, '')),
        store.grantLease(10),
        store.keepLeaseAlive(lease),
        store.revokeLease(lease),
        store.status(),
        store.compact(1),
      ];
      const results = await Promise.allSettled(calls);
      const tookMs = performance.now() - begun;
      etcd.resume();
      const reasons = results.map((result) => (result.status === 'rejected' ? result.reason : result.value));
      expect(reasons.every((reason) => reason instanceof StoreUnavailableError)).toBe(true);
      expect(tookMs).toBeLessThan(20 * TIMING.requestTimeoutMs);
    });
  });

  describe('a wire that fails', () => {
    let proxy: TcpProxy;
    let far: Store;
    let leases: OpLeases;

    beforeEach(async () => {
      proxy = await TcpProxy.start(etcd.port);
      far = connect([proxy.url], TIMING);
      leases = new OpLeases({ store: far, clock: new SystemClock() });
      // Opens the connections that the tests go on to break.
      await Promise.all([leases.opsLease(), far.get(PREFIX)]);
    });

    afterEach(async () => {
      await far.close();
      await proxy.close();
    });

    const operation = (opId: string, modRevision: number, value: string) => ({
      opId,
      leases,
      by: 'test',
      compares: [{ key: `${PREFIX}a`, modRevision }],
      writes: [put(`${PREFIX}a`, value)],
    });

    test('a watch gives up a connection that went silent, and misses nothing', async () => {
      const first = await write(store, put(`${PREFIX}a`, '1'));
      const watch = new Collector(far, PREFIX, first);
      await eventually(subject, 'the first event', () => watch.events.length === 1);
      const { connections } = proxy;
      // The old connections stay mute for ever: only their silence gives them away.
      proxy.hold('requests');
      proxy.hold('answers');
      const second = await write(store, put(`${PREFIX}a`, '2'));
      await eventually(subject, 'a new connection', () => proxy.connections > connections);
      proxy.cut();
      proxy.heal();
      await eventually(subject, 'the second event', () => watch.events.length === 2);
      expect(watch.described[1]).toBe(`put ${PREFIX}a=2@${second}`);
      expect(await watch.stop()).toBe(null);
    });

    test('a watch over an etcd that stood still goes on from where it was', async () => {
      const first = await write(store, put(`${PREFIX}a`, '1'));
      const watch = new Collector(far, PREFIX, first);
      await eventually(subject, 'the first event', () => watch.events.length === 1);
      const { connections } = proxy;
      etcd.pause();
      await eventually(subject, 'a new connection', () => proxy.connections > connections);
      etcd.resume();
      const second = await eventually(subject, 'a write', () => write(store, put(`${PREFIX}a`, '2')).catch(() => null));
      await eventually(subject, 'the second event', () => watch.described.includes(`put ${PREFIX}a=2@${second}`));
      expect(await watch.stop()).toBe(null);
    });

    test('a commit whose answer was lost is found to have happened, though others changed the key since', async () => {
      proxy.swallow();
      const outcome = commitOnce(far, operation('lost-answer', 0, 'mine'));
      const mine = await eventually(subject, 'the write', async () => (await store.get(`${PREFIX}a`)).keyValue);
      await write(store, put(`${PREFIX}a`, 'theirs'));
      proxy.heal();
      expect(await outcome).toEqual({ committed: true, revision: mine.modRevision });
      expect((await store.get(`${PREFIX}a`)).keyValue?.value).toBe('theirs');
    });

    test('a commit that did not arrive is tried anew, and does nothing when it arrives late', async () => {
      proxy.hold('requests');
      const outcome = commitOnce(far, operation('held', 0, 'mine'));
      await eventually(subject, 'the request', () => proxy.heldRequestBytes > 0);
      proxy.leave();
      proxy.letThrough('requests');
      const revision = committed(await outcome);
      const { swallowedBytes } = proxy;
      proxy.arriveLate();
      await eventually(subject, 'an answer to the late request', () => proxy.swallowedBytes > swallowedBytes);
      await write(store, put(`${PREFIX}b`, 'after it'));
      expect((await store.get(`${PREFIX}a`)).keyValue).toMatchObject({
        createRevision: revision,
        modRevision: revision,
      });
      const { keyValues } = await store.range({ prefix: keys.op('held') });
      expect(keyValues.map(({ key, value }) => [key, decodeRecord('ops', key, value).aborted])).toEqual([
        [keys.op('held'), true],
        [keys.op('held.1'), false],
      ]);
    });

    test('a compare that failed while the answer was lost is reported as failed', async () => {
      const stands = await write(store, put(`${PREFIX}a`, 'theirs'));
      proxy.swallow();
      const outcome = commitOnce(far, operation('failed-compare', 0, 'mine'));
      await eventually(subject, 'a lost answer', () => proxy.swallowedBytes > 0);
      proxy.heal();
      expect(await outcome).toMatchObject({ committed: false, observed: [{ value: 'theirs', modRevision: stands }] });
    });
  });

  describe('a store that was emptied behind its back', () => {
    test('makes watches list again', async () => {
      for (let round = 0; round < 5; round++) await write(store, put(`${PREFIX}a`, String(round)));
      const revision = await write(store, put(`${PREFIX}a`, 'last'));
      const watch = new Collector(store, PREFIX, revision);
      await eventually(subject, 'the first event', () => watch.events.length === 1);
      await etcd.replace();
      expect((await watch.done)?.name).toBe('HistoryGoneError');
    });

    test('makes every watch list again, though by now it has come further than the old one', async () => {
      const proxy = await TcpProxy.start(etcd.port);
      const far = connect([proxy.url], TIMING);
      const revision = await write(far, put(`${PREFIX}a`, 'old'));
      const watches = [1, 2, 3].map(() => new Collector(far, PREFIX, revision));
      await eventually(subject, 'the first events', () => watches.every((watch) => watch.events.length === 1));
      await replaceAndGoFurther(proxy, revision);
      // It begins where the old store was listed, and has never heard of the new one.
      const late = new Collector(far, PREFIX, revision + 1);
      proxy.heal();
      const ends = await Promise.all([...watches, late].map((watch) => watch.done));
      expect(ends.map((end) => end?.name)).toEqual(ends.map(() => 'HistoryGoneError'));
      await far.close();
      await proxy.close();
    });

    test('makes watches list again, though it passes for the old one and has come further', async () => {
      const proxy = await TcpProxy.start(etcd.port);
      const far = connect([proxy.url], TIMING);
      const revision = await write(far, put(`${PREFIX}a`, 'old'));
      const watch = new Collector(far, PREFIX, revision);
      await eventually(subject, 'the first event', () => watch.events.length === 1);
      await replaceAndGoFurther(proxy, revision, 'test');
      proxy.heal();
      await eventually(subject, 'the end of the watch', () => watch.isOver);
      expect((await watch.done)?.name).toBe('HistoryGoneError');
      expect(watch.events).toHaveLength(1);
      await far.close();
      await proxy.close();
    });

    test('makes a listing begin again that had begun before', async () => {
      const proxy = await TcpProxy.start(etcd.port);
      const far = connect([proxy.url], TIMING);
      for (const name of ['a', 'b']) await write(far, put(PREFIX + name, 'old'));
      const page = await far.range({ prefix: PREFIX, limit: 1 });
      await replaceAndGoFurther(proxy, page.revision);
      proxy.heal();
      const next = { prefix: PREFIX, after: `${PREFIX}a`, revision: page.revision };
      await expect(eventually(subject, 'an answer', () => far.range(next).catch(nullIfAway))).rejects.toThrow(
        HistoryGoneError,
      );
      await far.close();
      await proxy.close();
    });

    /** While the wire is cut, another store takes the place of the one behind it, and passes `revision`. */
    async function replaceAndGoFurther(proxy: TcpProxy, revision: number, clusterToken = 'another'): Promise<void> {
      proxy.hold('requests');
      proxy.cut();
      await etcd.replace(clusterToken);
      const fresh = connect([etcd.url], TIMING);
      for (let last = 0; last < revision + 10; ) last = await write(fresh, put(`${PREFIX}a`, 'new'));
      await fresh.close();
    }
  });
}

function nullIfAway(error: unknown): null {
  if (error instanceof StoreUnavailableError) return null;
  throw error;
}

/** Ten values that are too long for one answer come in several, each once and in order. */
export async function expectInParts(store: Store, valueCharacters: number): Promise<void> {
  const values = Array.from({ length: 10 }, (_, index) => String(index).repeat(valueCharacters));
  for (const [index, value] of values.entries()) await write(store, put(`${PREFIX}${index}`, value));
  const seen: string[] = [];
  let page = await store.range({ prefix: PREFIX });
  expect(page.keyValues.length).toBeLessThan(10);
  for (;;) {
    seen.push(...page.keyValues.map((keyValue) => keyValue.value));
    if (!page.more) break;
    const after = page.keyValues.at(-1)?.key ?? '';
    page = await store.range({ prefix: PREFIX, revision: page.revision, after });
  }
  expect(seen).toEqual(values);
}
