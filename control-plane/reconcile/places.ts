/** Whether a task's place in a ledger still stands. It may outlive the task: a round sweeps it, or an agent has to confirm first. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Task } from '../../shared/domain/task.ts';

export function holdsPlace(cluster: ClusterView, task: Task): boolean {
  return task.node !== null && cluster.ledgers.get(task.node)?.entries[task.id] !== undefined;
}
