/** Tasks that must not run while their node is cut off from the control plane. */
import { describe, expect, it } from 'vitest';
import { anAssigned, World } from './world.ts';

const STOP_AFTER_MS = 20_000;
const GRACE_MS = 4000;
/** The fake control plane's interval, and what a heartbeat and a look of the dead-man take at the most. */
const SLACK_MS = 4000;

function guarded(id = 'a') {
  return anAssigned(id, { stopAfterDisconnectMs: STOP_AFTER_MS, group: { killGraceSeconds: GRACE_MS / 1000 } });
}

async function running(world: World, id = 'a'): Promise<void> {
  world.controlPlane.assign(guarded(id));
  await world.startAgent();
  await world.clock.advance(1000);
  expect(world.controlPlane.stateOf(id)).toBe('running');
}

describe('a task that must not run while its node is cut off', () => {
  it('runs on for as long as heartbeats are confirmed', async () => {
    const world = new World();
    await running(world);
    await world.clock.advance(10 * STOP_AFTER_MS);
    expect(world.controlPlane.stateOf('a')).toBe('running');
    expect(world.runtime.signals).toEqual([]);
    expect([...world.fence.armed.values()]).toEqual([STOP_AFTER_MS]);
  });

  it('is told to end in time for its grace, and says why when contact is back', async () => {
    const world = new World();
    await running(world);
    const cutOffAtMs = world.clock.monotonicMs();
    world.controlPlane.fault = 'away';
    await world.clock.advance(STOP_AFTER_MS);
    expect(world.runtime.signals).toMatchObject([{ task: 'a', signal: 'SIGTERM' }]);
    const askedAfterMs = (world.runtime.signals[0]?.atMs ?? 0) - cutOffAtMs;
    expect(askedAfterMs).toBeLessThanOrEqual(STOP_AFTER_MS - GRACE_MS);
    expect(askedAfterMs).toBeGreaterThan(STOP_AFTER_MS - GRACE_MS - SLACK_MS);
    expect(world.runtime.containerOf('a')?.state).toBe('exited');
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    const last = world.controlPlane.historyOf('a').at(-1);
    expect(last).toMatchObject({ state: 'failed', reason: 'disconnected', exitCode: 143 });
    expect(last?.message).toContain('20 s');
    expect(world.fence.armed.size).toBe(0);
  });

  it('is killed by the deadline where the agent is gone, and the next agent says why', async () => {
    const world = new World();
    await running(world);
    await world.crash();
    await world.clock.advance(STOP_AFTER_MS - SLACK_MS);
    expect(world.runtime.containerOf('a')?.state).toBe('running');
    await world.clock.advance(SLACK_MS + 500);
    expect(world.runtime.containerOf('a')).toMatchObject({ state: 'exited', exitCode: 137 });
    await world.startAgent();
    await world.clock.advance(5000);
    const last = world.controlPlane.historyOf('a').at(-1);
    expect(last).toMatchObject({ state: 'failed', reason: 'disconnected', exitCode: 137 });
    expect(last?.message).toContain('dead-man');
  });

  it('keeps its own end where it came before', async () => {
    const lives = { startMs: 100, lifeMs: 3000, exitCode: 0, outOfMemory: false, stopMs: 0, refusal: null, output: [] };
    const world = new World({ engine: { behaviour: () => lives } });
    await running(world);
    await world.crash();
    await world.clock.advance(2 * STOP_AFTER_MS);
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.controlPlane.historyOf('a').at(-1)).toMatchObject({ state: 'finished', exitCode: 0 });
  });

  it('is taken up by the next agent with the time that is left, and with no uplink ended in it', async () => {
    const world = new World();
    await running(world);
    await world.crash();
    world.controlPlane.fault = 'away';
    await world.clock.advance(10_000);
    await world.startAgent();
    await world.clock.advance(STOP_AFTER_MS - 10_000);
    expect(world.runtime.signals).toMatchObject([{ task: 'a', signal: 'SIGTERM' }]);
    expect(world.runtime.containerOf('a')?.state).toBe('exited');
  });

  it('is ended where the watch was lost, since nobody knows for how long it ran without contact', async () => {
    const world = new World();
    await running(world);
    await world.crash();
    world.fence.reboot();
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.controlPlane.historyOf('a').at(-1)).toMatchObject({ state: 'failed', reason: 'disconnected' });
  });

  it('stays under watch where the agent has lost its journal and is refused, and is killed by the deadline', async () => {
    const world = new World();
    await running(world);
    const armed = [...world.fence.armed];
    await world.crash();
    await world.journal.compact([]);
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(2000);
    expect([...world.fence.armed]).toEqual(armed);
    expect(world.runtime.containerOf('a')?.state).toBe('running');
    await world.clock.advance(STOP_AFTER_MS);
    expect(world.runtime.containerOf('a')?.state ?? 'exited').toBe('exited');
    await world.clock.advance(2000);
    expect([...world.fence.armed]).toEqual([]);
  });

  it('stays under watch for as long as the engine says nothing', async () => {
    const world = new World();
    await running(world);
    await world.crash();
    world.runtime.goAway();
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.fence.armed.size).toBe(1);
  });

  it('others run on beside it', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('free'));
    await running(world);
    world.controlPlane.fault = 'away';
    await world.clock.advance(10 * STOP_AFTER_MS);
    expect(world.runtime.containerOf('free')?.state).toBe('running');
    expect(world.runtime.containerOf('a')?.state).toBe('exited');
  });
});

describe('the start of such a task', () => {
  it('is not asked for before the container is under watch', async () => {
    const world = new World();
    world.fence.isBroken = true;
    world.controlPlane.assign(guarded());
    await world.startAgent();
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual([]);
    world.fence.isBroken = false;
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual(['a']);
  });

  it.each([
    { name: 'while the control plane is away', pullMs: 3000 },
    { name: 'when it was away for half of the time, and has only just been heard of', pullMs: 14_000 },
  ])('is not asked for $name', async ({ pullMs }) => {
    const world = new World({ engine: { images: [], pullable: ['tool:1'], pullMs } });
    world.controlPlane.assign(guarded());
    await world.startAgent();
    await world.clock.advance(100);
    world.controlPlane.fault = 'away';
    await world.clock.advance(pullMs);
    expect(world.runtime.containerOf('a')?.state ?? 'created').toBe('created');
    expect(world.runtime.started).toEqual([]);
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    expect(world.runtime.started).toEqual(['a']);
    expect(world.controlPlane.stateOf('a')).toBe('running');
  });

  it('is not asked for by an agent that was held up until the task had been given up', async () => {
    const behaviour = {
      startMs: 100,
      lifeMs: null,
      exitCode: 0,
      outOfMemory: false,
      stopMs: 0,
      refusal: null,
      output: [],
    };
    const world = new World({ engine: { behaviour: () => behaviour } });
    let goOn = () => {};
    const heldUp = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const arm = world.fence.arm.bind(world.fence);
    world.fence.arm = (container, stopAfterMs) => heldUp.then(() => arm(container, stopAfterMs));
    world.controlPlane.assign(guarded());
    await world.startAgent();
    await world.clock.advance(1000);
    world.controlPlane.change('a', { state: 'lost', disowned: true });
    world.controlPlane.raiseEpoch();
    await world.clock.advance(10_000);
    goOn();
    await world.clock.advance(10_000);
    expect(world.runtime.started).toEqual([]);
    expect(world.controlPlane.received.released).toEqual(['a']);
  });

  it('that the engine carries out late is undone, however late', async () => {
    const late = { startMs: 10 * STOP_AFTER_MS, lifeMs: null, exitCode: 0, outOfMemory: false, stopMs: null };
    const world = new World({ engine: { behaviour: () => ({ ...late, refusal: null, output: [] }) } });
    world.controlPlane.assign(guarded());
    await world.startAgent();
    await world.clock.advance(1000);
    world.controlPlane.fault = 'away';
    await world.crash();
    await world.clock.advance(late.startMs - 1000);
    expect(world.runtime.started).toEqual(['a']);
    await world.clock.advance(500);
    expect(world.runtime.containerOf('a')?.state).toBe('exited');
  });

  it('is refused where the node can not guard it, and only there', async () => {
    const world = new World();
    world.fence.unfit = 'the agent may not signal';
    world.controlPlane.assign(guarded());
    world.controlPlane.assign(anAssigned('free'));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.controlPlane.historyOf('a').at(-1)).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(world.controlPlane.historyOf('a').at(-1)?.message).toContain('stopAfterDisconnectSeconds');
    expect(world.controlPlane.stateOf('free')).toBe('running');
  });

  it('is taken back where the container is out of reach, and the next is refused at once', async () => {
    const world = new World();
    world.fence.escape = "the agent can't see";
    world.controlPlane.assign(guarded('a'));
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.runtime.containerOf('a')?.state).toBe('exited');
    expect(world.controlPlane.historyOf('a').at(-1)).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    world.controlPlane.assign(guarded('b'));
    await world.clock.advance(1000);
    expect(world.controlPlane.stateOf('b')).toBe('error');
    expect(world.runtime.started).toEqual(['a']);
  });
});
