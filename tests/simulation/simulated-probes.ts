/** The network within a machine, as its agent's checks see it: no engine is asked, and no call is lost. */
import type { ProbeOutcome } from '../../node-agent/core/checks.ts';
import type { Probes, ProbeTarget } from '../../node-agent/executor/contracts.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedEngine } from './simulated-engine.ts';
import type { SimulatedProcess } from './simulated-process.ts';

const ANSWER_MS: readonly [number, number] = [1, 20];

export interface SimulatedProbesParts {
  readonly engine: SimulatedEngine;
  readonly process: SimulatedProcess;
  /** The world's. */
  readonly clock: Clock;
  readonly random: SeededRandom;
}

export class SimulatedProbes implements Probes {
  readonly #parts: SimulatedProbesParts;

  constructor(parts: SimulatedProbesParts) {
    this.#parts = parts;
  }

  probe({ port }: ProbeTarget): Promise<ProbeOutcome> {
    const { process, clock, random } = this.#parts;
    return process.receive(sleep(clock, random.between(...ANSWER_MS)).then(() => this.#answer(port)));
  }

  #answer(port: number): ProbeOutcome {
    const { engine } = this.#parts;
    const container = engine.listenerOn(port);
    if (container === undefined) return { type: 'failed', message: 'connection refused' };
    return engine.works(container)
      ? { type: 'passed', message: 'status 200' }
      : { type: 'failed', message: 'status 500' };
  }
}
