/** Nodes that have fallen silent or were declared gone, and whose frameworks are to hear of it. Pure. */
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import type { Epoch } from '../../shared/domain/node.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { Change, Snapshot } from '../store/snapshot.ts';

export interface LostNode {
  readonly node: NodeId;
  /** Those that have live tasks there. */
  readonly frameworks: ReadonlySet<FrameworkId>;
}

/**
 * Those that the changes say so of, once for each time that a node is lost: one that is declared gone had fallen silent before. Their
 * tasks may have been given up by other changes of the same step.
 */
export function lostNodes(changes: readonly Change[], snapshot: Pick<Snapshot, 'tasksOnNode'>): LostNode[] {
  return changes.flatMap((change) => {
    if (change.kind !== 'epochs' || isLost(change.before) || !isLost(change.after)) return [];
    const live = [...snapshot.tasksOnNode(change.id), ...tasksBefore(changes)].filter(
      ({ node, state }) => node === change.id && !isTerminal(state),
    );
    return [{ node: change.id, frameworks: new Set(live.flatMap(({ framework }) => framework?.id ?? [])) }];
  });
}

function isLost(epoch: Epoch | null): boolean {
  return epoch !== null && (epoch.unreachableSinceMs !== null || epoch.gone !== undefined);
}

function tasksBefore(changes: readonly Change[]): Task[] {
  return changes.flatMap((change) => (change.kind === 'tasks' ? (change.before ?? []) : []));
}
