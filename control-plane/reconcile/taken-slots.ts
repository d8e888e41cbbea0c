/**
 * Slots of a job in which no task may be made yet. As a rule a new version's tasks are made at once, beside those of the old one
 * that are being stopped, and a retry as soon as the attempt before has ended. Where two must never run at a time, because either
 * version says so, the new one waits for the end of whatever else may run of the slot:
 *
 * - a task of another version;
 * - any attempt, of whatever version, that may still write to a persistent volume that the new one would mount as well;
 * - any attempt that a node keeps aside, of whatever version: it runs there, though the state may call it lost or not know it;
 * - one that ended without anybody seeing it, until it must have ended wherever it ran.
 */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { type GroupSpec, type Job, mountsVolumes, volumesOf } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { missingVolumes } from '../../shared/domain/volumes.ts';
import type { PassInput } from './actions.ts';
import { lacksTask, slotKey, slotsOf } from './batch-tasks.ts';
import { fenceWaitMs, isFenced, isUnseenEnd } from './fence-wait.ts';
import type { KeptAsideTask, keptAsideByJob } from './kept-aside-slots.ts';
import { holdsPlace } from './places.ts';

/** What a slot waits for. `node`: null where it waits for a task that has no place. */
export interface TakenSlot {
  readonly why: 'other-version' | 'kept-aside' | 'unseen-end';
  readonly task: TaskId;
  readonly node: NodeId | null;
  readonly group: string;
  readonly index: number;
}

export interface SlotFacts extends Pick<PassInput, 'cluster' | 'unseenEndsForMs'> {
  /** As {@link keptAsideByJob} tells: looked up once for all jobs. */
  readonly keptAside: ReturnType<typeof keptAsideByJob>;
}

/** By `slotKey`. `tasks` are all of the job. `isOther`: which of them another one of the slot may not run beside. */
export function takenSlots(
  facts: SlotFacts,
  job: Job,
  tasks: readonly Task[],
  isOther = (task: Task) => task.jobVersion !== job.version,
): Map<string, TakenSlot> {
  const { cluster, keptAside } = facts;
  const isExclusive = job.spec.stopAfterDisconnectSeconds !== undefined;
  const aside = (keptAside.get(job.uid) ?? []).filter((one) => isExclusive || isFenced(cluster, one));
  const wanted = new Map(job.spec.groups.filter(mountsVolumes).map((group) => [group.name, group]));
  const others = tasks.filter((task) => {
    const fenced = isFenced(cluster, task);
    if (isOther(task) && (isExclusive || fenced) && mayRun(cluster, task, fenced)) return true;
    const group = wanted.get(task.group);
    return group !== undefined && mayRun(cluster, task, fenced) && isOnVolumeOf(cluster, task, group);
  });
  const unseen = tasks.filter((task) => unseenEndLeftMs(facts, task) > 0);
  const taken = [
    ...unseen.map((task) => takenBy('unseen-end', task)),
    ...others.map((task) => takenBy('other-version', task)),
    ...aside.map((task) => takenBy('kept-aside', task)),
  ];
  return new Map(taken.map((slot) => [slotKey(slot), slot]));
}

/** The slots of a job that lack a task and can't have it yet, in the order of the spec's groups and of indexes. */
export function waitingSlots(facts: SlotFacts, job: Job, tasks: readonly Task[]): TakenSlot[] {
  if (job.deleted || job.stop !== null || job.outcome !== null || job.suspended !== null) return [];
  const lasts = isLasting(job.spec.kind);
  const taken = lasts ? takenSlots(facts, job, tasks, () => true) : takenSlots(facts, job, tasks);
  if (taken.size === 0) return [];
  const lacking = lasts ? emptySlots(job, tasks) : slotsOf(job, tasks).filter(lacksTask);
  return lacking.flatMap(({ group, index }) => taken.get(slotKey({ group: group.name, index })) ?? []);
}

/** Of a service: in which nothing lives, old or new. Those of a system job are its nodes', which come and go. */
function emptySlots({ spec }: Job, tasks: readonly Task[]): { readonly group: GroupSpec; readonly index: number }[] {
  if (spec.kind !== 'service') return [];
  const filled = new Set(tasks.filter(({ state }) => !isTerminal(state)).map(slotKey));
  return spec.groups.flatMap((group) =>
    Array.from({ length: group.count }, (_, index) => ({ group, index })).filter(
      (slot) => !filled.has(slotKey({ group: group.name, index: slot.index })),
    ),
  );
}

/** When the first of those waits is over; null: there is none. */
export function unseenEndsWakeMs(facts: SlotFacts, nowMs: number): number | null {
  const left = [...facts.unseenEndsForMs.keys()]
    .flatMap((id) => facts.cluster.tasks.get(id) ?? [])
    .map((task) => unseenEndLeftMs(facts, task))
    .filter((ms) => ms > 0);
  return left.length === 0 ? null : nowMs + left.reduce((a, b) => Math.min(a, b));
}

function unseenEndLeftMs({ cluster, unseenEndsForMs }: SlotFacts, task: Task): number {
  if (!isUnseenEnd(task)) return 0;
  return (fenceWaitMs(cluster, task) ?? 0) - (unseenEndsForMs.get(task.id) ?? 0);
}

function takenBy(why: TakenSlot['why'], { id, node, group, index }: Task | KeptAsideTask): TakenSlot {
  return { why, task: id, node, group, index };
}

/**
 * Whether the task mounts what the next one of its slot would have to mount. What was lost keeps nobody from a volume of the same id on
 * another node.
 */
function isOnVolumeOf(cluster: ClusterView, task: Task, group: GroupSpec): boolean {
  const before = templateOf(cluster, task)?.group;
  const mounted = new Set(before === undefined ? [] : volumesOf(before, task.index));
  const wanted = volumesOf(group, task.index);
  if (!wanted.some((id) => mounted.has(id))) return false;
  if (!isTerminal(task.state)) return true;
  const { ledgers } = cluster;
  return ![...ledgers.values()].some(
    (ledger) => ledger.node !== task.node && missingVolumes(ledger, wanted, task.role).length === 0,
  );
}

/**
 * One that was given up with its node may still run there, unless the node has stopped it by itself: until the agent is back and
 * has confirmed that nothing of it runs, its place stands.
 */
function mayRun(cluster: ClusterView, task: Task, fenced: boolean): boolean {
  if (!isTerminal(task.state)) return true;
  return task.state === 'lost' && !fenced && holdsPlace(cluster, task);
}
