/** When a task that an executor is to run is started, and when it never will be. */
import { describe, expect, it } from 'vitest';
import { endingOf, fallenEnding } from '../../../node-agent/core/ending.ts';
import { hostOf } from '../../../node-agent/core/hosting.ts';
import type { Assignment, Container, LocalTask } from '../../../node-agent/core/model.ts';
import { endedWithMachine } from '../../../node-agent/core/restart.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const moment = { wallMs: 0, steadyMs: 0 };
const stop = { atMs: 0, graceMs: 1000, reason: 'enough' };

function aLocal(change: Partial<LocalTask>): LocalTask {
  return {
    ...{
      id: 'runner',
      run: 0,
      boot: 'now',
      restarts: 0,
      again: [],
      why: null,
      phase: 'running',
      incarnation: 1,
      epoch: 1,
      origin: null,
    },
    ...{ timeoutMs: null, graceMs: 5000, stopAfterMs: null, startedAt: moment, stop: null, endedAt: null },
    ...{ unhealthy: null, status: null, unanswered: [], release: 'none', ...change },
  };
}

function assignmentOf(tasks: readonly AssignedTask[]): Assignment {
  return {
    position: { incarnation: 1, generation: 1 },
    tasks: new Map(tasks.map((task) => [task.id, task])),
    keptAsideStops: new Map(),
  };
}

describe('an executor', () => {
  const wanted = anAssigned('runner');
  it.each<[string, Partial<LocalTask> | null, AssignedTask | null, string]>([
    ['runs', {}, wanted, 'ready'],
    ['runs, and nobody has said anything yet', {}, null, 'ready'],
    ['is being started', { phase: 'launched' }, wanted, 'awaited'],
    ['has not been touched', null, wanted, 'awaited'],
    ['has ended', { phase: 'ended' }, wanted, 'over'],
    ['is being ended', { stop: { since: moment, graceMs: 0, cause: 'timed-out', message: '' } }, wanted, 'over'],
    ['is to end', {}, { ...wanted, stop }, 'over'],
    ['was given up', {}, { ...wanted, disowned: true }, 'over'],
    ['has ended before this agent knew it', null, { ...wanted, state: 'lost' }, 'over'],
    ['is to end before it was begun', null, { ...wanted, stop }, 'over'],
  ])('that %s is for its tasks: %#', (_, local, assigned, expected) => {
    const journal = new Map(local === null ? [] : [['runner', aLocal(local)] as const]);
    const assignment = assigned === null ? null : assignmentOf([assigned]);
    expect(hostOf('runner', { assignment, journal })).toBe(expected);
  });

  it('that nobody knows is awaited until the control plane has said that there is none', () => {
    expect(hostOf('runner', { assignment: null, journal: new Map() })).toBe('awaited');
    expect(hostOf('runner', { assignment: assignmentOf([]), journal: new Map() })).toBe('over');
  });
});

describe('a task that an executor is to run', () => {
  const group = { image: '', runtime: 'executor', executor: 'runner' } as const;

  async function aWorld(): Promise<World> {
    const world = new World({
      engine: {
        behaviour: ({ id }) => ({ ...LONG_RUNNING, startMs: id === 'runner' ? 60_000 : 0 }),
        images: ['', 'tool:1'],
      },
      consent: { executors: true },
    });
    await world.startAgent();
    return world;
  }

  it('is started when its executor runs, and holds up nothing until then', async () => {
    const world = await aWorld();
    const hosted = ['a', 'b', 'c'].map((id) => anAssigned(id, { group }));
    world.controlPlane.assign(...hosted, anAssigned('runner', { group: { isExecutor: true } }), anAssigned('other'));
    await world.clock.advance(50_000);
    expect(world.runtime.started).toEqual(['other']);
    await world.clock.advance(20_000);
    expect(world.runtime.started.slice(1)).toEqual(['runner', 'a', 'b', 'c']);
  });

  it('fails where its executor has ended', async () => {
    const world = await aWorld();
    world.controlPlane.assign(anAssigned('a', { group }));
    await world.clock.advance(1000);
    expect(world.controlPlane.historyOf('a').at(-1)).toMatchObject({ state: 'failed', reason: 'executor-ended' });
    expect(world.runtime.started).toEqual([]);
  });
});

describe('the end of a task that an executor ran', () => {
  const told = { state: 'failed', reason: 'executor-ended', message: 'gone', exitCode: null } as const;
  const container: Container = {
    ...{ id: 'hosted-1', task: 't', run: 0, state: 'exited', exitCode: null, outOfMemory: false, error: '' },
    ...{ startedAtMs: 0, endedAtMs: 1, ending: told },
  };

  it('is what its executor says, unless it was asked to end', () => {
    expect(endingOf(aLocal({}), container)).toEqual(told);
    const asked = { since: moment, graceMs: 0, cause: 'stop-requested', message: 'enough' } as const;
    expect(endingOf(aLocal({ stop: asked }), container)).toMatchObject({ state: 'killed', message: 'enough' });
  });

  it('is not put down to the machine that has gone down since', () => {
    const boot = { id: 'next', startedAt: moment };
    expect(endedWithMachine(aLocal({}), container, boot)).toBe(false);
    expect(endedWithMachine(aLocal({}), { ...container, ending: undefined }, boot)).toBe(true);
    expect(fallenEnding(aLocal({}), container)).toMatchObject({ reason: 'node-rebooted' });
  });
});
