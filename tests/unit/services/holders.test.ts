import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { heartbeat, registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { readEvents } from '../../../control-plane/services/events.ts';
import type { Stamp } from '../../../shared/protocol/agent.ts';
import {
  ADMIN,
  caughtUp,
  JOINER,
  nodeOf,
  nodePrincipal,
  stampOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';
import { TestClock } from '../agent/world.ts';

const NODE = 'edge-1';
/** Longer than the holder of a session is waited for, and shorter than its lease. */
const PATIENCE_MS = 3000;

let clock: TestClock;
let replica: TestReplica;

beforeEach(async () => {
  clock = new TestClock();
  replica = await startReplica({ clock });
});
afterEach(() => replica.stop());

function register(stamp: Stamp | undefined, principal = nodePrincipal(NODE)) {
  return registerNode(replica.ctx, principal, { node: nodeOf(NODE), seen: null, tasks: [], stamp });
}

/** An agent that has joined, and what its memory holds then. */
async function joined(): Promise<{ epoch: number; memory: Pick<Stamp, 'last' | 'epoch'> }> {
  const { epoch } = await register(stampOf('a', { next: 'stamp-1' }), JOINER);
  return { epoch, memory: { last: 'stamp-1', epoch } };
}

function poll(epoch: number) {
  const query = { position: { incarnation: 1, generation: 1 }, streamsVersion: '', waitMs: 60_000 };
  return waitForAssignment(replica.ctx, { node: NODE, epoch }, { ...query, signal: new AbortController().signal });
}

function eventsOf(type: string): string[] {
  const { items } = readEvents(replica.ctx, ADMIN, { after: 1, filter: EVERYTHING, limit: 1000 });
  return items.filter((event) => event.type === type && event.node === NODE).map(({ message }) => message);
}

const EVERYTHING = { types: null, role: null, job: null, task: null, node: null };

/** Resolves or rejects as the promise does, while time passes. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await clock.advance(PATIENCE_MS);
  return promise;
}

describe('an agent with the memory of the one that holds the session', () => {
  it('is a clone when that one lives: it is refused, and the other goes on', async () => {
    const { epoch, memory } = await joined();
    const polled = poll(epoch);
    const clone = register(stampOf('b', { ...memory, next: 'stamp-2b' }));
    clone.catch(() => undefined);
    await clock.advance(10);
    // Its long request has ended; it lives, and asks again.
    expect(await polled).toBeNull();
    await expect(poll(epoch)).rejects.toMatchObject({ code: 'stale-epoch' });
    const next = await register(stampOf('a', { ...memory, next: 'stamp-2a' }));
    await expect(inTime(clone)).rejects.toMatchObject({ code: 'identity-mismatch' });
    await expect(heartbeat(replica.ctx, { node: NODE, epoch: next.epoch })).resolves.toBeUndefined();
  });

  it('is told to whoever follows events, and so is one with another memory, once in a while', async () => {
    const { epoch, memory } = await joined();
    const contested = () => eventsOf('node.contested');
    const clone = register(stampOf('b', { ...memory, next: 'stamp-2b' }));
    clone.catch(() => undefined);
    await clock.advance(10);
    await expect(heartbeat(replica.ctx, { node: NODE, epoch })).rejects.toMatchObject({ code: 'stale-epoch' });
    await caughtUp(replica.ctx);
    expect(contested()).toEqual([expect.stringContaining('two agents run with the same memory')]);
    await register(stampOf('a', { ...memory, next: 'stamp-2a' }));
    await expect(inTime(clone)).rejects.toMatchObject({ code: 'identity-mismatch' });
    const stranger = () => register(stampOf('c', { next: 'stamp-9' }));
    await expect(stranger()).rejects.toMatchObject({ code: 'identity-mismatch' });
    const seen = contested();
    expect(seen.at(-1)).toContain("without the memory of this node's own");
    await clock.advance(599_000 - PATIENCE_MS);
    await expect(stranger()).rejects.toMatchObject({ code: 'identity-mismatch' });
    expect(contested()).toEqual(seen);
    await clock.advance(PATIENCE_MS);
    await expect(stranger()).rejects.toMatchObject({ code: 'identity-mismatch' });
    expect(contested().length).toBe(seen.length + 1);
  });

  it('is told from it by a heartbeat too', async () => {
    const { epoch, memory } = await joined();
    const clone = register(stampOf('b', { ...memory, next: 'stamp-2b' }));
    clone.catch(() => undefined);
    await clock.advance(10);
    await expect(heartbeat(replica.ctx, { node: NODE, epoch })).rejects.toMatchObject({ code: 'stale-epoch' });
    await register(stampOf('a', { ...memory, next: 'stamp-2a' }));
    await expect(inTime(clone)).rejects.toMatchObject({ code: 'identity-mismatch' });
  });

  it('is its successor when that one stays silent', async () => {
    const { epoch, memory } = await joined();
    const successor = await inTime(register(stampOf('b', { ...memory, next: 'stamp-2' })));
    expect(successor.epoch).toBeGreaterThan(epoch);
    await expect(heartbeat(replica.ctx, { node: NODE, epoch })).rejects.toMatchObject({ code: 'stale-epoch' });
    await expect(heartbeat(replica.ctx, { node: NODE, epoch: successor.epoch })).resolves.toBeUndefined();
  });

  it('need not wait when nobody is connected, and the other is refused when it comes back', async () => {
    const { epoch, memory } = await joined();
    await clock.advance(11_000);
    await caughtUp(replica.ctx);
    await register(stampOf('b', { ...memory, next: 'stamp-2b' }));
    await expect(heartbeat(replica.ctx, { node: NODE, epoch })).rejects.toMatchObject({ code: 'stale-epoch' });
    const original = register(stampOf('a', { ...memory, next: 'stamp-2a' }));
    await expect(original).rejects.toMatchObject({ code: 'identity-mismatch' });
  });

  it('is one of two that both want to be it: one of them is admitted', async () => {
    const { memory } = await joined();
    const copies = ['b', 'c'].map((instance) => register(stampOf(instance, { ...memory, next: `stamp-${instance}` })));
    const outcomes = Promise.allSettled(copies);
    await clock.advance(4 * PATIENCE_MS);
    expect((await outcomes).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('an agent without the memory', () => {
  it.each([
    ['an empty disk', stampOf('b', {}), JOINER],
    ['an older backup', stampOf('b', { last: 'stamp-0', next: 'stamp-0b' }), nodePrincipal(NODE)],
    ['an older agent', undefined, nodePrincipal(NODE)],
  ] as const)('is refused and changes nothing but a note: %s', async (_what, stamp, principal) => {
    await joined();
    await clock.advance(11_000);
    await caughtUp(replica.ctx);
    const { snapshot } = replica.ctx.mirror;
    const before = snapshot.epochs.get(NODE);
    const revision = replica.ctx.mirror.revision;
    await expect(register(stamp, principal)).rejects.toMatchObject({
      code: 'identity-mismatch',
      message: expect.stringContaining(`berth node gone ${NODE}`),
    });
    const otherMachine = { atMs: clock.now(), how: 'other-memory' };
    expect(snapshot.epochs.get(NODE)).toEqual({ ...before, otherMachine });
    expect(replica.ctx.mirror.revision).toBe(revision + 1);
  });
});

describe('a repeated registration', () => {
  it('of a process is its own, whether its answer was lost or not', async () => {
    await joined();
    const again = await register(stampOf('a', { next: 'stamp-1' }));
    expect(again.epoch).toBe(2);
    const late = register(stampOf('a', { next: 'stamp-0' }));
    await expect(late).rejects.toMatchObject({ code: 'identity-mismatch' });
  });
});
