import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import { type FrameworkEvent, TOLD_MAX } from '../../../shared/protocol/framework.ts';
import { present } from '../../../shared/util/assert.ts';
import { FrameworkReader, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let a: Side;
let b: Side;
let id: string;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a');
  b = await startSide(store, 'b');
  await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  id = (await subscribe(a.replica.ctx, callOf(), subscriptionOf())).body.id;
  for (const side of [a, b]) await caughtUp(side.replica.ctx);
});
afterEach(() => {
  for (const side of [a, b]) side.stop();
});

function over(...notices: string[]): FrameworkEvent[] {
  return notices.map((notice) => ({ type: 'maintenance-over', notice }));
}

describe('what a stream is told to say', () => {
  it('is said once and in order, after what it has to say by itself', async () => {
    const reader = await FrameworkReader.open(a, id, 1);
    expect(await a.streams.tell(id, over('one', 'two'))).toBe(true);
    expect(await a.streams.tell(id, over('three'))).toBe(true);
    await a.hand.offer(id);
    expect(await reader.next()).toMatchObject({ type: 'subscribed' });
    expect(await reader.next()).toMatchObject({ type: 'offers' });
    for (const notice of ['one', 'two', 'three']) {
      expect(await reader.next()).toEqual({ type: 'maintenance-over', notice });
    }
    await a.hand.offer(id, { id: '1-2-0' });
    expect(await reader.next()).toMatchObject({ type: 'offers', offers: [{ id: '1-2-0' }] });
  });

  it('reaches nobody where no stream is open, neither here nor where one was', async () => {
    expect(await a.streams.tell(id, over('one'))).toBe(false);
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    await reader.close();
    expect(await a.streams.tell(id, over('one'))).toBe(false);
  });

  it('reaches no stream that another has followed', async () => {
    const old = await FrameworkReader.open(a, id, 1);
    await old.next();
    await subscribe(b.replica.ctx, callOf(), subscriptionOf({ id }));
    await caughtUp(a.replica.ctx);
    expect(await a.streams.tell(id, over('one'))).toBe(false);
    expect(await old.next()).toMatchObject({ type: 'superseded' });
  });

  it('is all of it or nothing, up to a bound', async () => {
    const reader = await FrameworkReader.open(a, id, 1);
    const most = Array.from({ length: TOLD_MAX - 1 }, (_, n) => `n${n}`);
    expect(await a.streams.tell(id, over(...most))).toBe(true);
    expect(await a.streams.tell(id, over('too', 'many'))).toBe(false);
    expect(await a.streams.tell(id, over('last'))).toBe(true);
    await reader.next();
    for (const notice of [...most, 'last']) expect(await reader.next()).toMatchObject({ notice });
    expect(await a.streams.tell(id, over('next'))).toBe(true);
    expect(await reader.next()).toMatchObject({ notice: 'next' });
  });
});

describe('a node that is lost', () => {
  async function mark(node: string, change: Partial<Epoch>): Promise<void> {
    const { mirror, store } = a.replica.ctx;
    const before = present(mirror.snapshot.epochs.get(node), 'the epoch');
    const write = putRecord('epochs', keys.epoch(node), { ...before, ...change });
    await store.transact({ compares: [], writes: [write] });
    for (const side of [a, b]) await caughtUp(side.replica.ctx);
  }

  it('is told on the stream of each framework that has live tasks there, wherever it is open, each time', async () => {
    const other = (await subscribe(b.replica.ctx, callOf(), subscriptionOf())).body.id;
    await caughtUp(a.replica.ctx);
    await a.hand.launch(id, 'one', { state: 'running' });
    const reader = await FrameworkReader.open(b, id, 1);
    const idle = await FrameworkReader.open(b, other, 1);
    for (const one of [reader, idle]) expect(await one.next()).toMatchObject({ type: 'subscribed' });
    expect(await reader.next()).toMatchObject({ type: 'update', update: { state: 'running' } });
    const lost = { type: 'node-lost', node: 'edge-1', host: 'edge-1.example' };
    for (const sinceMs of [5, 6]) {
      await mark('edge-1', { unreachableSinceMs: sinceMs });
      expect(await reader.next()).toEqual(lost);
      await mark('edge-1', { unreachableSinceMs: null });
    }
    await b.streams.tell(other, over('next'));
    expect(await idle.next()).toMatchObject({ type: 'maintenance-over' });
  });

  it('is not told on a stream that is opened later', async () => {
    await a.hand.launch(id, 'one', { state: 'running' });
    await mark('edge-1', { unreachableSinceMs: 5 });
    const reader = await FrameworkReader.open(a, id, 1);
    await a.streams.tell(id, over('next'));
    const types: unknown[] = [];
    for (let at = 0; at < 3; at++) types.push((await reader.next())?.type);
    expect(types).toEqual(['subscribed', 'update', 'maintenance-over']);
  });
});
