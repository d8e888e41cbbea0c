/**
 * After a recovery, some of what the state calls pending may run already: it was placed in the part of history that is lost.
 * Nodes that come back say what they run, and keep aside what the state doesn't place there. Such a task ends here as lost, so
 * that it is not placed a second time; whether its job tries again is for the job to say.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from './actions.ts';
import { bounded, chunks } from './bounds.ts';

export function planKeptAside({ cluster, nowMs }: Pick<PassInput, 'cluster' | 'nowMs'>): PassPlan {
  const keepers = [...cluster.epochs].sort(([a], [b]) => byText(a, b));
  const isPending = (id: TaskId) => cluster.tasks.get(id)?.state === 'pending';
  return bounded(
    keepers,
    ([node, { keptAside = [], endedBefore = [] }]) => {
      const lose = (tasks: readonly TaskId[], message: string) =>
        chunks(tasks.filter(isPending), ACTION_TASKS_MAX).map(
          (some): PassAction => ({ type: 'lose-tasks', node, tasks: some, atMs: nowMs, message }),
        );
      const running = keptAside.map(({ task }) => task);
      return [
        ...lose(
          running,
          `it runs on node ${node}, where a part of history that is lost had placed it; kept aside there`,
        ),
        ...lose(endedBefore, `it ended on node ${node} in a part of history that is lost`),
      ];
    },
    { wakeAtMs: null, nowMs },
  );
}
