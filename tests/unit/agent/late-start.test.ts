/** What may not run without contact is not begun late: a start takes its time, and the dead-man would have to end it at once. */
import { expect, it } from 'vitest';
import type { Fence } from '../../../node-agent/executor/contracts.ts';
import { anAssigned, World } from './world.ts';

const STOP_AFTER_MS = 20_000;

/** The world's fence, but for how long ago there was contact. */
function withContact(fence: Fence, contactAgeMs: () => number): Fence {
  return {
    nowMs: () => fence.nowMs(),
    confirmed: (sentAtMs) => fence.confirmed(sentAtMs),
    contactAgeMs,
    refusal: () => fence.refusal(),
    arm: (container, stopAfterMs) => fence.arm(container, stopAfterMs),
    isArmed: (container) => fence.isArmed(container),
    keepOnly: (containers) => fence.keepOnly(containers),
    hasStopped: (container) => fence.hasStopped(container),
    escapeOf: (container) => fence.escapeOf(container),
  };
}

it('half of the time that a task may run without contact has to be left when it is started', async () => {
  const world = new World();
  let contactAgeMs = STOP_AFTER_MS / 2 + 1;
  await world.startAgent({ fence: withContact(world.fence, () => contactAgeMs) });
  world.controlPlane.assign(anAssigned('t1', { stopAfterDisconnectMs: STOP_AFTER_MS }));
  await world.clock.advance(30_000);
  expect(world.runtime.started).toEqual([]);
  contactAgeMs = STOP_AFTER_MS / 2;
  await world.clock.advance(60_000);
  expect(world.runtime.started).toEqual(['t1']);
});
