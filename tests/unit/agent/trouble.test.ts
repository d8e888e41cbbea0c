/** Crashes, power cuts, lost uplinks, an engine that goes away: what an agent does when something else fails. */
import { describe, expect, it } from 'vitest';
import { ControlPlaneFault } from '../../../node-agent/executor/contracts.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, IMAGE, World } from './world.ts';

const outline = (world: World, task: string) =>
  world.controlPlane.historyOf(task).map(({ state, reason }) => `${state} ${reason}`);

describe('after a crash of the agent', () => {
  it('adopts what runs, and starts nothing twice', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.crash();
    await world.startAgent();
    await world.clock.advance(500);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
    expect(world.controlPlane.registrations.at(-1)?.tasks).toEqual(['t1']);
  });

  it('reports what has ended meanwhile', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 2000, exitCode: 7 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.crash();
    await world.clock.advance(5000);
    await world.startAgent();
    await world.clock.advance(100);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'failed', exitCode: 7 });
  });

  it('goes on with a grace that had begun', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, stopMs: null }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.stop('t1', 10_000);
    await world.clock.advance(4000);
    await world.crash();
    await world.clock.advance(1000);
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(4900);
    expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGTERM']);
    await world.clock.advance(200);
    expect(world.runtime.signals.map((sent) => sent.signal)).toEqual(['SIGTERM', 'SIGKILL']);
  });

  it('goes on with a start that had not come to a container', async () => {
    const world = new World({ engine: { images: [], pullable: [IMAGE], pullMs: 10_000 } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.crash();
    await world.startAgent();
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });

  it('starts nothing anew whose start had been asked for and of which nothing is left', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 100 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(50);
    await world.crash();
    // It runs and ends while nobody looks, and somebody prunes what has ended.
    await world.clock.advance(1000);
    world.runtime.removeByHand('t1');
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'lost', reason: 'not-found-on-node' });
  });

  it('removes a container that was created and never started, and starts the task anew', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    const { id: _, ...state } = {
      id: '',
      task: 't1',
      run: 0,
      state: 'created' as const,
      exitCode: null,
      outOfMemory: false,
      error: '',
      startedAtMs: null,
      endedAtMs: null,
    };
    const left = world.runtime.plant(state);
    await world.startAgent();
    await world.clock.advance(500);
    expect(world.runtime.containerOf('t1')?.id).not.toBe(left.id);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('tells statuses that had not been answered, in their order', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 100 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    world.controlPlane.losesAnswers = true;
    await world.startAgent();
    await world.clock.advance(1000);
    await world.agent.stop();
    const before = world.controlPlane.received.statuses.length;
    world.controlPlane.losesAnswers = false;
    await world.startAgent();
    await world.clock.advance(100);
    const told = world.controlPlane.received.statuses.slice(before).map((status) => status.state);
    expect(told).toEqual(['starting', 'running', 'finished']);
  });

  it('reports as lost what its journal and its engine have never seen', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1', { state: 'running' }));
    await world.startAgent();
    await world.clock.advance(100);
    expect(world.controlPlane.received.statuses).toMatchObject([{ state: 'lost', reason: 'not-found-on-node' }]);
    expect(world.runtime.started).toEqual([]);
  });

  it('ends with a power cut what ran, and never runs it again', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.crash();
    world.runtime.powerCut();
    await world.startAgent();
    await world.clock.advance(500);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'failed', exitCode: 255 });
    expect(world.runtime.started).toEqual(['t1']);
  });
});

describe('while a listing of containers is under way', () => {
  it('takes it for no answer to what went wrong since', async () => {
    const world = new World();
    await world.startAgent();
    await world.clock.advance(100);
    world.runtime.listMs = 300;
    world.runtime.comeBack();
    world.runtime.failNext('run', 'after');
    world.controlPlane.assign(anAssigned('t1'));
    await world.clock.advance(5000);
    expect(outline(world, 't1')).toEqual(['starting accepted', 'running started']);
    expect(world.runtime.started).toEqual(['t1']);
  });
});

describe('while the control plane is away', () => {
  it('leaves tasks alone, says so once, and says once that it is back', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.fault = 'away';
    await world.clock.advance(300_000);
    expect(world.runtime.containerOf('t1')?.state).toBe('running');
    world.controlPlane.fault = null;
    await world.clock.advance(20_000);
    const lines = world.logged.filter((entry) => entry.message.includes('control plane'));
    expect(lines.map((entry) => entry.level)).toEqual(['info', 'warn', 'info']);
  });

  it('starts nothing that it has not begun', async () => {
    const world = new World();
    await world.startAgent();
    await world.clock.advance(100);
    world.controlPlane.fault = 'away';
    world.controlPlane.assign(anAssigned('t1'));
    await world.clock.advance(60_000);
    expect(world.runtime.started).toEqual([]);
    world.controlPlane.fault = null;
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('adopts what runs and keeps its end for later', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 60_000 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.crash();
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(120_000);
    expect(world.agent.inspect().tasks.get('t1')).toMatchObject({ phase: 'ended' });
    world.controlPlane.fault = null;
    await world.clock.advance(20_000);
    expect(world.controlPlane.stateOf('t1')).toBe('finished');
  });
});

describe('a session', () => {
  it('is followed by a new one when the epoch has moved on, and tells again what was missed', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    // The record fell behind, as after a restore: the new session has to bring it up to date.
    world.controlPlane.change('t1', { state: 'starting' });
    world.controlPlane.raiseEpoch();
    await world.clock.advance(5000);
    expect(world.agent.inspect().epoch).toBe(world.controlPlane.epoch);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('refuses an assignment that lies behind what was seen, also after a restart', async () => {
    const world = new World();
    world.controlPlane.generation = 50;
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    await world.agent.stop();
    world.controlPlane.generation = 20;
    world.controlPlane.assign(anAssigned('t2'));
    await world.startAgent();
    await world.clock.advance(5000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.logged.some((entry) => entry.message.includes('refused an assignment'))).toBe(true);
  });

  it('follows a lower generation of a higher incarnation, and keeps aside what that does not know', async () => {
    const world = new World();
    world.controlPlane.generation = 50;
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.incarnation = 2;
    world.controlPlane.generation = 3;
    world.controlPlane.sweep('t1');
    world.controlPlane.assign(anAssigned('t2'));
    await world.clock.advance(5000);
    expect(world.runtime.started).toEqual(['t1', 't2']);
    expect(world.runtime.containerOf('t1')?.state).toBe('running');
    expect(world.logged.some((entry) => entry.message.includes('kept aside'))).toBe(true);
  });

  it('ends what it keeps aside once somebody asks for it, also after a restart in between', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.controlPlane.incarnation = 2;
    world.controlPlane.sweep('t1');
    await world.clock.advance(500);
    await world.agent.stop();
    world.controlPlane.keptAsideStops = [{ task: 't1', reason: 'not needed' }];
    await world.startAgent();
    await world.clock.advance(30_000);
    expect(world.runtime.containerOf('t1')?.state).toBe('exited');
    expect(world.controlPlane.received.statuses.at(-1)).toMatchObject({ task: 't1', state: 'killed' });
  });

  it('asks with what it has seen after a refusal, and asks for everything again when that stands', async () => {
    const world = new World();
    world.controlPlane.generation = 50;
    await world.startAgent();
    await world.clock.advance(500);
    await world.agent.stop();
    world.controlPlane.generation = 20;
    const positions: (number | undefined)[] = [];
    const { assignment } = world.controlPlane;
    world.controlPlane.assignment = (epoch, query, signal) => {
      positions.push(query.position?.generation);
      // A replica that is behind catches up when it is told how far others are; then it has no news.
      if (query.position?.generation === 50 && world.controlPlane.generation === 20) {
        world.controlPlane.generation = 50;
        return Promise.resolve(null);
      }
      return assignment.call(world.controlPlane, epoch, query, signal);
    };
    await world.startAgent();
    await world.clock.advance(10_000);
    expect(positions.slice(0, 3)).toEqual([undefined, 50, undefined]);
    expect(world.agent.inspect().isLive).toBe(true);
  });

  it('ends orphans only after the control plane has said that they are not wanted', async () => {
    const world = new World();
    const running = { run: 0, exitCode: null, outOfMemory: false, error: '', startedAtMs: 0, endedAtMs: null };
    world.runtime.plant({ task: 'stray', state: 'running', ...running });
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.containerOf('stray')?.state).toBe('running');
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    expect(world.runtime.containerOf('stray')).toBeUndefined();
  });

  it('is not taken for lost when only a report is refused', async () => {
    const world = new World();
    const refusing = new Proxy(world.controlPlane, {
      get(target, name) {
        if (name === 'statuses') return () => Promise.reject(new ControlPlaneFault('refused', 'not like this'));
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent({ controlPlane: refusing });
    await world.clock.advance(60_000);
    expect(world.agent.inspect().isLive).toBe(true);
    expect(world.logged.filter((entry) => entry.level === 'warn')).toHaveLength(1);
  });

  it('does not register in a frenzy when its token is refused over and over', async () => {
    const world = new World();
    await world.startAgent();
    world.controlPlane.fault = 'unauthenticated';
    await world.clock.advance(60_000);
    world.controlPlane.fault = null;
    const before = world.controlPlane.registrations.length;
    await world.clock.advance(20_000);
    expect(world.controlPlane.registrations.length).toBe(before + 1);
  });
});

describe('a request for the assignment that hangs on a dead connection', () => {
  it('is given up as soon as another call has found a way', async () => {
    const world = new World();
    let polls = 0;
    const hanging = new Proxy(world.controlPlane, {
      get(target, name) {
        if (name === 'assignment') {
          return (...query: Parameters<typeof target.assignment>) => {
            polls += 1;
            // The second one is never answered: its connection died without a word.
            return polls === 2
              ? new Promise((_, reject) => query[2].addEventListener('abort', reject))
              : target.assignment(...query);
          };
        }
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    await world.startAgent({ controlPlane: hanging });
    await world.clock.advance(3000);
    world.controlPlane.fault = 'away';
    await world.clock.advance(3000);
    world.controlPlane.fault = null;
    world.controlPlane.assign(anAssigned('t1'));
    await world.clock.advance(5000);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });
});

describe('while the engine is away', () => {
  it('decides nothing, and goes on when it is back', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 10_000 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.runtime.goAway();
    world.controlPlane.assign(anAssigned('t2'));
    await world.clock.advance(30_000);
    expect(outline(world, 't1').at(-1)).toBe('running started');
    world.runtime.comeBack();
    await world.clock.advance(30_000);
    expect(world.controlPlane.stateOf('t1')).toBe('finished');
    expect(world.runtime.started).toEqual(['t1', 't2']);
  });

  it('starts nothing twice when the answer to a start is lost', async () => {
    const world = new World();
    world.runtime.failNext('run', 'after');
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(30_000);
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.stateOf('t1')).toBe('running');
  });

  it('notices by itself an end whose event was lost', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 1000 }) } });
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(500);
    world.runtime.isAway = true;
    await world.clock.advance(1000);
    world.runtime.isAway = false;
    await world.clock.advance(60_000);
    expect(world.controlPlane.stateOf('t1')).toBe('finished');
  });
});

describe('a journal that cannot be written', () => {
  it('keeps new tasks from being started until it can', async () => {
    const world = new World();
    world.journal.isFull = true;
    world.controlPlane.assign(anAssigned('t1'));
    await world.startAgent();
    await world.clock.advance(10_000);
    expect(world.runtime.started).toEqual([]);
    world.journal.isFull = false;
    await world.clock.advance(30_000);
    expect(world.runtime.started).toEqual(['t1']);
  });
});

describe('streams of output', () => {
  const follow = { follow: true, tail: null, since: null };
  const world = (lifeMs: number | null) =>
    new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs, output: ['one', 'two'] }) } });
  const texts = (of: World, stream: string) => of.controlPlane.received.lines.get(stream)?.map((line) => line.text);

  it('are dialled out to, wait for their container, and end with it', async () => {
    const at = world(1000);
    await at.startAgent();
    at.controlPlane.wantStreams([{ id: 's1', task: 't1', ...follow }]);
    at.controlPlane.assign(anAssigned('t1'));
    await at.clock.advance(500);
    expect(texts(at, 's1')).toEqual(['one', 'two']);
    expect(at.controlPlane.received.endedStreams).toEqual([]);
    await at.clock.advance(2000);
    expect(at.controlPlane.received.endedStreams).toEqual(['s1']);
  });

  it('end when nobody wants them any more', async () => {
    const at = world(null);
    at.controlPlane.assign(anAssigned('t1'));
    await at.startAgent();
    at.controlPlane.wantStreams([{ id: 's1', task: 't1', ...follow }]);
    await at.clock.advance(1000);
    at.controlPlane.wantStreams([]);
    await at.clock.advance(1000);
    expect(at.controlPlane.received.endedStreams).toEqual(['s1']);
  });

  it('say so when there is no output to be had', async () => {
    const at = world(null);
    await at.startAgent();
    at.controlPlane.wantStreams([{ id: 's1', task: 'nobody', ...follow }]);
    await at.clock.advance(1000);
    expect(at.controlPlane.received.lines.get('s1')).toMatchObject([
      { text: '', error: expect.stringContaining('no output') },
    ]);
  });

  it('give only the last lines when asked so', async () => {
    const at = world(null);
    at.controlPlane.assign(anAssigned('t1'));
    await at.startAgent();
    await at.clock.advance(1000);
    at.controlPlane.wantStreams([{ id: 's1', task: 't1', follow: false, tail: 1, since: null }]);
    await at.clock.advance(1000);
    expect(texts(at, 's1')).toEqual(['two']);
  });
});
