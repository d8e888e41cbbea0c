/**
 * Slots of which something runs on a node that the state doesn't place there: it comes from a part of history that is lost. The state
 * may not know the attempt at all, so it is told by its id.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import {
  type JobUid,
  jobUidOf,
  type NodeId,
  type TaskCoordinates,
  type TaskId,
  taskCoordinates,
} from '../../shared/domain/ids.ts';

export interface KeptAsideTask extends TaskCoordinates {
  readonly id: TaskId;
  readonly node: NodeId;
}

/** By job. What belongs to none that is on record is left out. */
export function keptAsideByJob(cluster: ClusterView): ReadonlyMap<JobUid, readonly KeptAsideTask[]> {
  const found = [...cluster.epochs].flatMap(([node, { keptAside = [] }]) =>
    keptAside.flatMap(({ task: id }): KeptAsideTask[] => {
      const job = cluster.jobs.get(jobUidOf(id) ?? '');
      const place = job === undefined ? null : taskCoordinates(id, { jobName: job.spec.name, jobUid: job.uid });
      return place === null ? [] : [{ ...place, id, node }];
    }),
  );
  return Map.groupBy(found, ({ jobUid }) => jobUid);
}
