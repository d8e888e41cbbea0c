/** One run of the simulated world: a time of faults, then a time in which everything has to come to rest. */
import { Decisions } from './decisions.ts';
import type { Violation } from './invariants/violation.ts';
import { violation } from './invariants/violation.ts';
import { type BugName, plantedBug } from './planted-bugs.ts';
import { NO_BUG } from './plants/plant.ts';
import { Trace } from './trace.ts';
import { VirtualClock } from './virtual-clock.ts';
import { World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Steps of the clock during which things go wrong. */
  readonly steps: number;
  readonly bug?: BugName | null;
  /** Decisions that the run is to go without, by their names. */
  readonly without?: ReadonlySet<string>;
  readonly onLine?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  /** Null: nothing was found. */
  readonly violation: Violation | null;
  /** The step at which the run ended. */
  readonly steps: number;
  readonly virtualMs: number;
  /** How long it took from the end of the faults until everything was at rest, in virtual time; null: never. */
  readonly convergedAfterMs: number | null;
  readonly traceHash: string;
  readonly lastLines: readonly string[];
  readonly counts: World['counts'];
  /** What the run consisted of, by name: each of them can be left out of the next one. */
  readonly decisions: readonly string[];
}

/** Everything is to be at rest within so much virtual time after the last fault. */
export const CONVERGENCE_MAX_MS = 240_000;

const LOOK_EVERY_MS = 1000;
const LAST_LINES = 60;
const START_MS = Date.UTC(2026, 0, 1);

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const clock = new VirtualClock(START_MS);
  const trace = new Trace(clock, options.onLine ?? null);
  const plant = options.bug ? plantedBug(options.bug) : NO_BUG;
  const decisions = new Decisions(options.without);
  const world = new World({ seed: options.seed, clock, trace, plant, decisions });
  const stopListening = onUnhandledRejection((error) => {
    world.found(violation(0, `nobody heard of an error: ${error instanceof Error ? error.stack : String(error)}`));
  });
  let steps = 0;
  const stepOn = async () => {
    steps += 1;
    await world.step();
    return world.violations.length === 0;
  };
  world.begin();
  while (steps < options.steps && (await stepOn()));
  const convergedAfterMs = world.violations.length > 0 ? null : await converge(world, clock, stepOn);
  world.end();
  stopListening();
  return {
    seed: options.seed,
    violation: world.violations[0] ?? null,
    steps,
    virtualMs: clock.monotonicMs(),
    convergedAfterMs,
    traceHash: trace.hash,
    lastLines: trace.tail(LAST_LINES),
    counts: world.counts,
    decisions: decisions.taken,
  };
}

async function converge(world: World, clock: VirtualClock, stepOn: () => Promise<boolean>): Promise<number | null> {
  const calmSinceMs = clock.monotonicMs();
  world.calm();
  let lookedAtMs = calmSinceMs;
  while (await stepOn()) {
    const nowMs = clock.monotonicMs();
    if (nowMs < lookedAtMs + LOOK_EVERY_MS) continue;
    lookedAtMs = nowMs;
    const left = await world.unsettled();
    if (world.violations.length > 0) return null;
    if (left.length === 0) return nowMs - calmSinceMs;
    if (nowMs - calmSinceMs > CONVERGENCE_MAX_MS) {
      world.found(violation(10, `${CONVERGENCE_MAX_MS / 1000} s after the last fault: ${left.slice(0, 5).join('; ')}`));
    }
  }
  return null;
}

/** A promise that is rejected and left alone is a bug, wherever it was made. */
function onUnhandledRejection(listener: (error: unknown) => void): () => void {
  process.on('unhandledRejection', listener);
  return () => process.off('unhandledRejection', listener);
}
