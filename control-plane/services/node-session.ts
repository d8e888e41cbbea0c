/**
 * What a node's session begins with, decided from the state as it is and what the agent says of itself. Pure. Beside the epoch
 * this is about a store that was restored from an older snapshot: the agent may have seen more than the state knows, and may
 * run what the state doesn't place on its node.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { type Epoch, FIRST_INCARNATION, type KeptAside } from '../../shared/domain/node.ts';
import type { AssignmentPosition } from '../../shared/protocol/agent.ts';

/**
 * A restored state knows lower epochs than have been given out since. After a recovery a node's go on from its incarnation
 * times this: incarnations are seconds, and nobody begins so many sessions of a node in one, so that no session of a lost
 * history can be taken for a new one.
 */
const EPOCHS_PER_INCARNATION = 1000;

/** The state as it stands, of one node. */
export interface NodeState {
  readonly incarnation: number;
  readonly revision: number;
  /** Undefined for a node that the state doesn't know. */
  readonly before: Epoch | undefined;
  readonly ledger: Ledger | undefined;
  /** Whether the state doesn't say that the task has begun: it is pending, or not known (yet: a retry's id follows from its job). */
  readonly isUnbegun: (task: TaskId) => boolean;
}

/** What the agent says. */
export interface AgentMemory {
  /** The highest assignment that it has seen; null for one that has seen nothing yet. */
  readonly seen: AssignmentPosition | null;
  /** Of which something runs on the node, or waits to be reported. */
  readonly tasks: readonly TaskId[];
  /** Others whose end it remembers. */
  readonly ended: readonly TaskId[];
}

/** The record of the next session. */
export function nextEpoch(state: NodeState, memory: AgentMemory): Epoch {
  const { incarnation, before, ledger } = state;
  const begunUnder = before?.incarnation ?? FIRST_INCARNATION;
  const lowest = begunUnder < incarnation ? incarnation * EPOCHS_PER_INCARNATION : 0;
  const ahead = aheadOf(state, memory.seen);
  const isOther = ahead !== undefined || (memory.seen !== null && memory.seen.incarnation < incarnation);
  const keptAside = keptAsideOf({ before, ledger, isOther }, memory.tasks);
  const endedBefore = memory.ended.filter(
    (id) => (isOther || before?.endedBefore?.includes(id)) && state.isUnbegun(id),
  );
  return {
    epoch: Math.max((before?.epoch ?? 0) + 1, lowest),
    unreachableSinceMs: null,
    lastGiveUpMs: before?.lastGiveUpMs,
    incarnation,
    ...(ahead !== undefined && { ahead }),
    ...(keptAside.length > 0 && { keptAside }),
    ...(endedBefore.length > 0 && { endedBefore }),
  };
}

/**
 * What the agent has seen, if the state has never come so far. It stays on record until a recovery, for the state's own counts
 * go on: one day they would have come as far, with another history. An agent that remembers nothing is compared with nothing.
 */
export function aheadOf(
  { incarnation, revision, before, ledger }: Omit<NodeState, 'isUnbegun'>,
  seen: AssignmentPosition | null,
): Epoch['ahead'] {
  if (seen === null || seen.incarnation < incarnation) return undefined;
  const isPast =
    seen.incarnation > incarnation ||
    seen.generation > (ledger?.assignmentGeneration ?? 0) ||
    (seen.revision ?? 0) > revision;
  if (isPast) return { incarnation: seen.incarnation, generation: seen.generation };
  return before?.ahead !== undefined && before.ahead.incarnation >= incarnation ? before.ahead : undefined;
}

/** `isOther`: the agent comes from a history that isn't the state's. What was kept aside before stays so while it runs. */
function keptAsideOf(
  { before, ledger, isOther }: Pick<NodeState, 'before' | 'ledger'> & { readonly isOther: boolean },
  tasks: readonly TaskId[],
): KeptAside[] {
  const known = new Map((before?.keptAside ?? []).map((one) => [one.task, one]));
  return tasks.flatMap((task) => {
    if (ledger?.entries[task] !== undefined) return [];
    const one = known.get(task) ?? (isOther ? { task, stop: null } : undefined);
    return one === undefined ? [] : [one];
  });
}
