/**
 * How many unreachable nodes may have their tasks given up at a time. A node that is gone is replaced at once; but many that
 * are gone at once have one cause, and as often as not it is a network, a proxy or the control plane itself rather than
 * machines that have died. Replacing everything then would move a whole fleet's work onto what is left of it. So give-ups
 * are counted in nodes over a window of time, and slow down to one when most of the fleet is unreachable.
 *
 * The same idea as the eviction rates of Kubernetes' node controller and the agent removal limit of Mesos; here the count is
 * read off the epochs, so that it holds over changes of the driver.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';

export const GIVE_UP_WINDOW_MS = 10_000;

/** So many nodes may always be given up in one window: a rack's worth of a small fleet. */
export const GIVE_UP_NODES_MIN = 5;

/** Of a large fleet, this share of its nodes. */
export const GIVE_UP_NODES_SHARE = 0.05;

/** When more than this share of a fleet larger than {@link GIVE_UP_NODES_MIN} is away, one node per window. */
export const DISRUPTED_SHARE = 0.5;

/** A node whose tasks have been given up counts as away for so long; by then it may as well have been scrapped. */
export const DISRUPTION_MS = 600_000;

/** An unreachable node with tasks that run or are to run there. */
export interface SilentNode {
  readonly node: NodeId;
  readonly sinceMs: number;
  /** Some of its tasks have waited for it as long as their jobs allow. */
  readonly isDue: boolean;
}

export interface GiveUps {
  readonly admitted: ReadonlySet<NodeId>;
  /** When more may be admitted; null when all that are due have been. */
  readonly wakeAtMs: number | null;
}

/** Which of the nodes that are due may be given up now: those that have been away longest come first. */
export function admitGiveUps(cluster: ClusterView, silent: readonly SilentNode[], nowMs: number): GiveUps {
  const recent = givenUpWithin(GIVE_UP_WINDOW_MS, cluster, nowMs);
  const due = silent.filter((node) => node.isDue).sort((a, b) => a.sinceMs - b.sinceMs || byText(a.node, b.node));
  const again = due.filter(({ node }) => recent.has(node));
  const first = due.filter(({ node }) => !recent.has(node));
  const free = Math.max(0, nodesPerWindow(cluster, silent, nowMs) - recent.size);
  const admitted = new Set([...again, ...first.slice(0, free)].map(({ node }) => node));
  const oldestMs = [...recent.values()].reduce((a, b) => Math.min(a, b), nowMs);
  return { admitted, wakeAtMs: first.length > free ? oldestMs + GIVE_UP_WINDOW_MS : null };
}

/** Nodes whose tasks were given up no longer ago than that, and when. A time ahead of ours comes from a clock that is. */
function givenUpWithin(windowMs: number, cluster: ClusterView, nowMs: number): Map<NodeId, number> {
  const given = new Map<NodeId, number>();
  for (const [node, { lastGiveUpMs }] of cluster.epochs) {
    if (lastGiveUpMs === undefined || Math.abs(nowMs - lastGiveUpMs) >= windowMs) continue;
    given.set(node, Math.min(lastGiveUpMs, nowMs));
  }
  return given;
}

/** Nodes that are away and have held nothing for long (they may have been scrapped) are no sign of a disruption. */
function nodesPerWindow(cluster: ClusterView, silent: readonly SilentNode[], nowMs: number): number {
  const given = [...givenUpWithin(DISRUPTION_MS, cluster, nowMs).keys()].filter((node) => !cluster.isAlive(node));
  const away = new Set([...silent.map(({ node }) => node), ...given]).size;
  const total = away + [...cluster.ledgers.keys()].filter((node) => cluster.isAlive(node)).length;
  if (total > GIVE_UP_NODES_MIN && away > total * DISRUPTED_SHARE) return 1;
  return Math.max(GIVE_UP_NODES_MIN, Math.ceil(total * GIVE_UP_NODES_SHARE));
}
