/**
 * What clients come for, as seeded chance has it: a job from its submission to whatever this client does with it. Requests about
 * one job come one after the other, each after the answer to the one before, so that what should come of them is known.
 */
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { PlannedGroup, PlannedJob, Promises } from '../history.ts';
import { IMAGE } from '../world/private-engine.ts';
import { type Client, pause } from './client.ts';
import { type Behaviour, commandOf, witnessMount } from './script.ts';

const ERRANDS = {
  short: 8,
  failing: 4,
  long: 5,
  groups: 3,
  stopped: 4,
  stubborn: 2,
  changed: 3,
  deleted: 3,
  once: 4,
  single: 3,
};
export type Errand = keyof typeof ERRANDS;

const NO_PROMISES: Promises = { neverAgain: false, neverTwo: false };
const PROMISES: Partial<Readonly<Record<Errand, Promises>>> = {
  once: { neverAgain: true, neverTwo: true },
  single: { neverAgain: false, neverTwo: true },
};
/** The shortest that there is. */
const STOP_AFTER_DISCONNECT_SECONDS = 10;

export interface ErrandContext {
  readonly client: Client;
  readonly random: SeededRandom;
  readonly witnessFolder: string;
  readonly signal: AbortSignal;
  readonly plan: (job: PlannedJob) => void;
}

export async function runErrand(name: string, context: ErrandContext): Promise<void> {
  const { client, random, signal } = context;
  const errand = random.weighted(ERRANDS);
  const versions = versionsOf(errand, random);
  const promises = PROMISES[errand] ?? NO_PROMISES;
  context.plan({ name, versions: versions.map((groups) => groups.map(({ planned }) => planned)), promises });
  const [spec, next] = versions.map((groups) => specOf(name, groups, promises, context.witnessFolder));
  if (spec === undefined) return;
  if ((await client.submit(spec))?.type !== 'accepted') return;
  switch (errand) {
    case 'stopped':
    case 'stubborn':
      await pause(random.between(0, 6000), signal);
      await client.stop(name);
      return;
    case 'deleted':
      await pause(random.between(0, 6000), signal);
      await client.remove(name);
      return;
    case 'changed':
      await pause(random.between(0, 4000), signal);
      if (next !== undefined) await client.change(next, 1);
      return;
    default:
      await pause(random.between(0, 1000), signal);
      await client.read(name);
  }
}

interface GroupOfErrand {
  readonly planned: PlannedGroup;
  readonly behaviour: Behaviour;
}

function versionsOf(errand: Errand, random: SeededRandom): GroupOfErrand[][] {
  const one = (behaviour: Partial<Behaviour>, planned: Partial<PlannedGroup> = {}): GroupOfErrand => {
    const whole = { seconds: random.between(0, 2), exitCode: 0, obeys: true, ...behaviour };
    const group = { name: 'main', count: 1, retriesMax: random.pick([0, 2]), exitCode: whole.exitCode };
    return { planned: { ...group, ...planned }, behaviour: whole };
  };
  switch (errand) {
    case 'short':
      return [[one({}, { count: random.between(1, 2) })]];
    case 'failing':
      return [[one({ exitCode: random.between(1, 99) })]];
    case 'long':
      return [[one({ seconds: random.between(5, 15) })]];
    case 'groups':
      return [[one({}, { name: 'first', count: 2 }), one({ exitCode: random.pick([0, 3]) }, { name: 'second' })]];
    case 'stopped':
      return [[one({ seconds: random.between(1, 30) })]];
    case 'stubborn':
      return [[one({ seconds: 20, obeys: false })]];
    case 'changed':
      return [[one({ seconds: random.between(1, 20) })], [one({ seconds: 1, exitCode: random.pick([0, 7]) })]];
    case 'deleted':
      return [[one({ seconds: random.between(1, 20) })]];
    case 'once':
      return [[one({ seconds: random.between(1, 12) }, { retriesMax: 0 })]];
    case 'single':
      return [[one({ seconds: random.between(12, 30), obeys: random.chance(0.5) }, { retriesMax: 2 })]];
  }
}

function specOf(
  name: string,
  groups: readonly GroupOfErrand[],
  promises: Promises,
  witnessFolder: string,
): JobSpecInput {
  return {
    name,
    replaceAfterSeconds: promises.neverAgain ? 'never' : 2,
    ...(promises.neverTwo && !promises.neverAgain && { stopAfterDisconnectSeconds: STOP_AFTER_DISCONNECT_SECONDS }),
    groups: groups.map(({ planned, behaviour }) => ({
      ...{ name: planned.name, count: planned.count, image: IMAGE, pullPolicy: 'never', network: 'none' },
      command: commandOf(behaviour),
      mounts: [witnessMount(witnessFolder)],
      resources: { cpus: 1, memMiB: 16 },
      retries: { max: planned.retriesMax, delaySeconds: 0.5 },
      killGraceSeconds: 2,
    })),
  };
}
