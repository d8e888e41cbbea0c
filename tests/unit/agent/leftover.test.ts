/** What a dead agent had asked of the engine may still happen after the next agent has looked. */
import { expect, it } from 'vitest';
import { sleep } from '../../../shared/util/clock.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

it('a start that is still under way is not undone by the agent that comes after', async () => {
  const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, startMs: 1000 }) } });
  const { runtime, clock } = world;
  world.controlPlane.assign(anAssigned('t1'));
  await world.startAgent();
  await clock.advance(800);
  await world.crash();
  const slowList = async () => {
    const listed = await runtime.list();
    await sleep(clock, 500);
    return listed;
  };
  const slow = new Proxy(runtime, {
    get(target, name) {
      if (name === 'list') return slowList;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  await world.startAgent({ runtime: slow });
  await clock.advance(10_000);
  expect(runtime.started).toEqual(['t1']);
  expect(runtime.containerOf('t1')?.state).toBe('running');
  expect(world.controlPlane.stateOf('t1')).toBe('running');
});
