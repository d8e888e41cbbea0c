/** Jobs as clients of the simulated world want them: small, short, and with a bit of everything that decides a placement. */
import type { JobSpec } from '../../shared/domain/job.ts';
import { type JobSpecInput, jobSpecSchema } from '../../shared/protocol/job.ts';
import { type Behaviour, environmentOf, IMAGES } from './behaviour.ts';
import { KEY_LABEL } from './invariants/past.ts';
import type { SeededRandom } from './seeded-random.ts';

const NAMES = ['build', 'train', 'index', 'report', 'backup', 'probe'] as const;
const ROLES = ['default', 'eng/ml'] as const;
const CONSTRAINTS: readonly NonNullable<JobSpecInput['constraints']>[number][] = [
  { attribute: 'zone', operator: '=', value: 'north' },
  { attribute: 'zone', operator: '!=', value: 'north' },
  { attribute: 'zone', operator: 'in', values: ['north', 'south'] },
  { attribute: 'zone', operator: '=', value: 'nowhere' },
];

export const ZONES = ['north', 'south'] as const;

/** `key`: the idempotency key under which the job is submitted, for the record. */
export function randomSpec(random: SeededRandom, { key }: { readonly key: string | null }): JobSpec {
  const isFenced = random.chance(0.3);
  const groups = ['main', 'side'].slice(0, random.chance(0.2) ? 2 : 1);
  return jobSpecSchema.parse({
    name: random.pick(NAMES),
    role: random.pick(ROLES),
    priority: random.between(0, 100),
    placement: random.pick(['pack', 'spread']),
    // Every simulated machine has GPUs.
    gpuNodes: 'unrestricted',
    labels: key === null ? {} : { [KEY_LABEL]: key },
    constraints: random.chance(0.15) ? [random.pick(CONSTRAINTS)] : [],
    replaceAfterSeconds: random.pick([0, 2, 5, 15, 'never']),
    ...(isFenced ? { stopAfterDisconnectSeconds: random.pick([10, 12, 20]) } : {}),
    groups: groups.map((name) => randomGroup(random, { name, isFenced })),
  });
}

function randomGroup(
  random: SeededRandom,
  { name, isFenced }: { readonly name: string; readonly isFenced: boolean },
): JobSpecInput['groups'][number] {
  const lifeMs = random.chance(isFenced ? 0.5 : 0.1)
    ? null
    : random.between(200, random.pick([15_000, 15_000, 60_000]));
  const behaviour: Behaviour = {
    lifeMs,
    exitCode: random.chance(0.85) ? 0 : 3,
    failurePercent: random.pick([0, 0, 30]),
    stopMs: random.chance(0.8) ? random.between(0, 2000) : null,
    // Where two must never run at a time, a SIGKILL has to take effect within the margin that the control plane allows for it.
    killMs: !isFenced && random.chance(0.1) ? random.between(500, 20_000) : 0,
    isUnusable: random.chance(0.03),
  };
  return {
    name,
    count: random.between(1, 4),
    image: random.chance(0.7) ? IMAGES[0] : random.pick(IMAGES),
    env: environmentOf(behaviour),
    resources: {
      cpus: random.pick([0.1, 0.3, 0.7, 1, 2.5]),
      memMiB: random.pick([64, 500, 1500]),
      diskMiB: random.pick([0, 0, 4000]),
      gpus: random.pick([0, 0, 0, 0, 1, 2]),
      custom: random.chance(0.15) ? { licences: random.pick([1, 1.5]) } : {},
    },
    ports: randomPorts(random),
    constraints: random.chance(0.1) ? [random.pick(CONSTRAINTS)] : [],
    retries: { max: random.between(0, 2), delaySeconds: random.between(0, 2), factor: 2, maxDelaySeconds: 4 },
    ...(random.chance(lifeMs === null ? 0.6 : 0.2) ? { timeoutSeconds: random.between(1, 20) } : {}),
    killGraceSeconds: random.between(0, 4),
    restart: { afterReboot: random.split(`restart ${JSON.stringify(behaviour)}`).chance(0.6) },
  };
}

function randomPorts(random: SeededRandom): JobSpecInput['groups'][number]['ports'] {
  const names = ['http', 'peer'].slice(0, random.pick([0, 0, 1, 2]));
  return names.map((name, place) => {
    return random.chance(0.2) ? { name, hostPort: 20_000 + 3 * place + random.between(0, 2) } : { name };
  });
}
