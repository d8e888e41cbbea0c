/** Images that a node is to have before it needs them. */
import { describe, expect, it } from 'vitest';
import { anAssigned, IMAGE, World } from './world.ts';

const world = async (pullable: readonly string[] = ['new:1', 'new:2']): Promise<World> => {
  const made = new World({ engine: { pullable, pullMs: 2000 } });
  await made.startAgent();
  await made.clock.advance(100);
  return made;
};
const told = ({ controlPlane }: World) => controlPlane.received.images.map(({ image, state }) => `${image} ${state}`);

describe('an image that is asked for', () => {
  it('is pulled once, and told of when it is there', async () => {
    const { clock, controlPlane, runtime } = await world();
    controlPlane.wantImages('new:1', 'new:2');
    await clock.advance(1500);
    expect(controlPlane.received.images).toEqual([]);
    await clock.advance(1000);
    expect(controlPlane.received.images).toEqual([
      { image: 'new:1', state: 'ready', message: '' },
      { image: 'new:2', state: 'ready', message: '' },
    ]);
    expect(runtime.pulls).toEqual(['new:1', 'new:2']);
  });

  it('is told of at once where it is there', async () => {
    const made = await world();
    made.controlPlane.wantImages(IMAGE);
    await made.clock.advance(100);
    expect(told(made)).toEqual([`${IMAGE} ready`]);
    expect(made.runtime.pulls).toEqual([]);
  });

  it('that can not be had is told of, and why', async () => {
    const made = await world();
    made.controlPlane.wantImages('nowhere:1');
    await made.clock.advance(3000);
    expect(made.controlPlane.received.images).toEqual([
      { image: 'nowhere:1', state: 'failed', message: 'nowhere:1: not found' },
    ]);
  });

  it('shares its pull with the task that needs it', async () => {
    const made = await world();
    made.controlPlane.wantImages('new:1');
    await made.clock.advance(500);
    made.controlPlane.assign(anAssigned('t', { group: { image: 'new:1' } }));
    await made.clock.advance(2000);
    expect(made.controlPlane.stateOf('t')).toBe('running');
    expect(made.runtime.pulls).toEqual(['new:1']);
  });

  it('is given up when it is asked for no more, and pulled anew when it is again', async () => {
    const made = await world();
    made.controlPlane.wantImages('new:1');
    await made.clock.advance(500);
    made.controlPlane.wantImages();
    await made.clock.advance(500);
    made.controlPlane.wantImages('new:1');
    await made.clock.advance(5000);
    expect(made.runtime.pulls).toEqual(['new:1', 'new:1']);
    expect(told(made)).toEqual(['new:1 ready']);
  });

  it('is told of anew in another session, where it is still asked for', async () => {
    const made = await world();
    made.controlPlane.losesAnswers = true;
    made.controlPlane.wantImages(IMAGE);
    await made.clock.advance(100);
    made.controlPlane.losesAnswers = false;
    // As if the state had never come to know.
    made.controlPlane.wantImages(IMAGE);
    made.controlPlane.raiseEpoch();
    await made.clock.advance(20_000);
    expect(told(made).length).toBeGreaterThan(1);
    expect(made.runtime.pulls).toEqual([]);
  });

  it('is tried again when the engine is back', async () => {
    const made = await world();
    made.runtime.goAway();
    made.controlPlane.wantImages('new:1');
    await made.clock.advance(5000);
    expect(told(made)).toEqual([]);
    made.runtime.comeBack();
    await made.clock.advance(30_000);
    expect(told(made)).toEqual(['new:1 ready']);
  });
});
