/**
 * What the agent may begin without asking anybody, going by its journal: an edge box that comes back from a power cut, its uplink
 * still down, has to do what was placed there. What the journal doesn't hold is never begun that way.
 */
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { policyOf } from './again.ts';
import type { LocalTask } from './model.ts';
import { isRestartWanted } from './restart.ts';

/**
 * So long an agent that has just begun waits for a word of the control plane. One that can be reached answers within this time,
 * and then nothing is started that has been given up or stopped while the node was down.
 */
export const ALONE_AFTER_MS = 10_000;

/** Whether a task may be started by an agent that can't ask whether it is still wanted: not where two must never run at a time. */
export function mayStartOffline(task: AssignedTask): boolean {
  return task.stopAfterDisconnectMs === null;
}

/**
 * Whether the journal alone would have the task begun again, were the record of its end lost with the power. Then that has to be
 * on disk before anybody is told: an end is final. Of all others the engine shows that they have run.
 */
export function couldBeginAgain(local: LocalTask): boolean {
  if (local.origin === null) return false;
  return local.phase === 'starting' || isRestartWanted(local) || policyOf(local) !== undefined;
}

export interface AloneInput {
  readonly nowMs: number;
  readonly begunAtMs: number;
  readonly session: 'live' | 'offline' | 'refused';
}

/**
 * When the agent may go by its journal for this task, on the steady clock; null: not before it has a session. A node that the
 * control plane refuses may be a copy of another one, which does the same work already: it begins nothing.
 */
export function aloneAtMs(local: LocalTask, { begunAtMs, session }: AloneInput): number | null {
  if (session === 'refused' || local.origin === null || !mayStartOffline(local.origin)) return null;
  return begunAtMs + ALONE_AFTER_MS;
}
