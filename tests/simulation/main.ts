/**
 * `npm run simulate -- --seed S --steps N [--seeds K] [--bug name] [--trace]`: runs K seeds from S on, stops at the first
 * that violates an invariant, and says how to run it again.
 */
import { parseArgs } from 'node:util';
import { isBugName, PLANTED_BUGS } from './planted-bugs.ts';
import { type SimulationResult, simulate } from './simulate.ts';

const STEPS_DEFAULT = 6000;

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
      bug: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
  const { bug } = values;
  if (bug !== undefined && !isBugName(bug)) {
    throw new RangeError(`there is no planted bug "${bug}"; there are: ${Object.keys(PLANTED_BUGS).join(', ')}`);
  }
  const [seed, seeds, steps] = (['seed', 'seeds', 'steps'] as const).map((name) => wholeNumber(name, values[name]));
  return { seed: seed ?? 1, seeds: seeds ?? 1, steps: steps ?? STEPS_DEFAULT, bug: bug ?? null, trace: values.trace };
}

function describe({ seed, steps, virtualMs, convergedAfterMs, traceHash, counts }: SimulationResult): string {
  const { revisions, jobs, placements, runs } = counts;
  const work = `${revisions} revisions, ${jobs} jobs, ${placements} placements, ${runs} runs`;
  const rest = convergedAfterMs === null ? '' : `, at rest after ${Math.round(convergedAfterMs / 1000)} s`;
  return `seed ${seed}: ${steps} steps, ${Math.round(virtualMs / 1000)} s${rest}; ${work}; trace ${traceHash}`;
}

async function main(): Promise<number> {
  const { seed: first, seeds, steps, bug, trace } = readArguments();
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await simulate({ seed, steps, bug, ...(trace ? { onLine: (line) => console.log(line) } : {}) });
    console.log(describe(result));
    const { violation } = result;
    if (violation === null) continue;
    if (!trace) console.log(result.lastLines.join('\n'));
    console.log(
      `\nseed ${seed}, step ${result.steps}: invariant ${violation.invariant} is violated: ${violation.message}`,
    );
    const planted = bug === null ? '' : ` --bug ${bug}`;
    console.log(`again: npm run simulate -- --seed ${seed} --steps ${steps}${planted} --trace`);
    return 1;
  }
  return 0;
}

process.exitCode = await main();
