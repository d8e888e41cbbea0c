import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { type FrameworkEvent, TOLD_MAX } from '../../../shared/protocol/framework.ts';
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
