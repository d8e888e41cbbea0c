/**
 * `npm run simulate -- --seed S --steps N [--seeds K] [--jobs J] [--bug name] [--without names] [--trace]`: runs K seeds from S
 * on, J at a time. A violation is shrunk to the shortest run that still shows it, with the command that repeats that.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { parseWithout } from './decisions.ts';
import { runSeeds } from './many-seeds.ts';
import { isBugName, PLANTED_BUGS } from './planted-bugs.ts';
import { commandOf, describeRun, describeShrunk, describeViolation, Summary } from './report.ts';
import type { SeedOutcome } from './seed-worker.ts';
import { shrink } from './shrink.ts';
import { type SimulationOptions, simulate } from './simulate.ts';

const STEPS_DEFAULT = 6000;
const EXIT_USAGE = 2;
/** More violations than these tell nothing new. */
const VIOLATIONS_MAX = 20;
/** So many runs are told one by one; of more there is one line that says how far they are. */
const TOLD_RUNS_MAX = 50;

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`--${name} takes a whole number, not "${text}"`);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      steps: { type: 'string', default: String(STEPS_DEFAULT) },
      jobs: { type: 'string', default: '1' },
      bug: { type: 'string' },
      without: { type: 'string', default: '' },
      trace: { type: 'boolean', default: false },
    },
  });
  const { bug, without, trace } = values;
  if (bug !== undefined && !isBugName(bug)) {
    throw new RangeError(`there is no planted bug "${bug}"; there are: ${Object.keys(PLANTED_BUGS).join(', ')}`);
  }
  const jobs = wholeNumber('jobs', values.jobs);
  if (jobs < 1 || jobs > 4 * availableParallelism()) {
    throw new RangeError(`--jobs takes 1 to ${4 * availableParallelism()} on this machine, not ${jobs}`);
  }
  const seed = wholeNumber('seed', values.seed);
  const seeds = wholeNumber('seeds', values.seeds);
  return { seed, seeds, steps: wholeNumber('steps', values.steps), jobs, bug: bug ?? null, without, trace };
}

type Arguments = ReturnType<typeof readArguments>;

async function main(): Promise<number> {
  const given = readArguments();
  if (given.trace) return traceOne(given);
  const startedAtMs = performance.now();
  const summary = new Summary();
  const tell = (outcome: SeedOutcome) => {
    summary.add(outcome);
    if (given.seeds <= TOLD_RUNS_MAX) console.log(describeRun(outcome));
    else tellProgress(summary, given.seeds, performance.now() - startedAtMs);
    return summary.violations.length < (given.seeds <= TOLD_RUNS_MAX ? 1 : VIOLATIONS_MAX);
  };
  await runSeeds({ orders: ordersOf(given), jobs: given.jobs, onOutcome: tell });
  if (given.seeds > 1) console.log(`\n${summary.describe(performance.now() - startedAtMs)}`);
  const [first] = summary.violations;
  if (first === undefined) return 0;
  await tellShortest({ ...optionsOf(given), seed: first.seed });
  return 1;
}

function optionsOf({ seed, steps, bug, without }: Arguments): SimulationOptions {
  return { seed, steps, bug, without: parseWithout(without) };
}

function* ordersOf({ seed, seeds, steps, bug, without }: Arguments) {
  for (let place = 0; place < seeds; place++) yield { seed: seed + place, steps, bug, without };
}

/** The same line again and again on a terminal; elsewhere a line for each hundredth. */
function tellProgress(summary: Summary, seedsTotal: number, wallMs: number): void {
  const line = summary.progress(seedsTotal, wallMs);
  if (process.stdout.isTTY) process.stdout.write(`\r${line}`);
  else if (summary.seeds % Math.ceil(seedsTotal / 100) === 0) console.log(line);
}

async function tellShortest(options: SimulationOptions): Promise<void> {
  const failing = await simulate(options);
  console.log(`\n${describeViolation(failing)}\nagain: ${commandOf(options)}`);
  console.log(describeShrunk(await shrink(options, failing), failing));
}

/** Every line of it, as it happens. */
async function traceOne(given: Arguments): Promise<number> {
  const result = await simulate({ ...optionsOf(given), onLine: (line) => console.log(line) });
  console.log(describeRun(result));
  if (result.violation === null) return 0;
  console.log(`\n${describeViolation(result)}\nagain: ${commandOf(optionsOf(given))} --trace`);
  return 1;
}

process.exitCode = await main().catch((error: unknown) => {
  // What was asked for can't be done; anything else is a bug, and needs its stack.
  if (!(error instanceof RangeError || (error instanceof TypeError && 'code' in error))) throw error;
  console.error(error.message);
  return EXIT_USAGE;
});
