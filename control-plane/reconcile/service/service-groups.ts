/** What a service asks for, group by group: how many tasks of which version there are to be in the phase that it is in. */
import { type GroupSpec, mountsVolumes, templateVersion, volumesOf } from '../../../shared/domain/job.ts';
import type { Task, TaskTarget } from '../../../shared/domain/task.ts';
import { missingVolumes } from '../../../shared/domain/volumes.ts';
import { slotKey } from '../batch-tasks.ts';
import { type Exchange, type FreeSlot, isMadeStopFirst, isStopFirst, planExchange } from './exchange.ts';
import {
  type GroupPlan,
  groupOf,
  isExchanged,
  type JobFacts,
  joined,
  NOTHING_PLANNED,
  type PlannedStop,
} from './job-facts.ts';
import type { Member } from './members.ts';

export function planServiceGroups(facts: JobFacts): GroupPlan {
  switch (facts.phase) {
    case 'waiting':
      // What was suspended has nothing to be kept up.
      if (facts.deployment?.cause === 'resumed') return NOTHING_PLANNED;
      return joined((facts.before?.spec.groups ?? []).map((group) => keptUp(facts, group)));
    case 'halted':
      return joined(facts.job.spec.groups.map((group) => keptUp(facts, group)));
    case 'beside':
      return joined(facts.job.spec.groups.map((group) => besides(facts, group)));
    case 'rolling':
      return joined([...facts.job.spec.groups.map((group) => rolled(facts, group)), unwanted(facts)]);
  }
}

/** How many new tasks of the group are to stand beside the old ones. */
export function besideCount({ policy }: JobFacts, group: GroupSpec): number {
  return policy.strategy === 'canary' ? Math.min(policy.canaries, group.count) : group.count;
}

/** What is wanted takes the place of everything else. */
function rolled(facts: JobFacts, group: GroupSpec): GroupPlan {
  const members = inGroup(facts, group);
  const isFresh = (member: Member) => member.isPresent && !member.isLeaving;
  const version = templateVersion(facts.job, group.name);
  return planExchange(facts, {
    ...splitBy(facts, group, members, isFresh),
    count: group.count,
    comingMax: facts.deployment === null ? undefined : facts.policy.maxParallel,
    trims: true,
    free: (going) => {
      const targets = mountsVolumes(group) ? homesIn(facts, group) : targetsIn(facts, group);
      const slots = freeSlots(members.filter(isFresh), group.count).map((index): FreeSlot => {
        return { index, jobVersion: version, target: isIn(going, group, index) ? null : (targets.get(index) ?? null) };
      });
      return slots.sort((a, b) => Number(isIn(going, group, a.index)) - Number(isIn(going, group, b.index)));
    },
  });
}

/**
 * The old tasks stay, and are kept up; so many new ones as are wanted beside them are made at once. Where two must never run of a slot,
 * they get slots of their own. What was tried out before these, and never promoted, goes.
 */
function besides(facts: JobFacts, group: GroupSpec): GroupPlan {
  const { job, deployment } = facts;
  const before = groupOf(facts.before, group.name);
  if (deployment === null || before === undefined || !isExchanged(job, deployment, group.name))
    return rolled(facts, group);
  const members = inGroup(facts, group);
  const [old, fresh] = [members.filter(({ isPresent }) => !isPresent), members.filter(({ isPresent }) => isPresent)];
  const version = templateVersion(job, group.name);
  const wanted = besideCount(facts, group);
  const staying = fresh.filter(({ isLeaving }) => !isLeaving);
  // Of those that are kept up there may be none at the moment: what made them says as much as they do.
  const isApart =
    isStopFirst(facts, group, old) || (facts.before !== null && isMadeStopFirst(facts.before.spec, before));
  const from = isApart ? Math.max(before.count, ...old.map(({ task }) => task.index + 1)) : 0;
  const newOnes = planExchange(facts, {
    ...splitBy(facts, group, fresh, ({ isLeaving }) => !isLeaving),
    count: wanted,
    comingMax: facts.policy.maxParallel,
    trims: true,
    free: () => freeSlots(staying, wanted, from).map((index) => ({ index, jobVersion: version, target: null })),
  });
  const isOfBefore = ({ task }: Member) => task.jobVersion <= (deployment.fromVersion ?? 0);
  const onlyVersion = deployment.fromTemplates[group.name];
  return joined([newOnes, keptUp(facts, before, { members: old, onlyVersion, isOfBefore })]);
}

/** Which tasks are kept up, and from which version those are made that are missing. */
interface Kept {
  readonly members: readonly Member[];
  readonly onlyVersion: number | undefined;
  readonly isOfBefore: (member: Member) => boolean;
}

/**
 * As many tasks as the group says stay there, each in the version that it has; nothing is exchanged. Where more are wanted by now, those
 * that are there count for that already: not one that is to leave its node, since another one comes in its place.
 */
function keptUp(facts: JobFacts, group: GroupSpec, kept: Kept | null = null): GroupPlan {
  const members = kept?.members ?? inGroup(facts, group);
  const isStaying = (member: Member) => !member.isLeaving && kept?.isOfBefore(member) !== false;
  const wanted = facts.job.spec.groups.find(({ name }) => name === group.name)?.count ?? 0;
  const there = members.filter((member) => !member.isEnding && isStaying(member)).length;
  const count = Math.max(group.count, Math.min(wanted, there));
  return planExchange(facts, {
    ...splitBy(facts, group, members, isStaying),
    count,
    trims: false,
    free: () => {
      const homes = homesIn(facts, group);
      return freeSlots(members.filter(isStaying), count).map((index) => ({
        index,
        jobVersion: kept?.onlyVersion ?? lastVersionIn(facts, group, index),
        target: homes.get(index) ?? null,
      }));
    },
  });
}

/** Tasks of groups that the job has no more. */
export function unwanted({ job, members, nowMs }: JobFacts): GroupPlan {
  const names = new Set(job.spec.groups.map(({ name }) => name));
  const reason = `version ${job.version} of the job has no such group`;
  const stop = members
    .filter(({ task, isEnding }) => !names.has(task.group) && !isEnding)
    .map(({ task }): PlannedStop => ({ task, stop: { atMs: nowMs, by: 'berth', reason }, reliesOn: [] }));
  return stop.length === 0 ? NOTHING_PLANNED : { ...NOTHING_PLANNED, stop };
}

function inGroup({ members }: JobFacts, group: GroupSpec): Member[] {
  return members.filter(({ task }) => task.group === group.name);
}

type Sides = Pick<Exchange, 'group' | 'fresh' | 'old' | 'ending' | 'isStopFirst' | 'why'>;

function splitBy(
  facts: JobFacts,
  group: GroupSpec,
  members: readonly Member[],
  isFresh: (member: Member) => boolean,
): Sides {
  const staying = members.filter(({ isEnding }) => !isEnding);
  const old = staying.filter((member) => !isFresh(member));
  return {
    group,
    fresh: staying.filter(isFresh),
    old,
    ending: members.filter(({ isEnding }) => isEnding),
    isStopFirst: isStopFirst(facts, group, members),
    why: (member) => reasonFor(facts, group, member),
  };
}

function reasonFor({ job, cluster }: JobFacts, group: GroupSpec, { task, isLeaving, isPresent }: Member) {
  const drain = task.node === null ? null : (cluster.ledgers.get(task.node)?.drain ?? null);
  if (isLeaving && drain !== null) {
    return { by: drain.by, reason: `node ${task.node} is being drained, and the task is moved off it` };
  }
  if (!isPresent) return { by: 'berth', reason: `version ${job.version} of the job has taken its place` };
  return { by: 'berth', reason: `there are more than the ${group.count} that are wanted of group ${group.name}` };
}

/** Of `count` indexes, those that none of the members has. One that is ending has its slot no more. */
function freeSlots(members: readonly Member[], count: number, from = 0): number[] {
  const held = new Set(members.filter(({ isEnding }) => !isEnding).map(({ task }) => task.index));
  return Array.from({ length: count }, (_, at) => from + at).filter((index) => !held.has(index));
}

function isIn(slots: ReadonlySet<string>, group: GroupSpec, index: number): boolean {
  return slots.has(slotKey({ group: group.name, index }));
}

/** Where the old task of a slot has made room, its successor is to be: what it needs has been fetched there. By index. */
function targetsIn({ cluster, tasks, job, deployment }: JobFacts, group: GroupSpec): ReadonlyMap<number, TaskTarget> {
  if (deployment === null || !isExchanged(job, deployment, group.name)) return new Map();
  const version = deployment.fromTemplates[group.name];
  const old = tasks.filter((task) => task.group === group.name && task.jobVersion === version);
  return new Map(
    [...new Map(old.map((task) => [task.index, task])).values()].flatMap(({ index, node, stop }) => {
      const hasMadeRoom = node !== null && stop !== null && stop.displaced !== true && cluster.isAlive(node);
      return hasMadeRoom ? [[index, { node, required: false }] as const] : [];
    }),
  );
}

/** Where a volume has what the slot's tasks have written: there may be more than one of that id. By index. */
function homesIn({ cluster, tasks }: JobFacts, group: GroupSpec): ReadonlyMap<number, TaskTarget> {
  const homes = new Map<number, TaskTarget>();
  if (!mountsVolumes(group)) return homes;
  const placed = tasks.filter((task) => task.group === group.name && task.node !== null);
  for (const { index, node, role } of placed.sort((a, b) => bornAtMs(a) - bornAtMs(b))) {
    const ledger = node === null ? undefined : cluster.ledgers.get(node);
    if (node === null || ledger === undefined) continue;
    if (missingVolumes(ledger, volumesOf(group, index), role).length === 0) homes.set(index, { node, required: false });
  }
  return homes;
}

/** The version of the slot's newest task, as long as it can be made again; else the one that is wanted, or was before a trial of it. */
function lastVersionIn(facts: JobFacts, group: GroupSpec, index: number): number {
  const { cluster, job, tasks, phase, deployment, trial } = facts;
  const newest = tasks
    .filter((task) => task.group === group.name && task.index === index)
    .reduce<Task | null>((a, b) => (a === null || bornAtMs(b) >= bornAtMs(a) ? b : a), null);
  const wanted = (phase === 'waiting' ? deployment : trial)?.fromTemplates[group.name];
  const version = newest?.jobVersion ?? wanted ?? templateVersion(job, group.name);
  return groupOf(cluster.version(job.uid, version) ?? null, group.name) === undefined
    ? templateVersion(job, group.name)
    : version;
}

function bornAtMs({ history }: Task): number {
  return history[0]?.atMs ?? 0;
}
