/** What a machine does to its own programs: its disk is full, or its clock is set. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { SettableClock } from '../world/clocks.ts';
import type { Machine } from '../world/world.ts';
import { type Fault, type FaultKind, seconds, untilSeen } from './fault.ts';

/** How far the clocks of a cluster may be from each other, in seconds: tokens are good for that. */
const CLOCK_JUMP_SECONDS_MAX = 20;

export const MACHINE_FAULTS: readonly FaultKind[] = [
  { name: 'disk-full', weight: 6, make: async (world, random) => diskFull(random.pick(world.machines), random) },
  {
    name: 'clock-jump',
    weight: 8,
    make: async ({ machines, replicas }, random) => clockJump(random.pick([...machines, ...replicas]), random),
  },
];

function diskFull({ name, disk }: Machine, random: SeededRandom): Fault | null {
  if (disk === null) return null;
  return {
    ...{ targets: [name], claims: [`disk of ${name}`], durationMs: seconds(random, 0.5, 10) },
    async begin() {
      disk.fill();
      await untilSeen(`the disk of ${name} is full`, () => disk.isFull);
    },
    async end() {
      disk.empty();
    },
  };
}

function clockJump(
  { name, clock }: { readonly name: string; readonly clock: SettableClock | null },
  random: SeededRandom,
): Fault | null {
  if (clock === null) return null;
  const jump = random.pick([-1, 1]) * random.between(2, CLOCK_JUMP_SECONDS_MAX);
  return {
    ...{ targets: [name], claims: [`clock of ${name}`], detail: `by ${jump} s`, durationMs: seconds(random, 1, 12) },
    async begin() {
      clock.set(jump);
      await untilSeen(`a process under the clock of ${name} sees the jump`, () => clock.isAheadBy(jump));
    },
    async end() {
      clock.set(0);
    },
  };
}
