/** Maintenance windows as those who ask see them. Pure. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { endsAtMs, frameworksOn, isOver, isRunning, type MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import type { MaintenanceNotice } from '../../shared/protocol/framework.ts';
import type { MaintenanceView } from '../../shared/protocol/maintenance.ts';
import { byText } from '../../shared/util/order.ts';
import type { Principal } from '../auth/principal.ts';
import { mayInAll } from './access.ts';
import { maySee } from './framework-access.ts';
import { maintenanceTimeView, optionalTime, timeView } from './views.ts';

export function noticeView(cluster: Pick<ClusterView, 'nodes'>, window: MaintenanceWindow): MaintenanceNotice {
  const host = cluster.nodes.get(window.node)?.hostname ?? null;
  return { id: window.id, node: window.node, host, ...maintenanceTimeView(window) };
}

export function maintenanceView(
  cluster: Pick<ClusterView, 'nodes' | 'ledgers' | 'frameworks'>,
  window: MaintenanceWindow,
  { nowMs, principal }: { readonly nowMs: number; readonly principal: Principal },
): MaintenanceView {
  const end = endsAtMs(window);
  return {
    ...noticeView(cluster, window),
    endsAt: end === Number.POSITIVE_INFINITY ? null : timeView(end),
    state: stateOf(window, nowMs),
    setAt: timeView(window.setAtMs),
    setBy: window.setBy,
    frameworks: answersOf(cluster, window, principal),
  };
}

function stateOf(window: MaintenanceWindow, nowMs: number): MaintenanceView['state'] {
  if (isOver(window, nowMs)) return 'over';
  return isRunning(window, nowMs) ? 'running' : 'coming';
}

function answersOf(
  { ledgers, frameworks }: Pick<ClusterView, 'ledgers' | 'frameworks'>,
  { node, answers }: MaintenanceWindow,
  principal: Principal,
): MaintenanceView['frameworks'] {
  const ledger = ledgers.get(node);
  const there = ledger === undefined ? [] : frameworksOn(ledger);
  // One that is no more can't be told whose it was.
  const isSeen = (id: FrameworkId) => {
    const framework = frameworks.get(id);
    return framework === undefined ? mayInAll(principal, 'framework:read') : maySee(principal, framework);
  };
  const seen = [...new Set([...there, ...Object.keys(answers)])].filter(isSeen);
  return seen.sort(byText).map((framework) => {
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
