/** A service through Berth: put in place, rolled, and looked at, by the HTTP API. */
import type { DeploymentView } from '../../shared/protocol/deployments.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { pause } from './child.ts';
import type { HttpClient } from './http.ts';
import type { Order } from './swarm.ts';

const LOOK_MS = 50;
const WAIT_MAX_MS = 120_000;
/** The first process of a container hears of SIGTERM only if it says so. */
export const ENDS_AT_ONCE = ['sh', '-c', 'trap "exit 0" TERM; sleep 3600 & wait'];

/** What Swarm calls an order, in Berth's words: how many may be missing, and how many there may be besides, of so many. */
export function updateOf(order: Order, { count, parallelism }: { count: number; parallelism: number }) {
  const share = parallelism / count;
  const shares = order === 'stop-first' ? { minHealthy: 1 - share, maxOver: 0 } : { minHealthy: 1, maxOver: share };
  return { strategy: 'rolling', ...shares, maxParallel: parallelism, minHealthySeconds: 0 } as const;
}

/** Submits it, or puts it in the place of what there is under the name. Resolves when its deployment has succeeded. */
export async function putService(api: HttpClient, spec: JobSpecInput): Promise<void> {
  await api.expect({ method: 'PUT', path: `/v1/jobs/${spec.name}`, body: spec }, 200, 201);
  await deployed(api, spec.name);
}

/** Resolves when the last deployment has succeeded. Throws when it came out in another way. */
export async function deployed(api: HttpClient, job: string): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MAX_MS;
  while (performance.now() < deadlineMs) {
    const path = `/v1/jobs/${job}/deployments?limit=1000`;
    const { items } = JSON.parse(await api.expect({ method: 'GET', path }, 200)) as Page<DeploymentView>;
    const [last] = items;
    if (last?.state === 'succeeded') return;
    if (last?.state === 'failed' || last?.state === 'cancelled') throw new Error(`${last.id}: ${last.message}`);
    await pause(LOOK_MS);
  }
  throw new Error(`waited ${WAIT_MAX_MS} ms in vain for job ${job} to be deployed`);
}
