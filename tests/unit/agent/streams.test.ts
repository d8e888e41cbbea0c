/** Readers of output: how many at a time, and what becomes of one that can't be served at once. */
import { describe, expect, it } from 'vitest';
import { ControlPlaneFault, type ControlPlaneFaultKind } from '../../../node-agent/executor/contracts.ts';
import { STREAMS_AT_ONCE_MAX } from '../../../node-agent/executor/streams.ts';
import type { StreamRequest } from '../../../shared/protocol/agent.ts';
import { anAssigned, World } from './world.ts';

const follower = (id: string): StreamRequest => ({ id, task: 't1', follow: true, tail: null, since: null });
const followers = (count: number) => Array.from({ length: count }, (_, index) => follower(`s${index}`));

async function worldWithQuietTask(): Promise<World> {
  const world = new World();
  world.controlPlane.assign(anAssigned('t1'));
  await world.startAgent();
  await world.clock.advance(500);
  return world;
}

describe('followers of a quiet task', () => {
  it('are all served, hundreds of them', async () => {
    const world = await worldWithQuietTask();
    world.controlPlane.wantStreams(followers(200));
    await world.clock.advance(1000);
    expect(world.controlPlane.received.lines.size).toBe(200);
    expect(world.controlPlane.received.endedStreams).toEqual([]);
  });

  it('are told at once why, where there are too many, and take the places of those who leave', async () => {
    const world = await worldWithQuietTask();
    world.controlPlane.wantStreams(followers(STREAMS_AT_ONCE_MAX + 1));
    await world.clock.advance(1000);
    const last = `s${STREAMS_AT_ONCE_MAX}`;
    expect(world.controlPlane.received.endedStreams).toEqual([last]);
    expect(world.controlPlane.received.lines.get(last)?.map((line) => line.error)).toEqual([
      `the node sends output to ${STREAMS_AT_ONCE_MAX} readers already; try again when one of them has left`,
    ]);
    world.controlPlane.wantStreams([...followers(STREAMS_AT_ONCE_MAX).slice(1), follower('next')]);
    await world.clock.advance(1000);
    expect(world.controlPlane.received.lines.get('next')).toEqual([]);
  });
});

/** The control plane fails the first so many dial-ins in the given way. */
async function worldFailing(kind: ControlPlaneFaultKind, times: number) {
  const world = new World();
  const dials: string[] = [];
  const failing = new Proxy(world.controlPlane, {
    get(target, name) {
      if (name === 'stream') {
        return (...call: Parameters<typeof target.stream>) => {
          dials.push(call[1]);
          if (dials.length <= times) return Promise.reject(new ControlPlaneFault(kind, 'told to fail'));
          return target.stream(...call);
        };
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  world.controlPlane.assign(anAssigned('t1'));
  await world.startAgent({ controlPlane: failing });
  await world.clock.advance(500);
  world.controlPlane.wantStreams([follower('s1')]);
  return { world, dials };
}

describe('a stream whose dial-in failed', () => {
  it.each(['away', 'stale-epoch', 'unauthenticated'] as const)('because of "%s" is dialled again', async (kind) => {
    const { world, dials } = await worldFailing(kind, 2);
    await world.clock.advance(5000);
    expect(dials).toEqual(['s1', 's1', 's1']);
    expect(world.controlPlane.received.lines.has('s1')).toBe(true);
  });

  it('is left alone once nobody wants it', async () => {
    const { world, dials } = await worldFailing('away', Number.POSITIVE_INFINITY);
    await world.clock.advance(5000);
    const before = dials.length;
    expect(before).toBeGreaterThan(2);
    world.controlPlane.wantStreams([]);
    await world.clock.advance(60_000);
    expect(dials.length).toBe(before);
  });

  it('is not dialled again when the control plane says that nobody waits for it', async () => {
    const { world, dials } = await worldFailing('refused', 1);
    await world.clock.advance(60_000);
    expect(dials).toEqual(['s1']);
  });
});
