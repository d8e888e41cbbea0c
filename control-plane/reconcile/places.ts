/** Places in ledgers. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Task } from '../../shared/domain/task.ts';

/** Whether the task's place still stands. It may outlive the task: a round sweeps it, or an agent has to confirm first. */
export function holdsPlace(cluster: ClusterView, task: Task): boolean {
  return task.node !== null && cluster.ledgers.get(task.node)?.entries[task.id] !== undefined;
}
