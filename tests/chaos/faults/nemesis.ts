/**
 * Chooses faults by seeded chance and brings them about, a few at a time, each for a bounded time. Two faults never touch the same
 * thing at once, so that each can be undone by itself.
 */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { type FaultRecord, steadyMs } from '../history.ts';
import { pause } from '../workload/client.ts';
import type { World } from '../world/world.ts';
import type { Fault, FaultKind } from './fault.ts';
import { LINK_FAULTS } from './links.ts';
import { MACHINE_FAULTS } from './machines.ts';
import { PROCESS_FAULTS } from './processes.ts';
import { STORE_FAULTS } from './store.ts';

export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...LINK_FAULTS,
  ...STORE_FAULTS,
  ...MACHINE_FAULTS,
];

const TOGETHER_MAX = 4;
const PAUSE_MIN_MS = 300;
const PAUSE_MAX_MS = 6000;
/** Choices that can't be made at the moment, one after the other. */
const CHOICES_MAX = 1000;
const CHOOSE_AGAIN_MS = 100;

export interface NemesisOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly faults: number;
  readonly kinds: readonly FaultKind[];
  /** No fault begins any more once it is aborted. */
  readonly signal: AbortSignal;
  readonly tell: (line: string) => void;
}

/** Resolves when all faults have been undone. */
export async function torment(options: NemesisOptions): Promise<FaultRecord[]> {
  const records: FaultRecord[] = [];
  const claimed = new Set<string>();
  const underWay = new Set<Promise<void>>();
  for (let number = 1; number <= options.faults && !options.signal.aborted; number += 1) {
    while (underWay.size >= TOGETHER_MAX) await Promise.race(underWay);
    const { kind, fault } = await choose(options, claimed);
    for (const claim of fault.claims) claimed.add(claim);
    const running = carryOut({ kind, fault, number, options }).then((record) => {
      records.push(record);
      for (const claim of fault.claims) claimed.delete(claim);
      underWay.delete(running);
    });
    underWay.add(running);
    await Promise.race([running, pause(options.random.between(PAUSE_MIN_MS, PAUSE_MAX_MS), options.signal)]);
  }
  await Promise.all(underWay);
  return records;
}

interface Choice {
  readonly kind: string;
  readonly fault: Fault;
}

async function choose({ world, random, kinds }: NemesisOptions, claimed: ReadonlySet<string>): Promise<Choice> {
  const weights = Object.fromEntries(kinds.map(({ name, weight }) => [name, weight]));
  for (let choice = 0; choice < CHOICES_MAX; choice += 1) {
    const name = random.weighted(weights);
    const fault = (await kinds.find((kind) => kind.name === name)?.make(world, random)) ?? null;
    if (fault !== null && !fault.claims.some((claim) => claimed.has(claim))) return { kind: name, fault };
    await pause(CHOOSE_AGAIN_MS, new AbortController().signal);
  }
  throw new Error('no fault could be chosen any more');
}

async function carryOut(
  what: Choice & { readonly number: number; readonly options: NemesisOptions },
): Promise<FaultRecord> {
  const { kind, fault, number, options } = what;
  const name = [kind, fault.targets.join(' + '), fault.detail ?? ''].filter((part) => part !== '').join(', ');
  const lasts = fault.durationMs === 0 ? '' : `, for ${(fault.durationMs / 1000).toFixed(1)} s`;
  options.tell(`fault ${number}: ${name}${lasts}`);
  const beganAtMs = steadyMs();
  try {
    await fault.begin();
    await pause(fault.durationMs, options.signal);
  } finally {
    await fault.end();
  }
  return { kind, targets: fault.targets, beganAtMs, endedAtMs: steadyMs() };
}
