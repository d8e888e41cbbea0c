/**
 * Makes a failing run shorter. What a run consists of is left out part by part, and what isn't needed for the same invariant to
 * be violated stays out: first whole parts of the world and its weather, then, by delta debugging (Zeller and Hildebrandt,
 * 2002), half after half, quarter after quarter of what its nemesis did and its clients asked for. Every trial is a run of its
 * own, so their number is bounded, and the best run so far is the answer.
 */
import { type SimulationOptions, type SimulationResult, simulate } from './simulate.ts';

export interface Shrunk {
  /** Runs again what is left. */
  readonly options: SimulationOptions;
  readonly result: SimulationResult;
  /** Runs that it took. */
  readonly trials: number;
}

export const TRIALS_MAX = 200;

/** `failing`: what `options` came to, with a violation. */
export async function shrink(
  options: SimulationOptions,
  failing: SimulationResult,
  trialsMax = TRIALS_MAX,
): Promise<Shrunk> {
  const search = new Search(options, failing, trialsMax);
  await search.withoutLaterSteps();
  for (const name of partsOf(failing.decisions)) await search.tryWithout([name]);
  await search.thinOut(isDeed);
  return { options: search.options, result: search.result, trials: search.trials };
}

class Search {
  options: SimulationOptions;
  result: SimulationResult;
  trials = 0;
  readonly #invariant: number;
  readonly #trialsMax: number;

  constructor(options: SimulationOptions, failing: SimulationResult, trialsMax: number) {
    const { violation } = failing;
    if (violation === null) throw new RangeError('there is nothing to shrink in a run without a violation');
    this.options = { ...options, without: new Set(options.without) };
    this.result = failing;
    this.#invariant = violation.invariant;
    this.#trialsMax = trialsMax;
  }

  /** What is found while things go wrong doesn't need what comes after; what is found later may have been there before. */
  async withoutLaterSteps(): Promise<void> {
    if (this.result.steps <= this.options.steps) {
      await this.#try({ ...this.options, steps: this.result.steps });
      return;
    }
    for (let steps = Math.floor(this.options.steps / 2); steps >= STEPS_MIN; steps = Math.floor(steps / 2)) {
      if (!(await this.#try({ ...this.options, steps }))) return;
    }
  }

  async tryWithout(names: readonly string[]): Promise<boolean> {
    const without = new Set([...(this.options.without ?? []), ...names]);
    return this.#try({ ...this.options, without });
  }

  /** Leaves out ever smaller shares of the decisions of a kind, until no single one can be spared. */
  async thinOut(isOfKind: (name: string) => boolean): Promise<void> {
    let size = this.#left(isOfKind).length;
    while (size >= 1 && this.trials < this.#trialsMax) {
      let isThinner = false;
      for (const chunk of chunksOf(this.#left(isOfKind), size)) {
        if (await this.tryWithout(chunk)) isThinner = true;
      }
      if (size === 1 && !isThinner) return;
      size = size === 1 ? 1 : Math.ceil(size / 2);
    }
  }

  #left(isOfKind: (name: string) => boolean): string[] {
    return this.result.decisions.filter(isOfKind);
  }

  /** Takes the trial for the best so far if it violates the same invariant, and no later. */
  async #try(options: SimulationOptions): Promise<boolean> {
    if (this.trials >= this.#trialsMax) return false;
    this.trials += 1;
    const result = await simulate(options);
    if (result.violation?.invariant !== this.#invariant || result.steps > this.result.steps) return false;
    // In the time of faults everything after the violation is of no use.
    const steps = Math.min(options.steps, result.steps);
    this.options = { ...options, steps };
    this.result = result;
    return true;
  }
}

/** Shorter runs than this are about nothing. */
const STEPS_MIN = 50;

/** The weather and the clocks first: what isn't needed of them makes everything that follows easier to read. */
function partsOf(decisions: readonly string[]): string[] {
  const kinds = [
    /^weather\//,
    /^clocks$/,
    /^client-\d+$/,
    /^framework-\d+$/,
    /^operator-\d+$/,
    /^node-\d+$/,
    /^replica-\d+$/,
  ];
  return kinds.flatMap((kind) => decisions.filter((name) => kind.test(name)));
}

/** What the nemesis does or a client asks for, as opposed to what the world is made of. */
function isDeed(name: string): boolean {
  return name.includes('/') && !name.startsWith('weather/');
}

function chunksOf(names: readonly string[], size: number): string[][] {
  const count = Math.ceil(names.length / size);
  return Array.from({ length: count }, (_, place) => names.slice(place * size, (place + 1) * size));
}
