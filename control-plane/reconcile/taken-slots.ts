/**
 * Slots of a job in which no task may be made yet. As a rule a new version's tasks are made at once, beside those of the old one
 * that are being stopped, and a retry as soon as the attempt before has ended. Where two must never run at a time, because either
 * version says so, the new one waits for the end of whatever else may run of the slot:
 *
 * - a task of another version;
 * - any attempt that a node keeps aside, of whatever version: it runs there, though the state may call it lost or not know it.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { slotKey } from './batch-tasks.ts';
import { isFenced } from './fence-wait.ts';
import type { KeptAsideTask, keptAsideByJob } from './kept-aside-slots.ts';
import { holdsPlace } from './places.ts';

/** What a slot waits for. `node`: null where it waits for a task that has no place. */
export interface TakenSlot {
  readonly why: 'other-version' | 'kept-aside';
  readonly task: TaskId;
  readonly node: NodeId | null;
  readonly group: string;
  readonly index: number;
}

export interface SlotFacts {
  readonly cluster: ClusterView;
  /** As {@link keptAsideByJob} tells: looked up once for all jobs. */
  readonly keptAside: ReturnType<typeof keptAsideByJob>;
}

/** By `slotKey`. `tasks` are all of the job. */
export function takenSlots(
  { cluster, keptAside }: SlotFacts,
  job: Job,
  tasks: readonly Task[],
): Map<string, TakenSlot> {
  const isExclusive = job.spec.stopAfterDisconnectSeconds !== undefined;
  const aside = (keptAside.get(job.uid) ?? []).filter((one) => isExclusive || isFenced(cluster, one));
  const others = tasks.filter((task) => {
    if (task.jobVersion === job.version) return false;
    const fenced = isFenced(cluster, task);
    return (isExclusive || fenced) && mayRun(cluster, task, fenced);
  });
  const taken = [
    ...others.map((task) => takenBy('other-version', task)),
    ...aside.map((task) => takenBy('kept-aside', task)),
  ];
  return new Map(taken.map((slot) => [slotKey(slot), slot]));
}

function takenBy(why: TakenSlot['why'], { id, node, group, index }: Task | KeptAsideTask): TakenSlot {
  return { why, task: id, node, group, index };
}

/**
 * One that was given up with its node may still run there, unless the node has stopped it by itself: until the agent is back and
 * has confirmed that nothing of it runs, its place stands.
 */
function mayRun(cluster: ClusterView, task: Task, fenced: boolean): boolean {
  if (!isTerminal(task.state)) return true;
  return task.state === 'lost' && !fenced && holdsPlace(cluster, task);
}
