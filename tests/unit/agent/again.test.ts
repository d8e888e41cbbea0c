/** A run that has ended by itself: whether a further one follows where it was, when, and what is told of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { againAtMs, lastEnding, mayRunAgain } from '../../../node-agent/core/again.ts';
import { ending } from '../../../node-agent/core/ending.ts';
import type { Ending, LocalTask, StopCause, Unhealthy } from '../../../node-agent/core/model.ts';
import { applyRecord, emptyBook, startingRecords, UNANSWERED_MAX } from '../../../node-agent/core/records.ts';
import type { InPlaceRestarts } from '../../../shared/domain/service.ts';
import type { TaskReason } from '../../../shared/domain/task.ts';
import { present } from '../../../shared/util/assert.ts';
import { type Behaviour, LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const POLICY: InPlaceRestarts = { max: 3, withinSeconds: 600, delaySeconds: 1, factor: 2, maxDelaySeconds: 300 };
const restart = (change: Partial<InPlaceRestarts> = {}) => ({ afterReboot: false, inPlace: { ...POLICY, ...change } });

/** What the journal holds of a task whose runs ended at these times, each followed by another. */
function localAfter(endsAtMs: readonly number[], policy: InPlaceRestarts | undefined = POLICY): LocalTask {
  const book = emptyBook();
  const group = { restart: { afterReboot: false, inPlace: policy } };
  const now = { wallMs: 1e9, steadyMs: 1e9 };
  const records = startingRecords(book, anAssigned('t', { group }), { incarnation: 1, epoch: 1 });
  for (const record of records) applyRecord(book, record, now);
  for (const [index, atMs] of endsAtMs.entries()) {
    applyRecord(book, { kind: 'again', task: 't', run: index + 1, atMs, why: 'exited with code 3' }, now);
  }
  return present(book.tasks.get('t'), 'the task');
}

const EXITED = ending('failed', 'exited', 'exited with code 3', 3);
const stopped = (cause: StopCause) => ({ stop: { since: { wallMs: 0, steadyMs: 0 }, graceMs: 1, cause, message: '' } });
const unhealthy = (reaction: Unhealthy['reaction']) => ({
  ...stopped('unhealthy'),
  unhealthy: { reaction, message: '' },
});

describe('a further run where it was', () => {
  it.each<[string, Ending['state'], TaskReason, Partial<LocalTask>, boolean]>([
    ['follows an end with an error', 'failed', 'exited', {}, true],
    ['follows an end without one, since it was to run for ever', 'finished', 'exited', {}, true],
    ['follows one for want of memory', 'failed', 'out-of-memory', {}, true],
    ['follows a container that somebody else has removed', 'lost', 'not-found-on-node', {}, true],
    ['follows an end of which the engine has forgotten how it came', 'lost', 'engine-error', {}, true],
    ['does not follow a stop', 'killed', 'stop-requested', stopped('stop-requested'), false],
    ['not even where it ended by itself before the signal', 'failed', 'exited', stopped('stop-requested'), false],
    ['does not follow a timeout', 'failed', 'timed-out', stopped('timed-out'), false],
    ['does not follow a cut-off node', 'failed', 'disconnected', {}, false],
    ['does not follow a command that can not be run', 'error', 'command-unusable', {}, false],
    ['does not follow what the node refuses', 'error', 'refused-by-node', {}, false],
    ['follows a failed check that asks for it', 'failed', 'unhealthy', unhealthy('restart'), true],
    ['does not follow one that asks for another task', 'failed', 'unhealthy', unhealthy('replace'), false],
    ['does not follow one of which nothing is on record', 'failed', 'unhealthy', stopped('unhealthy'), false],
    ['does not follow where the group asks for none', 'failed', 'exited', { origin: anAssigned('t') }, false],
    ['does not follow where nothing is known of the task', 'failed', 'exited', { origin: null }, false],
  ])('%s', (_, state, reason, change, expected) => {
    expect(mayRunAgain({ ...localAfter([]), ...change }, ending(state, reason, ''), 0)).toBe(expected);
  });

  it('follows so many within the time, and no more', () => {
    const local = localAfter([10_000, 20_000, 30_000]);
    expect(mayRunAgain(local, EXITED, 40_000)).toBe(false);
    expect(lastEnding(local, EXITED, 40_000).message).toBe(
      'exited with code 3; it had been started again in place 3 times within 600 s, and is not once more',
    );
    expect(mayRunAgain(local, EXITED, 610_000)).toBe(true);
    expect(lastEnding(local, EXITED, 610_000)).toEqual(EXITED);
  });

  it('comes after a pause that grows up to a bound, and is short again after a good while', () => {
    const pauses = (ends: readonly number[], policy: Partial<InPlaceRestarts> = {}) =>
      ends.map((atMs, at) => againAtMs(localAfter(ends.slice(0, at + 1), { ...POLICY, ...policy })) - atMs);
    expect(pauses([0, 1, 2, 3], { max: 9, maxDelaySeconds: 5 })).toEqual([1000, 2000, 4000, 5000]);
    expect(pauses([0, 10_000, 700_000])).toEqual([1000, 2000, 1000]);
    expect(pauses([0, 1], { delaySeconds: 0 })).toEqual([0, 0]);
    expect(pauses([0], { delaySeconds: 60, maxDelaySeconds: 20 })).toEqual([20_000]);
    expect(againAtMs(localAfter([]))).toBe(Number.NEGATIVE_INFINITY);
  });
});

const anyPolicy = fc.record({
  max: fc.integer({ min: 1, max: 8 }),
  withinSeconds: fc.integer({ min: 1, max: 1000 }),
  delaySeconds: fc.integer({ min: 0, max: 100 }),
  factor: fc.double({ min: 1, max: 100, noNaN: true }),
  maxDelaySeconds: fc.integer({ min: 0, max: 1000 }),
});

describe('further runs, whatever the policy and whenever runs end', () => {
  it('are never more than it allows within its time, and no pause is longer than it allows', () => {
    fc.assert(
      fc.property(anyPolicy, fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 30 }), (policy, livesMs) => {
        const begunAtMs: number[] = [];
        let nowMs = 0;
        for (const lifeMs of livesMs) {
          nowMs += lifeMs;
          if (!mayRunAgain(localAfter(begunAtMs, policy), EXITED, nowMs)) break;
          begunAtMs.push(nowMs);
          const atMs = againAtMs(localAfter(begunAtMs, policy));
          expect(atMs).toBeGreaterThanOrEqual(nowMs);
          expect(atMs - nowMs).toBeLessThanOrEqual(policy.maxDelaySeconds * 1000);
          expect(atMs - nowMs).toBeGreaterThanOrEqual(Math.min(policy.delaySeconds, policy.maxDelaySeconds) * 1000);
          nowMs = atMs;
        }
        for (const atMs of begunAtMs) {
          const near = begunAtMs.filter((other) => other <= atMs && atMs - other < policy.withinSeconds * 1000);
          expect(near.length).toBeLessThanOrEqual(policy.max);
        }
      }),
    );
  });
});

/** Each run of the one task lives so long; the last one for ever. */
function dying(...livesMs: readonly (number | null)[]): World {
  const lives = [...livesMs];
  const behaviour = (): Behaviour => ({ ...LONG_RUNNING, startMs: 0, lifeMs: lives.shift() ?? null, exitCode: 3 });
  return new World({ engine: { behaviour } });
}

async function started(world: World, change: Parameters<typeof anAssigned>[1] = { group: { restart: restart() } }) {
  await world.startAgent();
  world.controlPlane.assign(anAssigned('t', change));
  await world.clock.advance(500);
  expect(world.controlPlane.stateOf('t')).toBe('running');
}

const told = (world: World) =>
  world.controlPlane.historyOf('t').map(({ state, run, reason }) => `${state} ${run} ${reason}`);

describe('a task that goes down', () => {
  it('is told to be started again as soon as it has ended, and runs again after its pause', async () => {
    const world = dying(5000, null);
    await started(world);
    await world.clock.advance(4600);
    expect(told(world)).toEqual(['starting 0 accepted', 'running 0 started', 'starting 1 restarted-in-place']);
    // Its output can be had until the next run begins.
    expect(world.runtime.containers).toMatchObject([{ run: 0, state: 'exited' }]);
    await world.clock.advance(1100);
    expect(world.runtime.containers).toMatchObject([{ run: 1, state: 'running' }]);
    expect(told(world).at(-1)).toBe('running 1 restarted-in-place');
    const [before, after] = world.controlPlane.historyOf('t').slice(-2);
    expect(before?.message).toBe('is started again in place in 1 s, as run 2; before: exited with code 3');
    expect(after?.message).toBe('started again in place as run 2; before: exited with code 3');
  });

  it('has ended with one more than its group allows, and says so', async () => {
    const world = dying(700, 100, 100, 100, 100);
    await started(world, { group: { restart: restart({ max: 2, delaySeconds: 0 }) } });
    await world.clock.advance(5000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1', 't run 2']);
    const end = world.controlPlane.historyOf('t').at(-1);
    expect(end).toMatchObject({ state: 'failed', reason: 'exited', run: 2, exitCode: 3 });
    expect(end?.message).toContain('started again in place 2 times within 600 s');
  });

  it('does so without an uplink too, and all is told when that is back', async () => {
    const world = dying(5000, 5000, null);
    await started(world);
    world.controlPlane.fault = 'away';
    await world.clock.advance(20_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1', 't run 2']);
    world.controlPlane.fault = null;
    await world.clock.advance(20_000);
    expect(told(world).slice(2)).toEqual([
      'starting 1 restarted-in-place',
      'running 1 restarted-in-place',
      'starting 2 restarted-in-place',
      'running 2 restarted-in-place',
    ]);
  });

  it('is not started again by a node that is cut off, where it may not run there', async () => {
    const world = dying(5000, null);
    await started(world, { stopAfterDisconnectMs: 60_000, group: { restart: restart() } });
    world.controlPlane.fault = 'away';
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0']);
    world.controlPlane.fault = null;
    await world.clock.advance(20_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1']);
  });

  it('is not started again once its dead-man has killed it', async () => {
    const world = dying(null, null);
    await started(world, { stopAfterDisconnectMs: 10_000, group: { restart: restart(), killGraceSeconds: 0 } });
    await world.journal.flush();
    world.controlPlane.fault = 'away';
    await world.clock.advance(30_000);
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0']);
    expect(told(world).at(-1)).toContain('failed 0 disconnected');
  });

  it.each(['stop', 'disown', 'sweep'] as const)('is not started again after a %s within its pause', async (change) => {
    const world = dying(5000, null);
    await started(world, { group: { restart: restart({ delaySeconds: 60 }) } });
    await world.clock.advance(10_000);
    if (change === 'stop') world.controlPlane.stop('t', 1000);
    else if (change === 'sweep') world.controlPlane.sweep('t');
    else world.controlPlane.change('t', { disowned: true });
    await world.clock.advance(1000);
    if (change === 'stop') expect(told(world).at(-1)).toBe('killed 1 stop-requested');
    if (change === 'disown') expect(world.controlPlane.received.released).toEqual(['t']);
    await world.clock.advance(120_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0']);
  });

  it('is not started again where its stop came first', async () => {
    const world = dying(5000, null);
    await started(world);
    world.controlPlane.fault = 'away';
    await world.clock.advance(4000);
    world.controlPlane.stop('t', 60_000);
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0']);
    expect(told(world).at(-1)).toBe('killed 0 stop-requested');
  });

  it('has no more further runs for crashes of the agent or of its machine, and no two at a time', async () => {
    // A power cut may end one that has begun, which then runs again for that.
    for (const [cut, afterMs] of [
      ['crash', 5500],
      ['crash', 6005],
      ['powerCut', 5500],
      ['powerCut', 8000],
    ] as const) {
      const world = dying(5000, 100, 100, 100, 100, 100);
      await started(world, { group: { restart: { ...restart({ max: 3 }), afterReboot: true } } });
      await world.clock.advance(afterMs);
      await world[cut]();
      await world.startAgent();
      await world.clock.advance(120_000);
      const runs = world.runtime.startedRuns;
      expect(new Set(runs).size, `${cut} after ${afterMs} ms: ${runs}`).toBe(runs.length);
      expect(runs.length, `${cut} after ${afterMs} ms: ${runs}`).toBeLessThanOrEqual(cut === 'crash' ? 4 : 5);
      expect(world.controlPlane.stateOf('t')).toBe('failed');
    }
  });

  it('waits no longer for a crash of the agent within its pause', async () => {
    const world = dying(5000, null);
    await started(world, { group: { restart: restart({ delaySeconds: 60 }) } });
    await world.clock.advance(34_500);
    await world.crash();
    await world.startAgent();
    await world.clock.advance(29_000);
    expect(world.runtime.startedRuns).toEqual(['t run 0']);
    await world.clock.advance(3000);
    expect(world.runtime.startedRuns).toEqual(['t run 0', 't run 1']);
  });

  it('has little to tell after days without an uplink', async () => {
    const lives = Array.from({ length: 200 }, () => 1000);
    const world = dying(...lives);
    await started(world, { group: { restart: restart({ max: 1000, withinSeconds: 1, delaySeconds: 1, factor: 1 }) } });
    world.controlPlane.fault = 'away';
    await world.clock.advance(300_000);
    expect(world.agent.inspect().tasks.get('t')?.unanswered).toHaveLength(UNANSWERED_MAX);
    const before = world.controlPlane.received.statuses.length;
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    const run = world.agent.inspect().tasks.get('t')?.run ?? 0;
    expect(run).toBeGreaterThan(100);
    // What it had to tell, and the few that came meanwhile.
    expect(world.controlPlane.received.statuses.length - before).toBeLessThan(UNANSWERED_MAX + 40);
    expect(world.controlPlane.received.statuses.at(-1)?.run).toBeGreaterThanOrEqual(run - 1);
  });
});
