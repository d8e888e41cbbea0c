/**
 * Services and system jobs as clients of the simulated world want them: small, with checks that fail soon, and now and then in a
 * version that can never work.
 */
import type { JobSpec } from '../../shared/domain/job.ts';
import { UPDATE_STRATEGIES } from '../../shared/domain/service.ts';
import { type JobSpecInput, jobSpecSchema } from '../../shared/protocol/job.ts';
import { type Behaviour, environmentOf, IMAGES } from './behaviour.ts';
import { KEY_LABEL } from './invariants/past.ts';
import type { SeededRandom } from './seeded-random.ts';

const SERVICES = ['web', 'api', 'queue'] as const;
const SYSTEM_JOBS = ['collector'] as const;
const ROLE = 'default';

type GroupInput = JobSpecInput['groups'][number];

/** `like`: what is to be changed, so that the rest stays; null: another job altogether. */
export function randomService(
  random: SeededRandom,
  { key, like = null }: { readonly key: string | null; readonly like?: JobSpec | null },
): JobSpec {
  const kind = like === null ? (random.chance(0.8) ? 'service' : 'system') : like.kind;
  const isFenced = random.chance(0.1);
  const name = like?.name ?? random.pick(kind === 'system' ? SYSTEM_JOBS : SERVICES);
  const groups = ['main', 'side'].slice(0, random.chance(0.15) ? 2 : 1);
  return jobSpecSchema.parse({
    name,
    role: like?.role ?? ROLE,
    kind,
    priority: random.between(30, 100),
    gpuNodes: 'unrestricted',
    labels: key === null ? {} : { [KEY_LABEL]: key },
    replaceAfterSeconds: random.pick([0, 2, 5, 15]),
    killSelection: random.pick(['youngest-first', 'oldest-first']),
    ...(isFenced ? { stopAfterDisconnectSeconds: random.pick([10, 12]) } : {}),
    dependsOn: name === SERVICES[1] && random.chance(0.4) ? [SERVICES[0]] : [],
    update: randomUpdate(random, kind),
    groups: groups.map((group) => randomGroup(random, { name: group, kind, isFenced })),
  });
}

function randomUpdate(random: SeededRandom, kind: JobSpec['kind']): NonNullable<JobSpecInput['update']> {
  const strategy = random.chance(0.6) ? 'rolling' : random.pick(UPDATE_STRATEGIES);
  return {
    strategy: kind === 'system' ? 'rolling' : strategy,
    minHealthy: random.pick([0, 0.5, 0.75, 1, 1]),
    maxOver: random.pick([0, 0.25, 0.5, 1]),
    ...(random.chance(0.2) ? { maxParallel: random.between(1, 2) } : {}),
    autoPromote: random.chance(0.5),
    minHealthySeconds: random.pick([0, 0, 1, 3]),
    progressDeadlineSeconds: random.between(8, 30),
    autoRevert: random.chance(0.8),
  };
}

function randomGroup(
  random: SeededRandom,
  { name, kind, isFenced }: { readonly name: string; readonly kind: JobSpec['kind']; readonly isFenced: boolean },
): GroupInput {
  const hasChecks = random.chance(0.6);
  const restartsInPlace = random.chance(0.4);
  return {
    name,
    count: kind === 'system' ? 1 : random.between(name === 'main' ? 1 : 0, 4),
    image: random.chance(0.6) ? IMAGES[0] : random.pick(IMAGES.slice(0, random.chance(0.1) ? 4 : 3)),
    env: environmentOf(randomBehaviour(random, { hasChecks, isFenced })),
    resources: { cpus: random.pick([0.1, 0.2, 0.3]), memMiB: random.pick([64, 200]) },
    ports: hasChecks ? [{ name: 'http' }] : [],
    checks: hasChecks ? randomChecks(random, restartsInPlace) : [],
    backoff: { delaySeconds: random.pick([0.5, 1, 2]), factor: 2, maxDelaySeconds: random.pick([4, 20]) },
    killGraceSeconds: random.between(0, 4),
    restart: {
      afterReboot: random.chance(0.5),
      ...(restartsInPlace
        ? { inPlace: { delaySeconds: random.pick([0.5, 1]), max: random.between(1, 2), withinSeconds: 60 } }
        : {}),
    },
  };
}

/** Some versions never work: they fall over, can't be started, or never pass their checks. */
function randomBehaviour(
  random: SeededRandom,
  { hasChecks, isFenced }: { readonly hasChecks: boolean; readonly isFenced: boolean },
): Behaviour {
  const isBad = random.chance(0.25);
  const fault = isBad
    ? random.pick(hasChecks ? (['ends', 'fails-checks', 'unusable'] as const) : (['ends'] as const))
    : null;
  return {
    lifeMs: fault === 'ends' ? random.between(200, 4000) : null,
    exitCode: 1,
    failurePercent: 0,
    stopMs: random.chance(0.8) ? random.between(0, 2000) : null,
    killMs: !isFenced && random.chance(0.1) ? random.between(500, 8000) : 0,
    ...(fault === 'fails-checks' ? { failsChecksAfterMs: 0 } : {}),
    isUnusable: fault === 'unusable',
  };
}

function randomChecks(random: SeededRandom, restartsInPlace: boolean): GroupInput['checks'] {
  const check = {
    type: 'http' as const,
    port: 'http',
    intervalSeconds: random.pick([0.5, 1, 2]),
    timeoutSeconds: 1,
    graceSeconds: random.between(0, 2),
    failuresMax: random.between(1, 3),
  };
  const onFailure = restartsInPlace && random.chance(0.6) ? ('restart' as const) : ('replace' as const);
  const health = { ...check, name: 'alive', purpose: 'health' as const, onFailure };
  return random.chance(0.3) ? [health, { ...check, name: 'ready', purpose: 'readiness' as const }] : [health];
}
