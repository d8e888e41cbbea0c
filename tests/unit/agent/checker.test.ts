/** Checks in the life of an agent: made whatever else is wrong, told until somebody has heard, and never held against the innocent. */
import { describe, expect, it } from 'vitest';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { aCheck, FAILS, PASSES } from '../../support/fake-probes.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

/** Its port is its own, so that probes can be told apart. */
function aChecked(id: string, port: number, ...checks: readonly CheckSpec[]): AssignedTask {
  const group = { checks, ports: [{ name: 'http', protocol: 'tcp' as const }], killGraceSeconds: 0 };
  return anAssigned(id, { group, ports: { http: port } });
}

async function running(world: World, ...tasks: readonly AssignedTask[]): Promise<void> {
  world.controlPlane.assign(...tasks);
  await world.startAgent();
  await world.clock.advance(500);
  for (const { id } of tasks) expect(world.controlPlane.stateOf(id)).toBe('running');
}

const told = (world: World, task: string) =>
  world.controlPlane.received.health.filter((report) => report.task === task).map(({ health }) => health);

describe('a task that works', () => {
  it('is told of once, probed for as long as it runs, and no longer', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, aCheck()));
    await world.clock.advance(10_000);
    expect(told(world, 't')).toMatchObject([{ run: 0, healthy: true, ready: true }]);
    expect(world.probes.made).toHaveLength(10);
    world.controlPlane.stop('t', 5000);
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t')).toBe('killed');
    expect(world.probes.made.length).toBeLessThan(12);
  });

  it('is not probed while it is being ended, however long that takes', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
    await running(world, aChecked('t', 1, aCheck()));
    world.controlPlane.stop('t', 60_000);
    await world.clock.advance(1000);
    const before = world.probes.made.length;
    world.probes.answer = () => FAILS;
    await world.clock.advance(50_000);
    expect(world.probes.made).toHaveLength(before);
    await world.clock.advance(20_000);
    expect(world.controlPlane.stateOf('t')).toBe('killed');
  });

  it('is not held up by another that does not answer', async () => {
    const world = new World();
    world.probes.answer = ({ port }) => (port === 1 ? 'hangs' : PASSES);
    const slow = aCheck({ timeoutSeconds: 30, onFailure: 'none' });
    await running(world, aChecked('slow', 1, slow), aChecked('quick', 2, aCheck()));
    await world.clock.advance(20_000);
    expect(world.probes.made.filter((port) => port === 1)).toHaveLength(1);
    expect(world.probes.made.filter((port) => port === 2)).toHaveLength(20);
  });

  it('runs on, checked and told of afterwards, while the control plane is away', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, aCheck()));
    world.controlPlane.fault = 'away';
    await world.clock.advance(600_000);
    expect(world.probes.made.length).toBeGreaterThan(590);
    expect(world.runtime.signals).toEqual([]);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    expect(told(world, 't').at(-1)).toMatchObject({ healthy: true });
  });

  it('is told of again in each session, and until somebody has answered', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, aCheck()));
    await world.clock.advance(2000);
    expect(told(world, 't')).toHaveLength(1);
    world.controlPlane.raiseEpoch();
    await world.clock.advance(5000);
    expect(told(world, 't')).toHaveLength(2);
    expect(new Set(told(world, 't').map((health) => JSON.stringify(health))).size).toBe(1);
    world.controlPlane.losesAnswers = true;
    world.probes.answer = () => FAILS;
    await world.clock.advance(5000);
    world.controlPlane.losesAnswers = false;
    await world.clock.advance(5000);
    const lost = told(world, 't').filter(({ healthy }) => healthy === false);
    expect(lost.length).toBeGreaterThan(1);
    const { length } = told(world, 't');
    await world.clock.advance(20_000);
    expect(told(world, 't')).toHaveLength(length);
  });

  it('is told of once more after a while, should an older word have come later', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, aCheck()));
    await world.clock.advance(25_000);
    expect(told(world, 't')).toHaveLength(1);
    await world.clock.advance(600_000);
    expect(told(world, 't')).toHaveLength(2);
    expect(told(world, 't')[1]).toEqual(told(world, 't')[0]);
  });

  it('is unharmed by the end of its agent: its grace begins anew', async () => {
    const world = new World();
    const check = aCheck({ graceSeconds: 10, failuresMax: 1 });
    await running(world, aChecked('t', 1, check));
    await world.clock.advance(10_000);
    expect(told(world, 't')).toHaveLength(1);
    await world.crash();
    world.probes.answer = () => FAILS;
    await world.startAgent();
    await world.clock.advance(9000);
    world.probes.answer = () => PASSES;
    await world.clock.advance(15_000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    expect(told(world, 't').map(({ healthy }) => healthy)).toEqual([true, true]);
  });
});

describe('a task that does not work', () => {
  it('is ended as failed, with what was found, once that is told', async () => {
    const world = new World();
    world.probes.answer = () => FAILS;
    await running(world, aChecked('t', 1, aCheck()));
    await world.clock.advance(2000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    await world.clock.advance(2000);
    expect(world.controlPlane.historyOf('t').at(-1)).toMatchObject({
      state: 'failed',
      reason: 'unhealthy',
      message: 'its check "web" failed 3 times in a row: status 503',
    });
    expect(told(world, 't').at(-1)).toMatchObject({ healthy: false });
  });

  it('is only shown where its check says so', async () => {
    const world = new World();
    world.probes.answer = () => FAILS;
    await running(world, aChecked('t', 1, aCheck({ onFailure: 'none' })));
    await world.clock.advance(60_000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    expect(told(world, 't').at(-1)).toMatchObject({ healthy: false });
  });

  it('runs on while nobody is there to replace it, and is ended when somebody is', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, aCheck()), aChecked('comes-round', 2, aCheck()));
    world.controlPlane.fault = 'away';
    await world.clock.advance(10_000);
    world.probes.answer = () => FAILS;
    await world.clock.advance(60_000);
    expect(world.runtime.signals).toEqual([]);
    world.probes.answer = ({ port }) => (port === 2 ? PASSES : FAILS);
    await world.clock.advance(10_000);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.controlPlane.historyOf('t').at(-1)).toMatchObject({ state: 'failed', reason: 'unhealthy' });
    expect(world.controlPlane.stateOf('comes-round')).toBe('running');
  });

  it('runs again where it is, whoever is away, with its whole grace, and with nothing held against the new run', async () => {
    const world = new World();
    const inPlace = { max: 2, withinSeconds: 600, delaySeconds: 1, factor: 1, maxDelaySeconds: 1 };
    const task = aChecked('t', 1, aCheck({ onFailure: 'restart', graceSeconds: 5 }));
    await running(world, { ...task, group: { ...task.group, restart: { afterReboot: false, inPlace } } });
    await world.clock.advance(5000);
    world.controlPlane.fault = 'away';
    world.probes.answer = () => FAILS;
    await world.clock.advance(8000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1']);
    world.probes.answer = () => PASSES;
    world.controlPlane.fault = null;
    await world.clock.advance(60_000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    expect(told(world, 't').at(-1)).toMatchObject({ run: 1, healthy: true });
    world.probes.answer = () => FAILS;
    await world.clock.advance(60_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1', 't run 2']);
    const end = world.controlPlane.historyOf('t').at(-1);
    expect(end).toMatchObject({ state: 'failed', reason: 'unhealthy', run: 2 });
    expect(end?.message).toContain('its check "web" failed 3 times in a row: status 503; it had been started again');
  });

  it('is ended also by the next agent, where this one dies in between', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
    world.probes.answer = () => FAILS;
    await running(world, aChecked('t', 1, aCheck()));
    world.runtime.failNext('signal');
    await world.clock.advance(2600);
    await world.crash();
    world.probes.answer = () => PASSES;
    await world.startAgent();
    await world.clock.advance(15_000);
    expect(world.controlPlane.historyOf('t').at(-1)).toMatchObject({ state: 'failed', reason: 'unhealthy' });
  });
});

describe('a command', () => {
  const inside = (change: Partial<CheckSpec> = {}) => aCheck({ type: 'command', command: ['ok'], ...change });

  it.each([
    [{ exitCode: 0, output: '' }, true, 'exit code 0'],
    [{ exitCode: 2, output: 'no\ndisk' }, false, 'exit code 2: no disk'],
    [{ exitCode: null, output: '' }, false, 'was ended by a signal'],
    ['hangs' as const, false, 'no answer within 1 s'],
  ])('that comes to %j passes: %j', async (answer, healthy, message) => {
    const world = new World();
    world.runtime.execAnswer = () => answer;
    await running(world, aChecked('t', 1, inside({ onFailure: 'none', failuresMax: 1 })));
    await world.clock.advance(5000);
    expect(told(world, 't').at(-1)).toMatchObject({ healthy, checks: [{ message }] });
  });

  it('that an engine does not run says nothing about the task', async () => {
    const world = new World();
    await running(world, aChecked('t', 1, inside({ failuresMax: 1 })));
    await world.clock.advance(2000);
    world.runtime.goAway();
    await world.clock.advance(60_000);
    world.runtime.comeBack();
    await world.clock.advance(40_000);
    expect(world.controlPlane.stateOf('t')).toBe('running');
    expect(told(world, 't').map(({ healthy }) => healthy)).not.toContain(false);
  });
});

describe('many tasks', () => {
  it('that are checked each second are all probed each second', async () => {
    const world = new World({ config: { startConcurrency: 200 } });
    const tasks = Array.from({ length: 200 }, (_, index) => aChecked(`t${index}`, index, aCheck()));
    await running(world, ...tasks);
    await world.clock.advance(5000);
    const counts = Map.groupBy(world.probes.made, (port) => port);
    expect(counts.size).toBe(200);
    expect(Math.min(...[...counts.values()].map((made) => made.length))).toBeGreaterThanOrEqual(5);
    expect(world.controlPlane.received.health).toHaveLength(200);
  });
});
