/** What clients of the simulated world do with services that stand, and with their deployments. */
import {
  abortDeployment,
  pauseDeployment,
  promoteDeployment,
  resumeDeployment,
} from '../../control-plane/services/deployments.ts';
import {
  restartJob,
  resumeJob,
  retryJob,
  revertJob,
  scaleJob,
  suspendJob,
} from '../../control-plane/services/job-changes.ts';
import { isOver } from '../../shared/domain/deployment.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import type { Client } from './client.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Truth } from './truth.ts';

export const SERVICE_WEIGHTS = {
  scale: 6,
  restart: 3,
  suspend: 1,
  resume: 4,
  revert: 2,
  retry: 1,
  promote: 6,
  pause: 2,
  unpause: 5,
  abort: 2,
} as const;

export type ServiceRequest = keyof typeof SERVICE_WEIGHTS;

const FORCE_CHANCE = 0.5;
const COUNT_MAX = 5;

export interface ServiceRequestParts {
  readonly client: Client;
  readonly truth: Truth;
  readonly random: SeededRandom;
  readonly key: string;
}

/** Nothing is asked where there is nothing of the kind. */
export async function requestOfService(kind: ServiceRequest, parts: ServiceRequestParts): Promise<void> {
  switch (kind) {
    case 'promote':
    case 'pause':
    case 'unpause':
    case 'abort':
      return ofDeployment(kind, parts);
    default:
      return ofJob(kind, parts);
  }
}

async function ofJob(
  kind: Exclude<ServiceRequest, 'promote' | 'pause' | 'unpause' | 'abort'>,
  { client, truth, random, key }: ServiceRequestParts,
): Promise<void> {
  const job = picked(random, servicesOf(truth, kind === 'resume' ? ({ suspended }) => suspended !== null : () => true));
  if (job === null) return;
  const force = random.chance(FORCE_CHANCE);
  const count = random.between(0, COUNT_MAX);
  const name: JobKey = { role: job.spec.role, name: job.spec.name };
  const options = { ifVersion: null, force };
  const what = `${kind} ${name.role}:${name.name}${kind === 'scale' ? ` to ${count}` : ''}${force ? ' by force' : ''}`;
  await client.write<unknown>({
    what,
    key,
    role: name.role,
    run: (ctx, call) => {
      switch (kind) {
        case 'scale':
          return scaleJob(ctx, call, name, { group: 'main', to: { count }, ...options });
        case 'restart':
          return restartJob(ctx, call, name, options);
        case 'suspend':
          return suspendJob(ctx, call, name, { reason: 'for a while', ...options });
        case 'resume':
          return resumeJob(ctx, call, name, options);
        case 'revert':
          return revertJob(ctx, call, name, { version: null, ...options });
        case 'retry':
          return retryJob(ctx, call, name);
        default:
          return kind satisfies never;
      }
    },
  });
}

async function ofDeployment(
  kind: 'promote' | 'pause' | 'unpause' | 'abort',
  { client, truth, random, key }: ServiceRequestParts,
): Promise<void> {
  const running = [...truth.snapshot.deployments.values()].filter((deployment) => {
    if (isOver(deployment)) return false;
    if (kind === 'promote') return deployment.promotedAtMs === null;
    return kind !== 'unpause' || deployment.paused !== null;
  });
  const deployment = picked(
    random,
    running.sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
  if (deployment === null) return;
  const { id, role } = deployment;
  const isHard = random.chance(0.4);
  await client.write<unknown>({
    what: `${kind} ${id}${isHard ? ' the hard way' : ''}`,
    key,
    role,
    run: (ctx, call) => {
      switch (kind) {
        case 'promote':
          return promoteDeployment(ctx, call, id, { force: isHard });
        case 'pause':
          return pauseDeployment(ctx, call, id);
        case 'unpause':
          return resumeDeployment(ctx, call, id);
        case 'abort':
          return abortDeployment(ctx, call, id, { revert: isHard });
        default:
          return kind satisfies never;
      }
    },
  });
}

/** In an order of their own, whatever was written first. */
export function servicesOf({ snapshot }: Truth, isWanted: (job: Job) => boolean): Job[] {
  return [...snapshot.jobs.values()]
    .filter((job) => isLasting(job.spec.kind) && isWanted(job))
    .sort((a, b) => (a.uid < b.uid ? -1 : 1));
}

function picked<T>(random: SeededRandom, items: readonly T[]): T | null {
  return items.length === 0 ? null : random.pick(items);
}
