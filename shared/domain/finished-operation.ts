/** An operation on an offer that its framework gave a name, and that was carried out: on record until the framework has heard of it. */
import type { FrameworkId, NodeId } from './ids.ts';

export interface FinishedOperation {
  /** By which the framework says that it has heard of it. */
  readonly id: string;
  readonly framework: FrameworkId;
  /** What the framework calls it; no two of its operations on record have the same name. */
  readonly name: string;
  readonly node: NodeId;
  readonly atMs: number;
}

/** Of one framework: one that acknowledges none of them can't fill the store. */
export const FINISHED_OPERATIONS_MAX = 1000;

export const OPERATION_ACKNOWLEDGEMENTS = ['acknowledged', 'unknown'] as const;
export type OperationAcknowledgement = (typeof OPERATION_ACKNOWLEDGEMENTS)[number];
