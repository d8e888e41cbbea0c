/**
 * What a new session begins with: for each task whose record at the control plane lags behind what is known here, the last
 * status again; for each disowned one that was released, the release again. Both are taken as known where they had arrived.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isNewer } from '../../shared/domain/task.ts';
import type { TaskStatus } from '../../shared/protocol/agent.ts';
import type { Assignment, LocalTasks } from './model.ts';

/** `answered`: what the control plane has been told in this session already, and the assignment may not show yet. */
export function reportsAnew(
  assignment: Assignment,
  journal: LocalTasks,
  answered: ReadonlySet<TaskId>,
): { readonly statuses: readonly TaskStatus[]; readonly released: readonly TaskId[] } {
  const statuses: TaskStatus[] = [];
  const released: TaskId[] = [];
  for (const assigned of assignment.tasks.values()) {
    const local = journal.get(assigned.id);
    if (local === undefined || answered.has(assigned.id)) continue;
    const { status } = local;
    const isWaiting = local.unanswered.length > 0;
    if (status !== null && !isWaiting && isNewer(assigned, status)) statuses.push(status);
    if (assigned.disowned && local.release === 'answered') released.push(assigned.id);
  }
  return { statuses, released };
}
