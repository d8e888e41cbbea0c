/** How the agent shows that it is the node's own, and what it does when the control plane says that it isn't. */
import { describe, expect, it } from 'vitest';
import { ControlPlaneFault } from '../../../node-agent/executor/contracts.ts';
import type { Random } from '../../../shared/util/random.ts';
import { anAssigned, World } from './world.ts';

/** Different bytes each time. */
function counting(start: number): Random {
  let made = start;
  const bytes = (length: number) => {
    made += 1;
    return Uint8Array.from({ length }, (_, place) => (place === 0 ? made : 0));
  };
  return { next: () => 0.5, bytes };
}

function stampsOf(world: World) {
  return world.controlPlane.registrations.map(({ stamp }) => stamp);
}

/** The session ends, and the next one begins. */
async function joinAnew(world: World): Promise<void> {
  const before = world.controlPlane.registrations.length;
  world.controlPlane.raiseEpoch();
  for (let looks = 0; looks < 100 && world.controlPlane.registrations.length === before; looks += 1) {
    await world.clock.advance(1000);
  }
}

/** The session ends, and no registration is taken until `admit` is called. `asked`: how often the agent has tried. */
function refuse(world: World, kind: 'mismatch' | 'gone'): { asked: () => number; admit: () => void } {
  const { controlPlane } = world;
  const register = controlPlane.register.bind(controlPlane);
  let asked = 0;
  controlPlane.register = () => {
    asked += 1;
    return Promise.reject(new ControlPlaneFault(kind, `the node is told to be a ${kind}`));
  };
  controlPlane.raiseEpoch();
  return {
    asked: () => asked,
    admit: () => {
      controlPlane.register = register;
    },
  };
}

describe('the stamps of an agent', () => {
  it('follow on each other, over sessions and processes', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    await joinAnew(world);
    await world.crash();
    await world.startAgent({ random: counting(10) });
    const [first, second, third] = stampsOf(world);
    expect(first?.last).toBeNull();
    expect(second).toMatchObject({ last: first?.next, instance: first?.instance });
    expect(second?.epoch).toBeGreaterThan(0);
    expect([third?.last, third?.next]).toContain(second?.next);
    expect(third?.instance).not.toBe(first?.instance);
  });

  it('are on disk before they are sent, and the same until one is confirmed', async () => {
    const world = new World();
    world.controlPlane.fault = 'away';
    await world.startAgent({ random: counting(0) });
    const onDisk = world.journal.durable.flatMap((record) => (record.kind === 'stamp' ? record.stamp.next : []));
    expect(onDisk).toHaveLength(1);
    await world.crash();
    await world.startAgent({ random: counting(10) });
    world.controlPlane.fault = null;
    await world.clock.advance(5000);
    expect(stampsOf(world)).toMatchObject([{ last: null, next: onDisk[0] }]);
  });

  it('survive the compaction of the journal', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    await joinAnew(world);
    // Each start leaves the journal compacted.
    for (const start of [10, 20]) {
      await world.agent.stop();
      await world.startAgent({ random: counting(start) });
    }
    const stamps = stampsOf(world);
    for (const [place, stamp] of stamps.slice(1).entries()) expect(stamp?.last).toBe(stamps[place]?.next);
  });

  it('are repeated while the disk is full, so that a full disk costs no session', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    const [first] = stampsOf(world);
    world.journal.isFull = true;
    await joinAnew(world);
    expect(stampsOf(world)[1]).toMatchObject({ last: first?.next, next: first?.next });
    world.journal.isFull = false;
    await joinAnew(world);
    const third = stampsOf(world)[2];
    expect(third?.last).toBe(first?.next);
    expect(third?.next).not.toBe(first?.next);
  });

  it('keep an agent that never had one from joining while the disk is full', async () => {
    const world = new World();
    world.journal.isFull = true;
    await world.startAgent();
    await world.clock.advance(10_000);
    expect(world.controlPlane.registrations).toEqual([]);
    world.journal.isFull = false;
    await world.clock.advance(10_000);
    expect(world.controlPlane.registrations).toHaveLength(1);
  });
});

describe('an agent of which the node has another', () => {
  it('leaves what it runs alone, says so once, and asks again ever more slowly', async () => {
    const world = new World();
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1'));
    await world.clock.advance(1000);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
    const refusal = refuse(world, 'mismatch');
    await world.clock.advance(600_000);
    expect(refusal.asked()).toBeGreaterThan(10);
    expect(refusal.asked()).toBeLessThan(50);
    expect(world.logged.filter(({ message }) => message.includes('refuses this node'))).toHaveLength(1);
    expect(world.agent.inspect().containers.get('t1')?.state).toBe('running');
    refusal.admit();
    await world.clock.advance(60_000);
    expect(world.agent.inspect().isLive).toBe(true);
  });
});

describe('an agent whose node was declared gone', () => {
  it('ends what it runs and joins as a new one', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    world.controlPlane.assign(anAssigned('t1'), anAssigned('t2'));
    await world.clock.advance(1000);
    const refusal = refuse(world, 'gone');
    world.controlPlane.sweep('t1', 't2');
    await world.clock.advance(60_000);
    const states = [...world.agent.inspect().containers.values()].map(({ state }) => state);
    expect(states).not.toContain('running');
    expect(world.logged.filter(({ message }) => message.includes('declared gone'))).toHaveLength(1);
    refusal.admit();
    await world.clock.advance(10_000);
    expect(world.controlPlane.registrations.at(-1)).toMatchObject({ seen: null, stamp: { last: null, epoch: 0 } });
    expect(world.agent.inspect().isLive).toBe(true);
  });

  it('asks as the old one for as long as something of it runs', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    world.controlPlane.assign(anAssigned('t1'));
    await world.clock.advance(1000);
    world.runtime.signal = () => Promise.resolve();
    const refusal = refuse(world, 'gone');
    await world.clock.advance(60_000);
    expect(world.agent.inspect().containers.get('t1')?.state).toBe('running');
    refusal.admit();
    await world.clock.advance(4000);
    expect(world.controlPlane.registrations.at(-1)?.stamp?.last).not.toBeNull();
  });

  it('runs what is new under its name', async () => {
    const world = new World();
    await world.startAgent({ random: counting(0) });
    const refusal = refuse(world, 'gone');
    await world.clock.advance(60_000);
    refusal.admit();
    world.controlPlane.generation = 0;
    world.controlPlane.assign(anAssigned('t9'));
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t9')).toBe('running');
  });
});
