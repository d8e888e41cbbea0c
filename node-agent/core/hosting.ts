/** Whether the executor of a task that waits to be started can take it. */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { Assignment, LocalTasks } from './model.ts';

export interface HostingInput {
  /** The last one that was received; null: none since the agent started. */
  readonly assignment: Assignment | null;
  readonly journal: LocalTasks;
}

/** `awaited`: it may yet come to run. `over`: it never will, or is about to end. */
export function hostOf(executor: TaskId, { assignment, journal }: HostingInput): 'ready' | 'awaited' | 'over' {
  const local = journal.get(executor);
  const assigned = assignment?.tasks.get(executor);
  const isUnwanted = assigned !== undefined && (assigned.stop !== null || assigned.disowned);
  if (local === undefined) {
    if (assignment === null) return 'awaited';
    return assigned === undefined || isUnwanted || isTerminal(assigned.state) ? 'over' : 'awaited';
  }
  if (local.phase === 'ended' || local.stop !== null || isUnwanted) return 'over';
  return local.phase === 'running' ? 'ready' : 'awaited';
}
