/**
 * An agent through anything that can happen, in any order: tasks come, stop and lose their places; the agent dies, the engine and
 * the control plane go away and come back. Whatever happened, no run of a task begins twice and none without cause, no end is told
 * two ways, and when the trouble is over everything settles.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isTerminal } from '../../../shared/domain/task.ts';
import { type Behaviour, type EngineCall, LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const TASKS = ['t0', 't1', 't2', 't3'];

type Happening =
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'assign' | 'stop' | 'sweep' | 'give-up'; readonly task: string }
  | { readonly type: 'crash' | 'restart' | 'power-cut' | 'raise-epoch' | 'sweep-ended' }
  | { readonly type: 'engine' | 'control-plane'; readonly isAway: boolean }
  | { readonly type: 'fault'; readonly call: EngineCall; readonly when: 'before' | 'after' };

const task = fc.constantFrom(...TASKS);
const anyHappening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('assign' as const), task }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom('stop' as const, 'sweep' as const, 'give-up' as const), task }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('crash' as const, 'restart' as const, 'raise-epoch' as const, 'sweep-ended' as const),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ type: 'power-cut' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constantFrom('engine' as const, 'control-plane' as const), isAway: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('fault' as const),
      call: fc.constantFrom<EngineCall>('list', 'inspect', 'hasImage', 'run', 'signal', 'remove'),
      when: fc.constantFrom('before' as const, 'after' as const),
    }),
  },
);

const anyBehaviour: fc.Arbitrary<Behaviour> = fc.record({
  startMs: fc.nat(500),
  lifeMs: fc.option(fc.nat(30_000)),
  exitCode: fc.constantFrom(0, 1),
  outOfMemory: fc.constant(false),
  stopMs: fc.option(fc.nat(3000)),
  refusal: fc.oneof(
    { weight: 7, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constant({ reason: 'engine-error', message: 'no' } as const) },
  ),
  output: fc.constant([]),
});

/** Every id is placed once, as the real ledger does it. */
class Story {
  readonly world: World;
  readonly #placed = new Set<string>();
  readonly #restarting: readonly boolean[];
  /** How many power cuts there have been. */
  powerCuts = 0;

  /** `restarting`: whether each task is to run again after its node went down under it. */
  constructor(behaviours: readonly Behaviour[], restarting: readonly boolean[]) {
    this.#restarting = restarting;
    const behaviour = (assigned: { readonly id: string }) => behaviours[TASKS.indexOf(assigned.id)] ?? LONG_RUNNING;
    this.world = new World({ engine: { behaviour } });
  }

  isRestarting(id: string): boolean {
    return this.#restarting[TASKS.indexOf(id)] === true;
  }

  /** Two tasks run before anything else happens: most of what goes wrong goes wrong with what runs. */
  async begin(): Promise<void> {
    for (const id of TASKS.slice(0, 2)) await this.tell({ type: 'assign', task: id });
    await this.tell({ type: 'wait', ms: 1000 });
  }

  async tell(happening: Happening): Promise<void> {
    const { world } = this;
    const { controlPlane, runtime, clock } = world;
    switch (happening.type) {
      case 'wait':
        return clock.advance(happening.ms);
      case 'assign':
        if (!this.#placed.has(happening.task)) {
          const restart = { afterReboot: this.isRestarting(happening.task) };
          controlPlane.assign(anAssigned(happening.task, { group: { restart } }));
        }
        this.#placed.add(happening.task);
        return;
      case 'stop':
        if (controlPlane.stateOf(happening.task) !== undefined) controlPlane.stop(happening.task, 2000);
        return;
      case 'give-up':
        if (controlPlane.stateOf(happening.task) === undefined) return;
        controlPlane.change(happening.task, {
          state: 'lost',
          disowned: true,
          stop: { atMs: 0, graceMs: 1000, reason: 'given up' },
        });
        return controlPlane.raiseEpoch();
      case 'sweep':
        return controlPlane.sweep(happening.task);
      case 'sweep-ended':
        return controlPlane.sweepEnded();
      case 'crash':
        await world.crash();
        await world.startAgent();
        return;
      case 'power-cut':
        this.powerCuts += 1;
        await world.powerCut();
        await world.startAgent();
        return;
      case 'restart':
        runtime.isAway = false;
        await this.#restart();
        return;
      case 'raise-epoch':
        return controlPlane.raiseEpoch();
      case 'engine':
        return happening.isAway ? runtime.goAway() : runtime.comeBack();
      case 'control-plane':
        controlPlane.fault = happening.isAway ? 'away' : null;
        return;
      case 'fault':
        return runtime.failNext(happening.call, happening.when);
    }
  }

  async #restart(): Promise<void> {
    const { world } = this;
    const ended = world.agent.stop();
    await world.clock.advance(30_000);
    await ended;
    await world.startAgent();
  }

  /** The trouble is over, and there is time enough for everything. */
  async settle(): Promise<void> {
    const { world } = this;
    world.controlPlane.fault = null;
    world.runtime.comeBack();
    await world.clock.advance(300_000);
  }
}

function checkSafety(story: Story): void {
  const { world, powerCuts } = story;
  const { startedRuns, started } = world.runtime;
  expect(new Set(startedRuns).size, `started twice: ${startedRuns}`).toBe(startedRuns.length);
  for (const id of TASKS) {
    const count = started.filter((each) => each === id).length;
    expect(count, `${id} ran too often`).toBeLessThanOrEqual(story.isRestarting(id) ? powerCuts + 1 : 1);
  }
  for (const id of TASKS) {
    const ends = world.controlPlane.received.statuses.filter(
      (status) => status.task === id && isTerminal(status.state),
    );
    const told = new Set(ends.map((status) => `${status.state} ${status.reason} ${status.exitCode}`));
    expect(told.size, `${id} ended as ${[...told]}`).toBeLessThanOrEqual(1);
  }
}

function checkSettled({ world }: Story): void {
  const { controlPlane, runtime, agent } = world;
  const known = agent.inspect();
  expect(known.isLive).toBe(true);
  for (const id of TASKS) {
    const state = controlPlane.stateOf(id);
    const runs = runtime.containerOf(id)?.state === 'running';
    if (state === undefined) expect(runs, `${id} runs without a place`).toBe(false);
    else if (state === 'running') expect(runs, `${id} is said to run`).toBe(true);
    else expect(isTerminal(state), `${id} is still ${state}`).toBe(true);
    expect(known.tasks.get(id)?.unanswered ?? []).toEqual([]);
  }
}

it('keeps its promises', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyBehaviour, { minLength: TASKS.length, maxLength: TASKS.length }),
      fc.array(fc.boolean(), { minLength: TASKS.length, maxLength: TASKS.length }),
      fc.array(anyHappening, { minLength: 5, maxLength: 30, size: 'max' }),
      async (behaviours, restarting, happenings) => {
        const story = new Story(behaviours, restarting);
        await story.world.startAgent();
        await story.begin();
        for (const happening of happenings) await story.tell(happening);
        await story.settle();
        checkSafety(story);
        checkSettled(story);
        story.world.agent.halt();
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);
