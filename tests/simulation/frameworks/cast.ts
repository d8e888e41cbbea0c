/** The frameworks of a world, and the operator who sets what their roles may have. */
import type { Clock } from '../../../shared/util/clock.ts';
import type { Client } from '../client.ts';
import type { Decisions } from '../decisions.ts';
import type { Violation } from '../invariants/violation.ts';
import type { Network } from '../network.ts';
import type { Plant } from '../plants/plant.ts';
import type { Replica } from '../replica.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { SimulatedProcess } from '../simulated-process.ts';
import type { Truth } from '../truth.ts';
import { FrameworkActor } from './actor.ts';
import { Operator } from './operator.ts';

export interface CastParts {
  readonly count: number;
  /** The world's. */
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly decisions: Decisions;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly nodes: readonly string[];
  readonly truth: Truth;
  readonly plant: Plant;
  readonly clientOf: (process: SimulatedProcess, random: SeededRandom) => Client;
  readonly tell: (name: string) => (what: string) => void;
  readonly onViolation: (violation: Violation) => void;
  readonly onBug: (name: string, error: unknown) => void;
}

export class FrameworkCast {
  readonly #truth: Truth;
  readonly #actors: readonly FrameworkActor[];
  readonly #operators: readonly Operator[];

  constructor(parts: CastParts) {
    const { count, clock, random, decisions, tell, clientOf } = parts;
    this.#truth = parts.truth;
    const some = (kind: string, number: number) =>
      Array.from({ length: number }, (_, place) => `${kind}-${place + 1}`).filter((name) => decisions.take(name));
    this.#actors = some('framework', count).map(
      (name) => new FrameworkActor({ ...parts, name, random: random.split(name), tell: tell(name) }),
    );
    this.#operators = some('operator', Math.min(1, count)).map((name) => {
      const process = new SimulatedProcess(name, clock);
      const chance = random.split(name);
      return new Operator({ ...parts, process, random: chance, client: clientOf(process, chance) });
    });
  }

  async run(): Promise<void> {
    await Promise.all([...this.#actors, ...this.#operators].map((one) => one.run()));
  }

  calm(): void {
    for (const actor of this.#actors) actor.calm();
    for (const operator of this.#operators) operator.stop();
  }

  /** What still has to happen until they are at rest; empty when they are. */
  unsettled(): string[] {
    if (this.#operators.some((operator) => !operator.isIdle)) return ['an operator has something left to do'];
    return this.#actors.flatMap((actor) => actor.unsettled(this.#truth.snapshot));
  }
}
