/** One thing that goes wrong for a while, and how it is put right again. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { steadyMs } from '../history.ts';
import type { World } from '../world/world.ts';

export interface Fault {
  /** Names of what it is done to, for the record. */
  readonly targets: readonly string[];
  /** What it needs for itself as long as it lasts: no other fault may touch that. */
  readonly claims: readonly string[];
  /** In words, where kind and targets don't say it all. */
  readonly detail?: string;
  readonly durationMs: number;
  /** Does it, and throws unless it can be seen to have been done. */
  begin(): Promise<void>;
  /** Undoes it. */
  end(): Promise<void>;
}

/** Null: it can't be done to this world at present. */
export type FaultMaker = (world: World, random: SeededRandom) => Promise<Fault | null>;

export interface FaultKind {
  readonly name: string;
  /** How likely it is chosen, against the others. */
  readonly weight: number;
  readonly make: FaultMaker;
}

const SEEN_WITHIN_MS = 5000;
const LOOK_MS = 20;

/** Waits for the fault to show. Throws when it doesn't. */
export async function untilSeen(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadlineMs = steadyMs() + SEEN_WITHIN_MS; ; ) {
    if (await isSo()) return;
    if (steadyMs() > deadlineMs) throw new Error(`the fault has no effect: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export function seconds(random: SeededRandom, least: number, most: number): number {
  return random.between(least * 1000, most * 1000);
}
