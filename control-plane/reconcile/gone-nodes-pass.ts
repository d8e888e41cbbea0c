/**
 * Nodes that an operator has declared gone. Nothing runs there any more, so nobody has to be waited for: whatever `replaceAfter`
 * says, what was live ends as lost, and with its ledger every place that the node still held goes, those of disowned tasks too.
 * Only a mark is put when the operator says so; what follows from it is read off the state here, however often it takes.
 */
import { liveTasksOn } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Gone } from '../../shared/domain/node.ts';
import { byText } from '../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from './actions.ts';
import { bounded, chunks } from './bounds.ts';

export function planGoneNodes({ cluster, nowMs }: Pick<PassInput, 'cluster' | 'nowMs'>): PassPlan {
  const gone = [...cluster.epochs]
    .flatMap(([node, epoch]) => (epoch.gone === undefined ? [] : [{ node, gone: epoch.gone }]))
    .sort((a, b) => byText(a.node, b.node));
  return bounded(gone, (one) => clearing({ cluster, nowMs }, one), { wakeAtMs: null, nowMs });
}

function clearing(
  { cluster, nowMs }: Pick<PassInput, 'cluster' | 'nowMs'>,
  { node, gone }: { readonly node: NodeId; readonly gone: Gone },
): PassAction[] {
  const ledger = cluster.ledgers.get(node);
  if (ledger === undefined) return [];
  const message = `node ${node} was declared gone by ${gone.by}`;
  const live = chunks(liveTasksOn(cluster, ledger), ACTION_TASKS_MAX);
  return (live.length === 0 ? [[]] : live).map((tasks) => ({
    type: 'clear-node',
    node,
    tasks: tasks.map(({ id }) => id),
    atMs: nowMs,
    message,
  }));
}
