/** Which ended containers are still kept for their output, and until when. */
import type { Assignment, Container, Containers, LocalTask, LocalTasks } from './model.ts';

export interface Retention {
  /** An ended container is kept for so long after its end. */
  readonly keepMs: number;
  /** Of those whose place is gone, at most so many are kept; the oldest go first. */
  readonly keepMax: number;
}

export const DEFAULT_RETENTION: Retention = { keepMs: 3_600_000, keepMax: 50 };

interface Kept {
  readonly local: LocalTask;
  readonly container: Container;
  readonly endedAtMs: number;
}

/**
 * Ended containers that nothing needs any longer. One whose task still holds its place in the ledger is never among them;
 * the output of one that was stopped because its place was gone is wanted by nobody.
 */
export function expiredContainers(input: {
  readonly nowMs: number;
  readonly assignment: Assignment | null;
  readonly journal: LocalTasks;
  readonly running: Containers;
  readonly retention: Retention;
}): { readonly containers: readonly Container[]; readonly wakeAtMs: number | null } {
  const { assignment, retention, nowMs } = input;
  if (assignment === null) return { containers: [], wakeAtMs: null };
  const kept = endedContainers(input, assignment).sort((a, b) => b.endedAtMs - a.endedAtMs);
  const isExpired = (entry: Kept, rank: number) =>
    rank >= retention.keepMax ||
    nowMs >= entry.endedAtMs + retention.keepMs ||
    entry.local.stop?.cause === 'unassigned';
  const oldest = kept.filter((entry, rank) => !isExpired(entry, rank)).at(-1);
  return {
    containers: kept.filter(isExpired).map((entry) => entry.container),
    wakeAtMs: oldest === undefined ? null : oldest.endedAtMs + retention.keepMs,
  };
}

function endedContainers(
  input: { readonly journal: LocalTasks; readonly running: Containers },
  assignment: Assignment,
): Kept[] {
  const kept: Kept[] = [];
  for (const container of input.running.values()) {
    const local = input.journal.get(container.task);
    if (local?.phase !== 'ended' || container.state === 'running' || assignment.tasks.has(container.task)) continue;
    kept.push({ local, container, endedAtMs: local.endedAt?.steadyMs ?? 0 });
  }
  return kept;
}
