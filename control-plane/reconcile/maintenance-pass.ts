/**
 * Maintenance windows turn by the clock, which whoever decides sees by itself. Here their turns are put on record: the begin with the
 * node's ledger, so that a round or an accept that was decided before and stalled finds it changed; and what is over is taken off.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import { isOver, isRunning, type MaintenanceWindow, nextTurnMs } from '../../shared/domain/maintenance.ts';
import { byText } from '../../shared/util/order.ts';
import type { PassAction, PassInput, PassPlan } from './actions.ts';
import { bounded } from './bounds.ts';

export function planMaintenance({ cluster, nowMs }: Pick<PassInput, 'cluster' | 'nowMs'>): PassPlan {
  const windows = [...cluster.maintenance.values()].sort((a, b) => byText(a.node, b.node));
  const nextMs = windows.reduce(
    (first, window) => Math.min(first, nextTurnMs(window, nowMs)),
    Number.POSITIVE_INFINITY,
  );
  const wakeAtMs = nextMs === Number.POSITIVE_INFINITY ? null : nextMs;
  return bounded(windows, (window) => turning(window, { isThere: (node) => cluster.ledgers.has(node), nowMs }), {
    wakeAtMs,
    nowMs,
  });
}

function turning(
  window: MaintenanceWindow,
  { isThere, nowMs }: { readonly isThere: (node: NodeId) => boolean; readonly nowMs: number },
): PassAction[] {
  const { id, node, begunAtMs } = window;
  if (isOver(window, nowMs) || !isThere(node)) return [{ type: 'end-maintenance', node, window: id }];
  if (begunAtMs !== null || !isRunning(window, nowMs)) return [];
  return [{ type: 'begin-maintenance', node, window: id, atMs: nowMs }];
}
