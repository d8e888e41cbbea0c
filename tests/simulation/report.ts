/** What a run, or many of them, came to, in words. */
import { formatWithout } from './decisions.ts';
import type { SeedOutcome } from './seed-worker.ts';
import type { Shrunk } from './shrink.ts';
import type { SimulationOptions } from './simulate.ts';

export function describeRun({ seed, steps, virtualMs, convergedAfterMs, traceHash, counts }: SeedOutcome): string {
  const { revisions, jobs, placements, runs, offers, launches } = counts;
  const work = `${revisions} revisions, ${jobs} jobs, ${placements} placements, ${runs} runs, ${offers} offers, ${launches} launches`;
  const rest = convergedAfterMs === null ? '' : `, at rest after ${Math.round(convergedAfterMs / 1000)} s`;
  return `seed ${seed}: ${steps} steps, ${Math.round(virtualMs / 1000)} s${rest}; ${work}; trace ${traceHash}`;
}

export function describeViolation({ seed, steps, violation }: SeedOutcome): string {
  if (violation === null) return `seed ${seed}: nothing was found`;
  return `seed ${seed}, step ${steps}: invariant ${violation.invariant} is violated: ${violation.message}`;
}

/** The command that runs it again. */
export function commandOf({ seed, steps, bug, without }: SimulationOptions): string {
  const parts = ['npm run simulate --', `--seed ${seed}`, `--steps ${steps}`];
  if (bug) parts.push(`--bug ${bug}`);
  if (without !== undefined && without.size > 0) parts.push(`--without ${formatWithout(without)}`);
  return parts.join(' ');
}

/** The shortest run that was found to fail in the same way, told from where it can be understood. */
export function describeShrunk({ options, result, trials }: Shrunk, before: SeedOutcome): string {
  const { decisions, steps, lastLines } = result;
  return [
    `\nshrunk in ${trials} runs from ${before.steps} steps to ${steps}; what is left: ${decisions.join(' ')}`,
    ...lastLines,
    '',
    describeViolation(result),
    `again: ${commandOf(options)} --trace`,
  ].join('\n');
}

/** Adds up what many runs came to. */
export class Summary {
  readonly violations: SeedOutcome[] = [];
  readonly #faults = new Map<string, number>();
  #seeds = 0;
  #steps = 0;
  #virtualMs = 0;
  #convergedAfterMaxMs = 0;

  add(outcome: SeedOutcome): void {
    this.#seeds += 1;
    this.#steps += outcome.steps;
    this.#virtualMs += outcome.virtualMs;
    this.#convergedAfterMaxMs = Math.max(this.#convergedAfterMaxMs, outcome.convergedAfterMs ?? 0);
    for (const [fault, times] of Object.entries(outcome.counts.faults)) {
      this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + times);
    }
    if (outcome.violation !== null) this.violations.push(outcome);
  }

  get seeds(): number {
    return this.#seeds;
  }

  /** One line while the seeds run. */
  progress(seedsTotal: number, wallMs: number): string {
    const seconds = Math.round(wallMs / 1000);
    return `${this.#seeds} of ${seedsTotal} seeds, ${this.violations.length} violations, ${seconds} s`;
  }

  describe(wallMs: number): string {
    const hours = (this.#virtualMs / 3_600_000).toFixed(1);
    const struck = [...this.#faults].sort(([, a], [, b]) => b - a);
    const total = struck.reduce((sum, [, times]) => sum + times, 0);
    const violated = this.violations.map(({ seed, violation }) => `${seed} (${violation?.invariant})`).join(', ');
    return [
      `${this.#seeds} seeds, ${this.#steps} steps, ${hours} hours of virtual time, in ${Math.round(wallMs / 1000)} s`,
      `${total} faults beside the weather's: ${struck.map(([fault, times]) => `${fault} ${times}`).join(', ')}`,
      `at rest at the latest ${Math.round(this.#convergedAfterMaxMs / 1000)} s after the last fault`,
      `${this.violations.length} violations${violated === '' ? '' : `, seed (invariant): ${violated}`}`,
    ].join('\n');
  }
}
