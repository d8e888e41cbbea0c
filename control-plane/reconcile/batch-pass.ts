/**
 * Batch jobs: makes the tasks that a job lacks, tries again what went wrong, stops what is no longer wanted, and says how
 * the job came out. What to do is read off the tasks that are on record, so a pass that was cut off, or run twice at once,
 * changes nothing: the ids of tasks follow from their place, and every action compares what it was decided from.
 */
import type { Job, StopRequest } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from './actions.ts';
import { outcomeOf } from './batch-outcome.ts';
import { nextTask, slotKey, slotsOf } from './batch-tasks.ts';
import { bounded, chunks } from './bounds.ts';
import { isLive, removal, stops } from './job-end.ts';
import { keptAsideByJob } from './kept-aside-slots.ts';
import { type SlotFacts, type TakenSlot, takenSlots, unseenEndsWakeMs } from './taken-slots.ts';

export function planBatchPass(input: Pick<PassInput, 'cluster' | 'nowMs' | 'unseenEndsForMs'>): PassPlan {
  const { cluster, nowMs, unseenEndsForMs } = input;
  const batch = [...cluster.unsettledJobs()].filter(({ spec }) => spec.kind === 'batch');
  const jobs = batch.sort((a, b) => a.createdAtMs - b.createdAtMs || byText(a.uid, b.uid));
  const facts = { cluster, unseenEndsForMs, keptAside: keptAsideByJob(cluster) };
  const wakeAtMs = unseenEndsWakeMs(facts, nowMs);
  return bounded(jobs, (job) => jobActions(facts, job, nowMs), { wakeAtMs, nowMs });
}

function jobActions(facts: SlotFacts, job: Job, nowMs: number): PassAction[] {
  const { cluster } = facts;
  const tasks = [...cluster.tasksOfJob(job.uid)].sort(byPlace);
  if (job.deleted) return removal(cluster, job, tasks, nowMs);
  if (job.outcome !== null) return [];
  if (job.stop !== null) return ending(job, tasks, job.stop, nowMs);
  return running(facts, job, tasks, nowMs);
}

function byPlace(a: Task, b: Task): number {
  return a.jobVersion - b.jobVersion || byText(a.group, b.group) || a.index - b.index || a.attempt - b.attempt;
}

function ending(job: Job, tasks: readonly Task[], stop: StopRequest, nowMs: number): PassAction[] {
  const live = tasks.filter(isLive);
  return live.length > 0 ? stops(live, stop) : [conclusion(job, tasks, nowMs)];
}

function running(facts: SlotFacts, job: Job, tasks: readonly Task[], nowMs: number): PassAction[] {
  const live = tasks.filter(isLive);
  const outdated = live.filter((task) => task.jobVersion !== job.version);
  const reason = `version ${job.version} of the job has taken its place`;
  const owed = slotsOf(job, tasks).flatMap((slot) => nextTask(job, slot, nowMs) ?? []);
  const taken = takenSlots(facts, job, tasks);
  const lacking = owed.filter((task) => !taken.has(slotKey(task)));
  const actions: PassAction[] = [
    ...stops(outdated, { atMs: nowMs, by: 'berth', reason }),
    ...doubled(live, taken, nowMs),
    ...chunks(lacking, ACTION_TASKS_MAX).map((some) => ({ type: 'create-tasks', job: job.uid, tasks: some }) as const),
  ];
  return live.length === 0 && owed.length === 0 ? [conclusion(job, tasks, nowMs)] : actions;
}

/**
 * What lives in a slot of which a node keeps something aside, where two must never run at a time: one of both has to go, and what is
 * kept aside goes only when somebody says so. It has to make room, so that another one follows once the slot is free.
 */
function doubled(live: readonly Task[], taken: ReadonlyMap<string, TakenSlot>, nowMs: number): PassAction[] {
  return live.flatMap((task) => {
    const slot = taken.get(slotKey(task));
    if (slot?.why !== 'kept-aside') return [];
    const reason = `${slot.task} runs on node ${slot.node} from a part of history that is lost, and two must never run at a time`;
    return stops([task], { atMs: nowMs, by: 'berth', reason, displaced: true });
  });
}

function conclusion(job: Job, tasks: readonly Task[], nowMs: number): PassAction {
  const last = slotsOf(job, tasks).flatMap((slot) => slot.last ?? []);
  return { type: 'conclude-job', job: job.uid, outcome: outcomeOf(job, last, nowMs) };
}

/** Of what isn't being stopped already. */
