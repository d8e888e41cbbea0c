/**
 * Where a task has to make room before its successor can be placed, its node is given the successor's image first: the gap between
 * the two is then a start, not a download.
 */
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { ImageFetch } from '../../../shared/domain/deployment.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import type { PassAction } from '../actions.ts';
import { groupOf, type JobFacts, type WantedImage } from './job-facts.ts';
import type { Member } from './members.ts';

/** Null: nothing has to be fetched before the task goes. */
export function imageToFetch(facts: JobFacts, group: GroupSpec, { task, isLeaving }: Member): WantedImage | null {
  const { cluster, job, deployment } = facts;
  const { node } = task;
  if (deployment === null || node === null || isLeaving) return null;
  if (group.image === '' || group.pullPolicy === 'never') return null;
  const before = groupOf(cluster.version(job.uid, task.jobVersion) ?? null, group.name);
  // It runs from it, so it is there.
  if (before?.image === group.image && group.pullPolicy === 'missing') return null;
  return { node, image: group.image };
}

/** A node that can't be reached, and an image that can't be had, aren't waited for: what becomes of that is shown elsewhere. */
export function isWaitedFor({ cluster }: JobFacts, wanted: WantedImage | null): boolean {
  if (wanted === null || !cluster.isAlive(wanted.node)) return false;
  const state = fetchOf(cluster, wanted)?.state ?? 'wanted';
  return state === 'wanted';
}

export function fetchOf(cluster: ClusterView, { node, image }: WantedImage): ImageFetch | undefined {
  return [...cluster.imageFetchesOn(node)].find((fetch) => fetch.image === image);
}

/** Puts down what is wanted and isn't on record yet. */
export function fetchActions(
  cluster: ClusterView,
  { deployment, nowMs }: JobFacts,
  wanted: readonly WantedImage[],
): PassAction[] {
  if (deployment === null) return [];
  const unique = new Map(wanted.map((one) => [`${one.node} ${one.image}`, one]));
  return [...unique.values()]
    .filter((one) => fetchOf(cluster, one) === undefined)
    .map(({ node, image }) => {
      const fetch = { node, image, deployment: deployment.id, state: 'wanted', message: '', atMs: nowMs } as const;
      return { type: 'put-image-fetch', fetch };
    });
}

/** Takes off what was wanted for deployments that are over. */
export function overFetches(cluster: ClusterView): PassAction[] {
  return [...cluster.nodes.keys()].flatMap((node) =>
    [...cluster.imageFetchesOn(node)]
      .filter(({ deployment }) => cluster.deployments.get(deployment)?.state !== 'running')
      .map(({ image }) => ({ type: 'remove-image-fetch', node, image }) as const),
  );
}
