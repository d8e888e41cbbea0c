/** A task's life on a node, from the assignment to its removal, and every way in which it can go wrong. */
import { describe, expect, it } from 'vitest';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, IMAGE, World } from './world.ts';

const outline = (world: World, task: string) =>
  world.controlPlane.historyOf(task).map(({ state, reason }) => `${state} ${reason}`);

describe('a task that is placed on the node', () => {
  it('is started, reported as running, and reported as finished when it ends with 0', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 1000 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(2000);
    expect(outline(world, 't1')).toEqual(['starting accepted', 'running started', 'finished exited']);
    expect(world.controlPlane.historyOf('t1').at(-1)?.exitCode).toBe(0);
  });

  it('is told as running as soon as the engine has started it', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(105);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });

  it('has ended as the engine tells, which is not asked again', async () => {
    const failing = { ...LONG_RUNNING, lifeMs: 10, exitCode: 3 };
    const world = new World({ engine: { behaviour: () => failing, tellsEnds: true } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    world.runtime.failNext('inspect');
    await world.clock.advance(1000);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'failed', exitCode: 3 });
    expect(world.logged.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  it('is said to be starting at once where that takes long, and else together with what comes of it', async () => {
    const startMs = (task: AssignedTask) => (task.id === 'slow' ? 400 : 20);
    const world = new World({ engine: { behaviour: (task) => ({ ...LONG_RUNNING, startMs: startMs(task) }) } });
    world.controlPlane.assign(anAssigned('quick'));
    await world.startAgent();
    await world.clock.advance(40);
    expect(outline(world, 'quick')).toEqual(['starting accepted', 'running started']);
    expect(world.controlPlane.received.batches).toEqual([2]);
    world.controlPlane.assign(anAssigned('slow'));
    await world.clock.advance(100);
    expect(outline(world, 'slow')).toEqual(['starting accepted']);
  });

  it('fails with its exit code', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 10, exitCode: 3 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'failed', reason: 'exited', exitCode: 3, message: 'exited with code 3' });
  });

  it('says so when it used too much memory', async () => {
    const hungry = { ...LONG_RUNNING, lifeMs: 10, exitCode: 137, outOfMemory: true };
    const world = new World({ engine: { behaviour: () => hungry } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(outline(world, 't1').at(-1)).toBe('failed out-of-memory');
  });

  it('ends as an error when its command cannot be run, in the words of the engine', async () => {
    const refusal = { reason: 'command-unusable', message: 'exec: "nope": not found' } as const;
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, refusal }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'error', reason: 'command-unusable', message: 'exec: "nope": not found' });
    expect(world.runtime.containers).toEqual([]);
  });

  it('is refused when the operator does not allow what it asks for, and never touches the engine', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1', { group: { network: 'host' } }));
    await world.startAgent();
    await world.clock.advance(1000);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(last?.message).toContain('--allow-host-network');
    expect(world.runtime.started).toEqual([]);
  });

  it('is refused when what it mounts leads elsewhere once its image has been pulled', async () => {
    const paths: Record<string, string> = { '/srv': '/srv', '/srv/x': '/srv/x' };
    const engine = { paths, images: [], pullable: [IMAGE], pullMs: 5000 };
    const world = new World({ engine, consent: { hostMounts: ['/srv'] } });
    const mounts = [{ type: 'bind', source: '/srv/x', target: '/x', readOnly: false }] as const;
    world.controlPlane.assign(anAssigned('t1', { group: { mounts } }));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(outline(world, 't1')).toEqual(['starting pulling-image']);
    paths['/srv/x'] = '/etc';
    await world.clock.advance(10_000);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(last?.message).toContain('which leads to /etc');
    expect(world.runtime.started).toEqual([]);
  });

  it('fails when it runs longer than its timeout', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
    world.controlPlane.assign(anAssigned('t1', { group: { timeoutSeconds: 5, killGraceSeconds: 2 } }));
    await world.startAgent();
    await world.clock.advance(9000);
    expect(outline(world, 't1').at(-1)).toBe('failed timed-out');
    const [polite, kill] = world.runtime.signals;
    expect([polite?.signal, kill?.signal]).toEqual(['SIGTERM', 'SIGKILL']);
    expect((kill?.atMs ?? 0) - (polite?.atMs ?? 0)).toBe(2000);
  });

  it('is reported as lost when its container was removed by hand', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.runtime.removeByHand('t1');
    await world.clock.advance(500);
    expect(outline(world, 't1').at(-1)).toBe('lost not-found-on-node');
  });
});

describe('images', () => {
  it('are pulled when they are missing, and the task says so meanwhile', async () => {
    const world = new World({ engine: { images: [], pullable: [IMAGE] } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(100);
    expect(outline(world, 't1')).toEqual(['starting pulling-image']);
    await world.clock.advance(1000);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });

  it('that cannot be pulled end the task as an error', async () => {
    const world = new World({ engine: { images: [] } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'error', reason: 'image-unavailable' });
    expect(last?.message).toContain('not found');
  });

  it('are pulled once for any number of tasks that wait for them', async () => {
    const world = new World({ engine: { images: [], pullable: [IMAGE] } });
    world.controlPlane.assign(anAssigned('t1'), anAssigned('t2'), anAssigned('t3'));
    await world.startAgent();
    await world.clock.advance(2000);
    expect(world.runtime.pulls).toEqual([IMAGE]);
    expect(world.runtime.started.toSorted()).toEqual(['t1', 't2', 't3']);
  });

  it('are never pulled when the policy says so', async () => {
    const world = new World({ engine: { images: [], pullable: [IMAGE] } });
    world.controlPlane.assign(anAssigned('t1', { group: { pullPolicy: 'never' } }));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(outline(world, 't1')).toEqual(['error image-unavailable']);
    expect(world.runtime.pulls).toEqual([]);
  });

  it('are always pulled when the policy says so', async () => {
    const world = new World({ engine: { pullable: [IMAGE] } });
    world.controlPlane.assign(anAssigned('t1', { group: { pullPolicy: 'always' } }));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.runtime.pulls).toEqual([IMAGE]);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });
});

describe('stopping', () => {
  it('sends the polite signal, waits for the grace, then kills', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.stop('t1', 3000);
    await world.clock.advance(2900);
    expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGTERM']);
    await world.clock.advance(200);
    expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGTERM', 'SIGKILL']);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'killed', reason: 'stop-requested', exitCode: 137 });
  });

  it('does not kill what ends by itself within the grace', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.stop('t1', 3000);
    await world.clock.advance(5000);
    expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGTERM']);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'killed', exitCode: 143 });
  });

  it('waits for its delay first, whatever becomes of the agent meanwhile', async () => {
    for (const isCrash of [false, true]) {
      const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
      world.controlPlane.assign(anAssigned('t1', { group: { stopSignal: 'SIGQUIT' } }));
      await world.startAgent();
      await world.clock.advance(500);
      world.controlPlane.stop('t1', 3000, 10_000);
      await world.clock.advance(5000);
      if (isCrash) {
        await world.crash();
        await world.startAgent();
      }
      await world.clock.advance(4900);
      expect(world.runtime.signals).toEqual([]);
      await world.clock.advance(200);
      expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGQUIT']);
      await world.clock.advance(2800);
      expect(world.runtime.signals).toHaveLength(1);
      await world.clock.advance(300);
      expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGQUIT', 'SIGKILL']);
      expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'killed', reason: 'stop-requested' });
    }
  });

  it('waits no longer for one that ends within its delay, or was given up', async () => {
    const world = new World({
      engine: { behaviour: ({ id }) => ({ ...LONG_RUNNING, lifeMs: id === 't1' ? 2000 : null }) },
    });
    world.controlPlane.assign(anAssigned('t1'), anAssigned('t2'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.stop('t1', 1000, 10_000);
    world.controlPlane.stop('t2', 1000, 10_000);
    await world.clock.advance(3000);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'killed', reason: 'stop-requested' });
    expect(world.runtime.signals).toEqual([]);
    world.controlPlane.change('t2', { disowned: true });
    await world.clock.advance(100);
    expect(world.runtime.signals.map(({ task, signal }) => `${task} ${signal}`)).toEqual(['t2 SIGTERM']);
  });

  it('never starts what is already marked', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1', { stop: { atMs: 0, graceMs: 0, reason: 'changed my mind' } }));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(outline(world, 't1')).toEqual(['killed stop-requested']);
    expect(world.runtime.started).toEqual([]);
  });

  it('gives up a start that waits for its image', async () => {
    const world = new World({ engine: { images: [], pullable: [IMAGE], pullMs: 60_000 } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    world.controlPlane.stop('t1', 0);
    await world.clock.advance(1000);
    expect(outline(world, 't1')).toEqual(['starting pulling-image', 'killed stop-requested']);
    await world.clock.advance(120_000);
    expect(world.runtime.started).toEqual([]);
  });

  it('stops and removes what has lost its place', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.sweep('t1');
    await world.clock.advance(1000);
    expect(world.runtime.containers).toEqual([]);
    expect(world.agent.inspect().tasks.size).toBe(0);
  });

  it('releases a disowned task once nothing of it is left', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    const stop = { atMs: 0, graceMs: 1000, reason: 'given up' };
    world.controlPlane.change('t1', { state: 'lost', disowned: true, stop });
    await world.clock.advance(1000);
    expect(world.controlPlane.received.released).toEqual(['t1']);
    expect(world.runtime.containers).toEqual([]);
    expect(world.agent.inspect().tasks.size).toBe(0);
  });
});

describe('several tasks', () => {
  it('are started so many at a time, and no more', async () => {
    const world = new World({ config: { startConcurrency: 3 } });
    const ids = Array.from({ length: 20 }, (_, index) => `t${index}`);
    world.controlPlane.assign(...ids.map((id) => anAssigned(id)));
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.runtime.startingMost).toBe(3);
    expect(world.runtime.started.toSorted()).toEqual(ids.toSorted());
  });

  it('are reported together', async () => {
    const world = new World({ config: { startConcurrency: 50 } });
    world.controlPlane.assign(...Array.from({ length: 50 }, (_, index) => anAssigned(`t${index}`)));
    await world.startAgent();
    await world.clock.advance(1000);
    expect(Math.max(...world.controlPlane.received.batches)).toBeGreaterThanOrEqual(50);
  });
});

describe('ended containers', () => {
  it('are kept for their output for a bounded time', async () => {
    const world = new World({
      engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 10 }) },
      config: { retention: { keepMs: 60_000, keepMax: 10 } },
    });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(1000);
    world.controlPlane.sweepEnded();
    await world.clock.advance(50_000);
    expect(world.runtime.containers).toHaveLength(1);
    await world.clock.advance(20_000);
    expect(world.runtime.containers).toEqual([]);
    expect(world.agent.inspect().tasks.size).toBe(0);
  });

  it('are kept up to a bounded number, the newest of them', async () => {
    const world = new World({
      engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 10 }) },
      config: { startConcurrency: 1, retention: { keepMs: 3_600_000, keepMax: 2 } },
    });
    world.controlPlane.assign(anAssigned('t1'), anAssigned('t2'), anAssigned('t3'));
    await world.startAgent();
    await world.clock.advance(2000);
    world.controlPlane.sweepEnded();
    await world.clock.advance(1000);
    expect(world.runtime.containers.map((container) => container.task)).toEqual(['t2', 't3']);
  });
});
