/** An agent that comes back while nobody can be asked: what its journal says is enough to go on. */
import { describe, expect, it } from 'vitest';
import { mayStartOffline } from '../../../node-agent/core/alone.ts';
import { anAssigned, World } from './world.ts';

const FAR = 'far/tool:1';

/** The agent died while it fetched the image of a task; it is back, and the uplink is down. */
async function cutOffWhilePulling(pullable: readonly string[]): Promise<World> {
  const world = new World({ engine: { pullable, pullMs: 500 } });
  await world.startAgent();
  world.controlPlane.assign(anAssigned('t1', { group: { image: FAR }, ports: { http: 20_000 } }));
  await world.clock.advance(100);
  await world.powerCut();
  world.controlPlane.fault = 'away';
  await world.startAgent();
  return world;
}

describe('a start that a power cut came into', () => {
  it('is finished without an uplink, from what the journal holds, after a while', async () => {
    const world = await cutOffWhilePulling([FAR]);
    await world.clock.advance(9_000);
    expect(world.runtime.started).toEqual([]);
    await world.clock.advance(5_000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.agent.inspect().tasks.get('t1')).toMatchObject({ phase: 'running', epoch: 1, incarnation: 1 });
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });

  it('waits for an image that can only be had with an uplink', async () => {
    const pullable: string[] = [];
    const world = await cutOffWhilePulling(pullable);
    await world.clock.advance(60_000);
    expect(world.runtime.pulls.length).toBeGreaterThan(2);
    expect(world.agent.inspect().tasks.get('t1')?.phase).toBe('starting');
    pullable.push(FAR);
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('is not finished while the control plane refuses the node, and is once it takes it', async () => {
    const world = await cutOffWhilePulling([FAR]);
    world.controlPlane.fault = 'refused';
    await world.clock.advance(60_000);
    world.controlPlane.fault = 'away';
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual([]);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('is not finished when the control plane comes back first, and has given its place away', async () => {
    const world = await cutOffWhilePulling([FAR]);
    world.controlPlane.sweep('t1');
    world.controlPlane.fault = null;
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual([]);
    expect(world.agent.inspect().tasks.has('t1')).toBe(false);
  });
});

describe('a task of which two must never run at a time', () => {
  it('may not be started by an agent that can ask nobody', () => {
    expect(mayStartOffline(anAssigned('t1', { stopAfterDisconnectMs: 20_000 }))).toBe(false);
    expect(mayStartOffline(anAssigned('t1', { stopAfterDisconnectMs: null }))).toBe(true);
  });

  it('is not even prepared after a power cut, until there is a session', async () => {
    const world = new World({ engine: { pullable: [FAR], pullMs: 500 } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: { image: FAR }, stopAfterDisconnectMs: 20_000 }));
    await world.clock.advance(100);
    await world.powerCut();
    const pulls = world.runtime.pulls.length;
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(120_000);
    expect(world.runtime.started).toEqual([]);
    expect(world.runtime.pulls).toHaveLength(pulls);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.runtime.started).toEqual(['t1']);
  });
});

describe('the end of a task that never ran', () => {
  it('is on record before it is told, so that no reboot starts it', async () => {
    const world = new World({ engine: { pullable: [FAR], pullMs: 500 } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: { image: FAR } }));
    await world.clock.advance(100);
    world.controlPlane.stop('t1', 0);
    await world.clock.advance(100);
    expect(world.controlPlane.stateOf('t1')).toBe('killed');
    await world.powerCut();
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual([]);
  });

  it('nor one that was given up and reported as released', async () => {
    const world = await cutOffWhilePulling([FAR]);
    world.controlPlane.change('t1', { disowned: true, state: 'lost' });
    world.controlPlane.fault = null;
    await world.clock.advance(5000);
    expect(world.controlPlane.received.released).toEqual(['t1']);
    await world.powerCut();
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual([]);
  });
});

it('a start that a clean end of the agent breaks off is no failure of the task: the next agent finishes it', async () => {
  const world = new World({ engine: { pullable: [FAR], pullMs: 500 } });
  await world.startAgent();
  world.controlPlane.assign(anAssigned('t1', { group: { image: FAR } }));
  await world.clock.advance(100);
  const ended = world.agent.stop();
  await world.clock.advance(1000);
  await ended;
  await world.startAgent();
  await world.clock.advance(5000);
  expect(world.controlPlane.stateOf('t1')).toBe('running');
});
