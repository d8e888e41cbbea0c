/**
 * What a node's session begins with, decided from the state as it is and what the agent says of itself. Pure. Beside the epoch
 * this is about a store that was restored from an older snapshot: the agent may have seen more of its ledger than the state
 * knows, and may run what the state doesn't place on its node.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { type Epoch, FIRST_INCARNATION } from '../../shared/domain/node.ts';
import type { AssignmentPosition } from '../../shared/protocol/agent.ts';

/**
 * A restored state knows lower epochs than have been given out since. After a recovery a node's go on so much higher that no
 * session of the lost history can be taken for a new one.
 */
const EPOCHS_PER_INCARNATION = 1_000_000;

export interface SessionStart {
  /** Of the state. */
  readonly incarnation: number;
  /** As it stands; undefined for a node that the state doesn't know. */
  readonly before: Epoch | undefined;
  readonly ledger: Ledger | undefined;
  /** What the agent has seen last; null for one that has seen nothing yet. */
  readonly seen: AssignmentPosition | null;
  /** Of which something runs on the node, or waits to be reported. */
  readonly tasks: readonly TaskId[];
}

/** The record of the next session. */
export function nextEpoch({ incarnation, before, ledger, seen, tasks }: SessionStart): Epoch {
  const begunUnder = before?.incarnation ?? FIRST_INCARNATION;
  const step = before !== undefined && begunUnder < incarnation ? EPOCHS_PER_INCARNATION : 1;
  const ahead = aheadOf({ incarnation, before, ledger, seen });
  const comesFromBefore = seen !== null && seen.incarnation < incarnation;
  const known = new Set(before?.keptAside);
  const keptAside = tasks.filter((id) => ledger?.entries[id] === undefined && (comesFromBefore || known.has(id)));
  return {
    epoch: (before?.epoch ?? 0) + step,
    unreachableSinceMs: null,
    lastGiveUpMs: before?.lastGiveUpMs,
    incarnation,
    ...(ahead !== undefined && { ahead }),
    ...(keptAside.length > 0 && { keptAside }),
  };
}

/**
 * What the agent has seen, if the state has never come so far. It stays on record until a recovery, for the state's own count
 * goes on: one day it would have come as far, with another history.
 */
export function aheadOf({ incarnation, before, ledger, seen }: Omit<SessionStart, 'tasks'>): Epoch['ahead'] {
  const known = before?.ahead !== undefined && before.ahead.incarnation >= incarnation ? before.ahead : undefined;
  if (seen === null || seen.incarnation < incarnation) return known;
  const generation = ledger?.assignmentGeneration ?? 0;
  return seen.incarnation > incarnation || seen.generation > generation ? seen : known;
}
