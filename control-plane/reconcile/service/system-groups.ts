/**
 * What a system job asks for: one task of each group on every node that may have it. A task comes with its node and goes when the node
 * may have it no more. On a node that takes nothing new it stays as it is; on one that is being emptied it is the last to go,
 * since the others may need it. A node that nobody reaches is left alone.
 */
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { NodeId } from '../../../shared/domain/ids.ts';
import { type GroupSpec, templateVersion } from '../../../shared/domain/job.ts';
import { isRunning } from '../../../shared/domain/maintenance.ts';
import { isLasting } from '../../../shared/domain/service.ts';
import { isSuitable } from '../../../shared/domain/suitable-node.ts';
import { createdAtMs, type Task } from '../../../shared/domain/task.ts';
import { byText } from '../../../shared/util/order.ts';
import { liveTasksOn } from '../places.ts';
import { type FreeSlot, planExchange } from './exchange.ts';
import { type GroupPlan, type JobFacts, joined, NOTHING_PLANNED, type PlannedStop } from './job-facts.ts';
import type { Member } from './members.ts';
import { unwanted } from './service-groups.ts';

export function planSystemGroups(facts: JobFacts): GroupPlan {
  if (facts.phase === 'waiting') return NOTHING_PLANNED;
  return joined([...facts.job.spec.groups.map((group) => onNodes(facts, group)), unwanted(facts)]);
}

/** Nodes that are to have a task of the group now, with those where one stays that is there. */
export function nodesFor(facts: JobFacts, group: GroupSpec): { readonly open: NodeId[]; readonly staying: NodeId[] } {
  const { cluster, nowMs, job } = facts;
  const suitable = [...cluster.nodes.values()].filter((node) => isSuitable(node, job.spec, group)).map(({ id }) => id);
  const open = suitable.filter((id) => isOpen(cluster, id, nowMs)).sort(byText);
  const isOn = new Set(facts.members.filter(({ task }) => task.group === group.name).map(({ task }) => nodeOf(task)));
  const staying = suitable.filter((id) => isOn.has(id) && !isReadyToLeave(facts, id) && isReached(cluster, id));
  return { open, staying: [...new Set([...open, ...staying])].sort(byText) };
}

function onNodes(facts: JobFacts, group: GroupSpec): GroupPlan {
  const { phase, deployment, policy, nowMs } = facts;
  const members = facts.members.filter(({ task }) => task.group === group.name);
  const { open, staying } = nodesFor(facts, group);
  const [wanted, takesNew] = [new Set(staying), new Set(open)];
  const reached = members.filter(({ task }) => isReached(facts.cluster, nodeOf(task)));
  const here = reached.filter(({ task }) => wanted.has(nodeOf(task)));
  const steady = here.filter(({ isEnding }) => !isEnding);
  // Where nothing new may come, an old one that went would leave nothing: its turn is when the node takes new ones again.
  const isFresh = ({ task, isPresent }: Member) => phase !== 'rolling' || isPresent || !takesNew.has(nodeOf(task));
  const exchanged = planExchange(facts, {
    group,
    count: staying.length,
    fresh: steady.filter(isFresh),
    old: steady.filter((member) => !isFresh(member)),
    ending: here.filter(({ isEnding }) => isEnding),
    isStopFirst: true,
    comingMax: deployment === null ? undefined : policy.maxParallel,
    trims: false,
    free: () => emptyPlaces(facts, group, open, members),
    why: () => ({ by: 'berth', reason: `version ${facts.job.version} of the job has taken its place` }),
  });
  const gone = reached.filter(({ task, isEnding }) => !isEnding && !wanted.has(nodeOf(task)));
  const stop = gone.map(({ task }): PlannedStop => {
    const reason = isReadyToLeave(facts, nodeOf(task))
      ? `node ${nodeOf(task)} is being drained, and no service is left there`
      : `node ${nodeOf(task)} is not to have a task of group ${group.name} any more`;
    return { task, stop: { atMs: nowMs, by: 'berth', reason }, reliesOn: [] };
  });
  return { ...exchanged, stop: [...exchanged.stop, ...stop] };
}

/** Where a task is, or is to be. */
export function nodeOf({ node, target }: Task): NodeId {
  return node ?? target?.node ?? '';
}

/** A node keeps the index that it had; a new one gets the lowest that no other node has. */
function emptyPlaces(
  { job, tasks }: JobFacts,
  group: GroupSpec,
  open: readonly NodeId[],
  members: readonly Member[],
): FreeSlot[] {
  const isOn = new Set(members.map(({ task }) => nodeOf(task)));
  const [indexOf, ownerOf] = [new Map<NodeId, number>(), new Map<number, NodeId>()];
  const born = tasks.filter((task) => task.group === group.name).sort((a, b) => createdAtMs(a) - createdAtMs(b));
  for (const task of born) {
    indexOf.set(nodeOf(task), task.index);
    ownerOf.set(task.index, nodeOf(task));
  }
  const present = new Set([...open, ...isOn]);
  const used = new Set([...ownerOf].filter(([, node]) => present.has(node)).map(([index]) => index));
  const slots: FreeSlot[] = [];
  let next = 0;
  for (const node of open) {
    if (isOn.has(node)) continue;
    let index = indexOf.get(node);
    if (index === undefined || ownerOf.get(index) !== node) {
      while (used.has(next)) next += 1;
      index = next;
      used.add(index);
    }
    slots.push({ index, jobVersion: templateVersion(job, group.name), target: { node, required: true } });
  }
  return slots;
}

function isReached({ epochs, nodes }: ClusterView, id: NodeId): boolean {
  return nodes.has(id) && (epochs.get(id)?.unreachableSinceMs ?? null) === null;
}

function isOpen(cluster: ClusterView, id: NodeId, nowMs: number): boolean {
  const ledger = cluster.ledgers.get(id);
  if (ledger === undefined || !ledger.eligible || ledger.drain !== null || !isReached(cluster, id)) return false;
  return !isRunning(cluster.maintenance.get(id), nowMs);
}

/** It is being emptied, and nothing of other lasting jobs, or of a service, lives there any more. */
function isReadyToLeave({ cluster }: JobFacts, id: NodeId): boolean {
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
