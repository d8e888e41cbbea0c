/** Maintenance windows as those who ask see them. Pure. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { endsAtMs, frameworksOn, isOver, isRunning, type MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import type { MaintenanceNotice } from '../../shared/protocol/framework.ts';
import type { MaintenanceView } from '../../shared/protocol/maintenance.ts';
import { byText } from '../../shared/util/order.ts';
import { maintenanceTimeView, optionalTime, timeView } from './views.ts';

export function noticeView(cluster: Pick<ClusterView, 'nodes'>, window: MaintenanceWindow): MaintenanceNotice {
  const host = cluster.nodes.get(window.node)?.hostname ?? null;
  return { id: window.id, node: window.node, host, ...maintenanceTimeView(window) };
}

export function maintenanceView(
  cluster: Pick<ClusterView, 'nodes' | 'ledgers' | 'frameworks'>,
  window: MaintenanceWindow,
  nowMs: number,
): MaintenanceView {
  const end = endsAtMs(window);
  return {
    ...noticeView(cluster, window),
    endsAt: end === Number.POSITIVE_INFINITY ? null : timeView(end),
    state: stateOf(window, nowMs),
    setAt: timeView(window.setAtMs),
    setBy: window.setBy,
    frameworks: answersOf(cluster, window),
  };
}

function stateOf(window: MaintenanceWindow, nowMs: number): MaintenanceView['state'] {
  if (isOver(window, nowMs)) return 'over';
  return isRunning(window, nowMs) ? 'running' : 'coming';
}

function answersOf(
  { ledgers, frameworks }: Pick<ClusterView, 'ledgers' | 'frameworks'>,
  { node, answers }: MaintenanceWindow,
): MaintenanceView['frameworks'] {
  const ledger = ledgers.get(node);
  const there = ledger === undefined ? [] : frameworksOn(ledger);
  return [...new Set([...there, ...Object.keys(answers)])].sort(byText).map((framework) => {
    const answer = answers[framework];
    return {
      framework,
      frameworkName: frameworks.get(framework)?.name ?? null,
      answer: answer?.answer ?? null,
      answeredAt: optionalTime(answer?.atMs ?? null),
      askAgainAt: optionalTime(answer?.askAgainAtMs ?? null),
    };
  });
}
