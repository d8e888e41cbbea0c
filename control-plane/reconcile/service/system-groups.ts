/**
 * What a system job asks for: one task of each group on every node that may have it (`shared/domain/system-nodes.ts`). A task comes with
 * its node and goes when the node may have it no more.
 */
import type { NodeId } from '../../../shared/domain/ids.ts';
import { type GroupSpec, templateVersion } from '../../../shared/domain/job.ts';
import {
  isReached,
  isReadyToLeave,
  nodeOf,
  type SystemNodes,
  systemNodes,
} from '../../../shared/domain/system-nodes.ts';
import { createdAtMs } from '../../../shared/domain/task.ts';
import { type FreeSlot, planExchange } from './exchange.ts';
import { type GroupPlan, type JobFacts, joined, NOTHING_PLANNED, type PlannedStop } from './job-facts.ts';
import type { Member } from './members.ts';
import { unwanted } from './service-groups.ts';

export function planSystemGroups(facts: JobFacts): GroupPlan {
  if (facts.phase === 'waiting') return NOTHING_PLANNED;
  return joined([...facts.job.spec.groups.map((group) => onNodes(facts, group)), unwanted(facts)]);
}

/** Nodes that are to have a task of the group now, with those where one stays that is there. */
export function nodesFor({ cluster, job, members }: JobFacts, group: GroupSpec): SystemNodes {
  const live = members.map(({ task }) => task).filter((task) => task.group === group.name);
  return systemNodes(cluster, job.spec, { group, live });
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
    const reason = isReadyToLeave(facts.cluster, nodeOf(task))
      ? `node ${nodeOf(task)} is being drained, and no service is left there`
      : `node ${nodeOf(task)} is not to have a task of group ${group.name} any more`;
    return { task, stop: { atMs: nowMs, by: 'berth', reason }, reliesOn: [] };
  });
  return { ...exchanged, stop: [...exchanged.stop, ...stop] };
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
