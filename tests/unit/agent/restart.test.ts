/** A task whose node went down under it: what is taken for that, and what becomes of it. */
import { describe, expect, it } from 'vitest';
import type { Boot, Container, LocalTask } from '../../../node-agent/core/model.ts';
import { compactBook, emptyBook } from '../../../node-agent/core/records.ts';
import { endedWithMachine, RESTARTS_IN_A_ROW_MAX, RUN_LASTS_MS } from '../../../node-agent/core/restart.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const boot: Boot = { id: 'second', startedAt: { wallMs: 50_000, steadyMs: 0 } };
const stop = { since: boot.startedAt, graceMs: 1, cause: 'stop-requested', message: '' } as const;

describe('what a machine comes up with', () => {
  const cut = { state: 'exited', exitCode: 255, startedAtMs: 1000, endedAtMs: 51_000 } as const;
  it.each<[string, Partial<LocalTask>, Partial<Container> | null, boolean]>([
    ['an end that the engine knows nothing of is the power cut', {}, cut, true],
    ['so is a container that is gone', {}, null, true],
    ['one that was only launched, and is gone, may have run', { phase: 'launched' }, null, true],
    ['an end by an engine that was shut down is the reboot', {}, { ...cut, exitCode: 143 }, true],
    ['one by its kill too', {}, { ...cut, exitCode: 137, endedAtMs: 40_000 }, true],
    ['but not one for want of memory', {}, { ...cut, exitCode: 137, outOfMemory: true }, false],
    ['whatever its date: there may have been another boot between', {}, { ...cut, endedAtMs: 49_999 }, true],
    ['an end with any other code is its own', {}, { ...cut, exitCode: 3 }, false],
    ['what finished has finished', {}, { ...cut, exitCode: 0 }, false],
    ['what runs has not ended', {}, { state: 'running' }, false],
    ['what never ran has not ended', { phase: 'launched' }, { state: 'created' }, false],
    ['what was never launched has not ended', { phase: 'starting', boot: null }, null, false],
    ['what was being stopped has been stopped', { stop }, cut, false],
    ['what was launched in this boot has ended by itself', { boot: 'second' }, cut, false],
    ['of what nobody knows the boot, the same is taken', { boot: null }, cut, false],
  ])('%s', (_, task, container, expected) => {
    const local = { phase: 'running', boot: 'first', stop: null, ...task } as LocalTask;
    const seen = container === null ? undefined : ({ outOfMemory: false, ...container } as Container);
    expect(endedWithMachine(local, seen, boot)).toBe(expected);
  });

  it('says nothing where the machine does not name its boots', () => {
    const local = { phase: 'running', boot: 'first', stop: null } as LocalTask;
    expect(endedWithMachine(local, undefined, { ...boot, id: null })).toBe(false);
  });
});

const AGAIN = { restart: { afterReboot: true } };

/** A task runs, the power fails, and the machine is back without its uplink. */
async function cutOff(world: World): Promise<void> {
  await world.powerCut();
  world.controlPlane.fault = 'away';
  await world.startAgent();
}

async function runningWorld(group: Parameters<typeof anAssigned>[1] = { group: AGAIN }): Promise<World> {
  const world = new World();
  await world.startAgent();
  world.controlPlane.assign(anAssigned('t1', group));
  await world.clock.advance(1000);
  expect(world.controlPlane.stateOf('t1')).toBe('running');
  return world;
}

describe('a task that is to run again after a reboot', () => {
  it('does so without an uplink, as a further run, which is told when the uplink is back', async () => {
    const world = await runningWorld();
    const [first] = world.runtime.containers;
    await cutOff(world);
    await world.clock.advance(9_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
    await world.clock.advance(2_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
    expect(world.runtime.containers).toMatchObject([{ task: 't1', run: 1, state: 'running' }]);
    expect(world.runtime.containerOf('t1')?.id).not.toBe(first?.id);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    const told = world.controlPlane.historyOf('t1').map(({ state, run, reason }) => `${state} ${run} ${reason}`);
    expect(told).toEqual(['starting 0 accepted', 'running 0 started', 'running 1 restarted-after-reboot']);
  });

  it('does so at once where the control plane can be asked, and says that it is still wanted', async () => {
    const world = await runningWorld();
    await world.powerCut();
    await world.startAgent();
    await world.clock.advance(500);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
  });

  it('does not where that has stopped it, or given its place away', async () => {
    for (const change of ['stop', 'sweep'] as const) {
      const world = await runningWorld();
      await world.powerCut();
      if (change === 'stop') world.controlPlane.stop('t1', 1000);
      else world.controlPlane.sweep('t1');
      await world.startAgent();
      await world.clock.advance(60_000);
      expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
      expect(world.agent.inspect().tasks.get('t1')?.phase ?? 'ended').toBe('ended');
    }
  });

  it('does not while its node is refused', async () => {
    const world = await runningWorld();
    await world.powerCut();
    world.controlPlane.fault = 'refused';
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
  });

  it('runs as that further run once, wherever a crash comes', async () => {
    for (let crashAfterMs = 0; crashAfterMs < 300; crashAfterMs += 10) {
      const world = await runningWorld();
      await cutOff(world);
      await world.clock.advance(10_000 + crashAfterMs);
      await world.crash();
      await world.startAgent();
      await world.clock.advance(60_000);
      const runs = world.runtime.startedRuns;
      expect(new Set(runs).size, `crash after ${crashAfterMs} ms: ${runs}`).toBe(runs.length);
      expect(world.runtime.containers.filter(({ state }) => state === 'running')).toMatchObject([{ run: 1 }]);
    }
  });

  it('has its time anew', async () => {
    const world = await runningWorld({ group: { ...AGAIN, timeoutSeconds: 60 } });
    await world.clock.advance(50_000);
    await cutOff(world);
    await world.clock.advance(50_000);
    expect(world.runtime.containerOf('t1')?.state).toBe('running');
    await world.clock.advance(30_000);
    expect(world.agent.inspect().tasks.get('t1')?.status).toMatchObject({
      state: 'failed',
      reason: 'timed-out',
      run: 1,
    });
  });

  it('pulls nothing for it, though its image is pulled always', async () => {
    const world = new World({ engine: { pullable: ['far:1'] } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: { ...AGAIN, image: 'far:1', pullPolicy: 'always' } }));
    await world.clock.advance(5000);
    await cutOff(world);
    await world.clock.advance(60_000);
    expect(world.runtime.pulls).toEqual(['far:1']);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
  });

  it('has its end told as any other, once it ends by itself', async () => {
    const lives = [60_000, 1000];
    const behaviour = () => ({ ...LONG_RUNNING, lifeMs: lives.shift() ?? null, exitCode: 3 });
    const world = new World({ engine: { behaviour } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: AGAIN }));
    await world.clock.advance(1000);
    await cutOff(world);
    await world.clock.advance(20_000);
    await world.powerCut();
    world.controlPlane.fault = null;
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'failed', run: 1, exitCode: 3 });
  });
});

describe('an end by itself of a task that is to run again', () => {
  it('is on record before it is told, so that it is final whatever the power does', async () => {
    const behaviour = () => ({ ...LONG_RUNNING, lifeMs: 5000, exitCode: 255 });
    const world = new World({ engine: { behaviour } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: AGAIN }));
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t1')).toBe('failed');
    await cutOff(world);
    await world.clock.advance(60_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
  });

  it('is told also where the journal can not be written', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 5000 }) } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: AGAIN }));
    await world.clock.advance(1000);
    world.journal.isFull = true;
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t1')).toBe('finished');
  });
});

describe('power that comes and goes', () => {
  it('ends with a further run, though no agent lived to see the first boot', async () => {
    const world = await runningWorld();
    await world.powerCut();
    await world.clock.advance(3000);
    await cutOff(world);
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
  });
});

describe('a task that is not', () => {
  it('has ended, and says why', async () => {
    const world = await runningWorld({});
    await world.powerCut();
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({
      state: 'failed',
      reason: 'node-rebooted',
      message: 'ended when its node went down under it',
      exitCode: 255,
    });
  });

  it('is lost where nothing is left of it', async () => {
    const world = await runningWorld({});
    await world.journal.flush();
    await world.powerCut();
    world.runtime.removeByHand('t1');
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'lost', reason: 'node-rebooted' });
  });
});

describe('a task that takes its node down with it', () => {
  it('waits longer each time, and has ended after so many further runs in a row', async () => {
    const world = await runningWorld();
    const waits: number[] = [];
    for (let restart = 0; restart < RESTARTS_IN_A_ROW_MAX; restart += 1) {
      await world.powerCut();
      await world.startAgent();
      let waitedMs = 0;
      while (world.runtime.started.length < restart + 2 && waitedMs < 600_000) {
        await world.clock.advance(1000);
        waitedMs += 1000;
      }
      waits.push(Math.round(waitedMs / 10_000));
    }
    expect(waits).toEqual([0, 1, 2, 4, 8]);
    await world.powerCut();
    await world.startAgent();
    await world.clock.advance(600_000);
    expect(world.runtime.started).toHaveLength(RESTARTS_IN_A_ROW_MAX + 1);
    const end = world.controlPlane.historyOf('t1').at(-1);
    expect(end).toMatchObject({ state: 'failed', reason: 'node-rebooted', run: RESTARTS_IN_A_ROW_MAX });
    expect(end?.message).toContain('the 6th time in a row');
  });

  it('is forgiven each run that has lasted', async () => {
    const world = await runningWorld();
    for (let restart = 0; restart < RESTARTS_IN_A_ROW_MAX + 3; restart += 1) {
      await world.powerCut();
      await world.startAgent();
      await world.clock.advance(RUN_LASTS_MS + 1000);
      expect(world.agent.inspect().tasks.get('t1')).toMatchObject({ run: restart + 1, restarts: 0 });
      await world.journal.flush();
    }
  });
});

describe('the container of an earlier run', () => {
  it('is killed when somebody starts it by hand, and the task runs as its journal says', async () => {
    const world = await runningWorld();
    await cutOff(world);
    await world.clock.advance(15_000);
    await world.crash();
    world.runtime.removeByHand('t1');
    const gone = { exitCode: null, outOfMemory: false, error: '', startedAtMs: 1, endedAtMs: null };
    const planted = world.runtime.plant({ task: 't1', run: 0, state: 'running', ...gone });
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.runtime.signals.at(-1)).toMatchObject({ task: 't1', signal: 'SIGKILL' });
    expect(world.runtime.containers.some(({ id }) => id === planted.id)).toBe(false);
  });
});

it('a journal that has lost the run takes it from the container that runs', async () => {
  const world = await runningWorld();
  await cutOff(world);
  await world.clock.advance(15_000);
  await world.crash();
  await world.journal.compact(compactBook(emptyBook()));
  world.controlPlane.fault = null;
  await world.startAgent();
  await world.clock.advance(5000);
  expect(world.agent.inspect().tasks.get('t1')).toMatchObject({ phase: 'running', run: 1, boot: 'boot-1' });
  expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'running', run: 1 });
});
