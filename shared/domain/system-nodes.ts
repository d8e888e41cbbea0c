/**
 * Where a system job has its tasks: on every node that may have them. On a node that takes nothing new a task stays as it is; on one that
 * is being emptied it is the last to go, since the others may need it; a node that nobody reaches is left alone. One rule for whoever
 * makes the tasks, counts them or foresees them. It rests on the records alone, so that all who know the same records say the same.
 */
import { byText } from '../util/order.ts';
import { type ClusterView, liveTasksOn } from './cluster.ts';
import type { NodeId } from './ids.ts';
import type { GroupSpec, JobSpec } from './job.ts';
import { isOpen } from './ledger.ts';
import { isLasting } from './service.ts';
import { isSuitable } from './suitable-node.ts';
import type { Task } from './task.ts';

export interface SystemNodes {
  /** Those that may get a task that they don't have. */
  readonly open: NodeId[];
  /** These, and those where a task stays that is there. */
  readonly staying: NodeId[];
}

/** `live`: the tasks of the group that live; one that is to end doesn't stay. */
export function systemNodes(
  cluster: ClusterView,
  spec: Pick<JobSpec, 'constraints'>,
  { group, live }: { readonly group: GroupSpec; readonly live: readonly Task[] },
): SystemNodes {
  const suitable = [...cluster.nodes.values()].filter((node) => isSuitable(node, spec, group)).map(({ id }) => id);
  const open = suitable.filter((id) => takesNew(cluster, id)).sort(byText);
  const isOn = new Set(live.filter(({ stop }) => stop === null).map(nodeOf));
  const staying = suitable.filter((id) => isOn.has(id) && !isReadyToLeave(cluster, id) && isReached(cluster, id));
  return { open, staying: [...new Set([...open, ...staying])].sort(byText) };
}

/** Where a task is, or is to be. */
export function nodeOf({ node, target }: Task): NodeId {
  return node ?? target?.node ?? '';
}

/** Whether a node may get tasks of a system job that it doesn't have. */
export function takesNew(cluster: ClusterView, id: NodeId): boolean {
  const ledger = cluster.ledgers.get(id);
  const isServiced = (cluster.maintenance.get(id)?.begunAtMs ?? null) !== null;
  return ledger !== undefined && isOpen(ledger) && !isServiced && isReached(cluster, id);
}

/** By the record: a silence counts from when it is noted. */
export function isReached({ epochs, nodes }: ClusterView, id: NodeId): boolean {
  return nodes.has(id) && (epochs.get(id)?.unreachableSinceMs ?? null) === null;
}

/** It is being emptied, and nothing of other lasting jobs, or of a service, lives there any more. */
export function isReadyToLeave(cluster: ClusterView, id: NodeId): boolean {
  const ledger = cluster.ledgers.get(id);
  return (
    ledger !== undefined &&
    ledger.drain !== null &&
    !liveTasksOn(cluster, ledger).some((task) => isServed(cluster, task))
  );
}

function isServed({ jobs }: ClusterView, task: Task): boolean {
  const kind = jobs.get(task.jobUid)?.spec.kind;
  return kind !== undefined && kind !== 'system' && isLasting(kind);
}
