/** A process of a run over many seeds: it is sent options, one at a time, and sends back what became of them. */
import { parseWithout } from './decisions.ts';
import type { BugName } from './planted-bugs.ts';
import { type SimulationResult, simulate } from './simulate.ts';

/** As far as it can be sent from process to process. */
export interface SeedOrder {
  readonly seed: number;
  readonly steps: number;
  readonly bug: BugName | null;
  /** As on the command line. */
  readonly without: string;
}

export type SeedOutcome = Omit<SimulationResult, 'decisions'>;

export async function runOrder({ without, ...options }: SeedOrder): Promise<SeedOutcome> {
  const { decisions: _, ...outcome } = await simulate({ ...options, without: parseWithout(without) });
  return outcome;
}

if (import.meta.main) {
  process.on('message', (order: SeedOrder) => {
    // Anything that is thrown here ends the process, which is what its parent looks out for.
    void runOrder(order).then((outcome) => process.send?.(outcome));
  });
}
