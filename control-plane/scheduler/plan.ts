/** What a round decides. Ids and values only: whoever commits it looks up the revisions that it was decided from. */
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { StopRequest } from '../../shared/domain/job.ts';
import type { TaskEntry } from '../../shared/domain/ledger.ts';

export interface RoundPlan {
  /** Entries whose tasks have ended: they give their resources back. */
  readonly sweeps: readonly Sweep[];
  /** In the order in which they were decided. */
  readonly placements: readonly PlannedPlacement[];
  /** What has to make room for others, in the order in which it was decided. */
  readonly stops: readonly PlannedStop[];
  /** It ends at the bound on placements: there may be more to place, so plan again at once. */
  readonly isCutOff: boolean;
  /** When a task that waits out its backoff becomes placeable; null if none does. */
  readonly wakeAtMs: number | null;
}

export interface Sweep {
  readonly node: NodeId;
  readonly tasks: readonly TaskId[];
}

export interface PlannedPlacement {
  readonly task: TaskId;
  readonly node: NodeId;
  readonly entry: TaskEntry;
  /** Why there, in a sentence for people: how many nodes fitted, and what decided among them. */
  readonly why: string;
}

export interface PlannedStop {
  readonly task: TaskId;
  /** Where it holds its place. */
  readonly node: NodeId;
  readonly stop: StopRequest;
}
