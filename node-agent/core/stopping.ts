/** How far the agent has come with ending a task: it waits until others have heard of it, asks politely, waits again, and kills. */
import { POLITE_SIGNAL } from '../../shared/domain/stop-signal.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import type { LocalStop, LocalTask } from './model.ts';

export type StopTurn = { readonly type: 'wait'; readonly untilMs: number } | { readonly type: 'signal' | 'kill' };

/** What is said while a delay or a grace runs may be less patient. `nowMs`: on the steady clock. */
export function stopTurn(begun: LocalStop, assigned: AssignedTask | undefined, nowMs: number): StopTurn {
  const { since, delayMs } = begun;
  if (delayMs !== undefined) {
    const untilMs = since.steadyMs + Math.min(delayMs, assigned === undefined ? delayMs : delayOf(assigned));
    return nowMs < untilMs ? { type: 'wait', untilMs } : { type: 'signal' };
  }
  const untilMs = since.steadyMs + Math.min(begun.graceMs, assigned?.stop?.graceMs ?? begun.graceMs);
  return nowMs < untilMs ? { type: 'wait', untilMs } : { type: 'kill' };
}

/** Until the polite signal: others find the task until they have heard that it is to end. One that was given up is found by nobody. */
export function delayOf({ stop, disowned }: AssignedTask): number {
  return disowned ? 0 : (stop?.delayMs ?? 0);
}

export function politeSignal(local: LocalTask | undefined): string {
  return local?.origin?.group.stopSignal ?? POLITE_SIGNAL;
}
