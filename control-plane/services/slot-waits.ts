/**
 * Slots of a job that lack a task because two must never run at a time, and what each waits for, in words. Pure. There is no task yet
 * that could be asked why it waits.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Job, JobSpec } from '../../shared/domain/job.ts';
import type { SlotWaitView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { keptAsideByJob } from '../reconcile/kept-aside-slots.ts';
import { type TakenSlot, waitingSlots } from '../reconcile/taken-slots.ts';

/** In the order of the spec's groups and of indexes. */
export function slotWaits(cluster: ClusterView, job: Job): SlotWaitView[] {
  // How long ends have been known is for the drivers' replicas to say. A slot that lacks a task after such an end waits for just that.
  const facts = { cluster, unseenEndsForMs: new Map(), keptAside: keptAsideByJob(cluster) };
  return waitingSlots(facts, job, [...cluster.tasksOfJob(job.uid)]).map((slot) => {
    const { group, index, task, node } = slot;
    return { group, index, task, node, message: `${group}[${index}] waits until ${describe(cluster, slot)}` };
  });
}

/** What would wait if the spec were applied to the job now. */
export function slotWaitsWith(cluster: ClusterView, job: Job, spec: JobSpec): SlotWaitView[] {
  const isSame = job.stop === null && canonicalJson(job.spec) === canonicalJson(spec);
  return slotWaits(cluster, isSame ? job : { ...job, spec, version: job.version + 1, stop: null, outcome: null });
}

function describe(cluster: ClusterView, { why, task, node }: TakenSlot): string {
  if (node === null) return `${task} has ended`;
  if (why === 'kept-aside') {
    return `${task} has ended, which node ${node} keeps aside; \`berth node stop-kept-aside ${node}\` asks for that`;
  }
  if (why === 'unseen-end') {
    return `${task} must have stopped: nobody saw it end on node ${node}, and if that machine was only cut off, it runs there until the node stops it by itself`;
  }
  if (cluster.isAlive(node)) return `${task} on node ${node} has ended`;
  return `${task} on node ${node} has surely stopped: ${node} is unreachable; if that machine is no more, \`berth node gone ${node}\` says so`;
}
