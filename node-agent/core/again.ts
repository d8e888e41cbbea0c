/**
 * Whether a run that has ended by itself is followed by a further run of the same task, where it was. The journal keeps when that was
 * decided, so that neither a crash of the agent nor a reboot gives a task that goes down again and again more runs than its group
 * allows, and none of this asks the control plane, which may be out of reach for days.
 *
 * How many runs count, and how long the pause is, go by one and the same window: of the further runs of the last `withinSeconds`, the
 * n-th comes after `delay` × `factor`^(n-1). A task that has run well for so long begins with the shortest pause again.
 */
import type { InPlaceRestarts } from '../../shared/domain/service.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { backoffMs } from '../../shared/util/backoff.ts';
import type { Ending, LocalTask, Moment } from './model.ts';

/** `ending`: what its run has come to, which would be the task's end. `nowMs`: on the steady clock. */
export function mayRunAgain(task: LocalTask, ending: Ending, nowMs: number): boolean {
  const policy = policyOf(task);
  return policy !== undefined && isReason(task, ending) && recent(task, policy, nowMs).length < policy.max;
}

/** The same end, and where it is the task's only because of how many there were, that as well. */
export function lastEnding(task: LocalTask, ending: Ending, nowMs: number): Ending {
  const policy = policyOf(task);
  if (policy === undefined || !isReason(task, ending) || mayRunAgain(task, ending, nowMs)) return ending;
  const times = policy.max === 1 ? 'once' : `${policy.max} times`;
  const message = `${ending.message}; it had been started again in place ${times} within ${policy.withinSeconds} s, and is not once more`;
  return { ...ending, message };
}

/** When its present run may begin, on the steady clock: it follows another one in place. */
export function againAtMs(task: LocalTask): number {
  const [last, policy] = [task.again.at(-1), policyOf(task)];
  if (task.why === null || last === undefined || policy === undefined) return Number.NEGATIVE_INFINITY;
  const backoff = {
    baseMs: Math.min(policy.delaySeconds, policy.maxDelaySeconds) * 1000,
    factor: policy.factor,
    maxMs: policy.maxDelaySeconds * 1000,
  };
  return last.steadyMs + Math.round(backoffMs(backoff, task.again.length - 1));
}

/** When its further runs were decided, with one that is decided at `at`: those that count from now on. */
export function withAgain(task: LocalTask, at: Moment): readonly Moment[] {
  const policy = policyOf(task);
  return [...(policy === undefined ? [] : recent(task, policy, at.steadyMs)), at];
}

/** A further run is told who is beside the task as the first one was: nobody is told it of a task that has run. */
export function asBefore(assigned: AssignedTask, { origin }: LocalTask): AssignedTask {
  return assigned.peers === undefined && origin?.peers !== undefined ? { ...assigned, peers: origin.peers } : assigned;
}

export function policyOf({ origin }: Pick<LocalTask, 'origin'>): InPlaceRestarts | undefined {
  return origin?.group.restart.inPlace;
}

function recent({ again }: LocalTask, { withinSeconds }: InPlaceRestarts, nowMs: number): readonly Moment[] {
  return again.filter(({ steadyMs }) => nowMs - steadyMs < withinSeconds * 1000);
}

/**
 * A run that came to its own end, or that is gone although nobody here has ended it; or one that the agent has ended for a check that
 * asks for this. What was ended for any other reason isn't wanted to run, and what could not be started wouldn't start now.
 */
function isReason({ stop, unhealthy }: LocalTask, { reason }: Ending): boolean {
  switch (reason) {
    case 'exited':
    case 'out-of-memory':
    case 'engine-error':
    case 'not-found-on-node':
      return stop === null;
    case 'unhealthy':
      return unhealthy?.reaction === 'restart';
    default:
      return false;
  }
}
