/** Places in ledgers, and the tasks that hold them. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';

/** Whether the task's place still stands. It may outlive the task: a round sweeps it, or an agent has to confirm first. */
export function holdsPlace(cluster: ClusterView, task: Task): boolean {
  return task.node !== null && cluster.ledgers.get(task.node)?.entries[task.id] !== undefined;
}

/** What holds a place there and hasn't ended, but for what has been given up. */
export function liveTasksOn(cluster: ClusterView, ledger: Ledger): Task[] {
  return Object.values(ledger.entries)
    .filter((entry) => !entry.disowned)
    .flatMap((entry) => cluster.tasks.get(entry.task) ?? [])
    .filter((task) => !isTerminal(task.state))
    .sort((a, b) => byText(a.id, b.id));
}
