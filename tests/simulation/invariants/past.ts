/**
 * What the checks have to remember of the past: facts only, each from the moment when it happened. Checks read it; it is
 * brought up to date after they have run, so that to them it is everything up to the revision before.
 */

import type { Change } from '../../../control-plane/store/snapshot.ts';
import type { JobUid, NodeId, TaskId } from '../../../shared/domain/ids.ts';
import type { SimulatedContainer } from '../simulated-engine.ts';
import type { Revision } from '../truth.ts';

export type StartedContainer = Pick<SimulatedContainer, 'id' | 'task' | 'run' | 'life' | 'mayRestart'>;

export interface Past {
  /** The revision at which a job came to be, by its uid. Never forgotten. */
  readonly jobsMade: Map<JobUid, number>;
  /** The job that was made under an idempotency key, and when. */
  readonly jobsByIdempotencyKey: Map<string, { readonly uid: JobUid; readonly revision: number }>;
  /** Where a task was placed, and at which revision. */
  readonly placements: Map<TaskId, { readonly node: NodeId; readonly revision: number }>;
  /** Tasks that have left a ledger. */
  readonly swept: Set<TaskId>;
  /** The claim of the present round: its number, who made it, and at which revision. */
  round: { readonly number: number; readonly owner: string; readonly revision: number } | null;
  readonly epochs: Map<NodeId, number>;
  /** The container that was started last, by task. */
  readonly starts: Map<TaskId, { readonly node: NodeId; readonly container: StartedContainer; readonly atMs: number }>;
}

export function emptyPast(): Past {
  return {
    jobsMade: new Map(),
    jobsByIdempotencyKey: new Map(),
    placements: new Map(),
    swept: new Set(),
    round: null,
    epochs: new Map(),
    starts: new Map(),
  };
}

/** The label by which a submitted job tells under which idempotency key it was asked for. */
export const KEY_LABEL = 'simulated-key';

/** Adds one revision to the past. */
export function remember(past: Past, revision: Revision): void {
  for (const change of revision.changes) rememberChange(past, change);
}

function rememberChange(past: Past, change: Change): void {
  switch (change.kind) {
    case 'jobs':
      if (isNewJob(change)) rememberJob(past, change);
      return;
    case 'ledger': {
      const { added, removed } = entryChanges(change);
      for (const task of added) past.placements.set(task, { node: change.id, revision: change.revision });
      for (const task of removed) past.swept.add(task);
      return;
    }
    case 'rounds':
      past.round = change.after === null ? null : { ...change.after, revision: change.revision };
      return;
    case 'epochs':
      if (change.after !== null) past.epochs.set(change.id, change.after.epoch);
      return;
    default:
      return;
  }
}

function rememberJob(past: Past, { after, revision }: Extract<Change, { kind: 'jobs' }>): void {
  if (after === null) return;
  past.jobsMade.set(after.uid, revision);
  const key = after.spec.labels[KEY_LABEL];
  if (key !== undefined) past.jobsByIdempotencyKey.set(key, { uid: after.uid, revision });
}

export function isNewJob({ before, after }: Extract<Change, { kind: 'jobs' }>): boolean {
  return after !== null && after.uid !== before?.uid;
}

export function entryChanges({ before, after }: Extract<Change, { kind: 'ledger' }>): {
  readonly added: readonly TaskId[];
  readonly removed: readonly TaskId[];
} {
  const earlier = before?.entries ?? {};
  const later = after?.entries ?? {};
  return {
    added: Object.keys(later).filter((task) => !Object.hasOwn(earlier, task)),
    removed: Object.keys(earlier).filter((task) => !Object.hasOwn(later, task)),
  };
}
