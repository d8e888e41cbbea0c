/** A scheduler outside of Berth that takes offers over HTTP and decides by itself what runs on them. */
import { type Constraint, conditionOf, type NodeAttributes } from './constraint.ts';
import type { FrameworkId, RolePath } from './ids.ts';
import type { StopRequest } from './job.ts';
import type { ScalarAmounts } from './role.ts';

/** `gpus`: it is offered nodes that have GPUs, even where those are kept for what asks for them. */
export const FRAMEWORK_CAPABILITIES = ['gpus'] as const;
export type FrameworkCapability = (typeof FRAMEWORK_CAPABILITIES)[number];

export interface Framework {
  readonly id: FrameworkId;
  readonly name: string;
  /** Who registered it; nobody else may act for it. */
  readonly principal: string;
  /** In each of these it is made offers. */
  readonly roles: readonly RolePath[];
  readonly capabilities: readonly FrameworkCapability[];
  /** How long it may be away before its tasks end. */
  readonly failoverTimeoutSeconds: number;
  /** By role, in place of the cluster's own: an offer holds at least one of these. Empty: anything will do. */
  readonly minAllocatable: Readonly<Record<RolePath, readonly ScalarAmounts[]>>;
  /** By role: it is offered only nodes that meet all constraints of at least one of these lists. Absent: nodes of any kind. */
  readonly nodeConstraints: Readonly<Record<RolePath, readonly (readonly Constraint[])[]>>;
  /** Kept and shown for whoever speaks for the framework; nothing is decided by them. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Roles in which it wants no offers for now. */
  readonly suppressed: readonly RolePath[];
  /** By role, raised whenever it wants what it had refused: filters of a lower generation are void. Absent: 0. */
  readonly filterGenerations: Readonly<Record<RolePath, number>>;
  /** Raised by each subscription. Calls of an earlier one are refused. */
  readonly session: number;
  readonly registeredAtMs: number;
  readonly subscribedAtMs: number;
  /** Since when no replica holds a stream to it; null: one does. */
  readonly disconnectedSinceMs: number | null;
  /** Its end has been asked for, or its failover timeout has passed: its tasks end, and nobody can subscribe with its id again. */
  readonly teardown: StopRequest | null;
}

/** By role, what tells the nodes that the framework wants to be offered. Null: it wants any. */
export function nodesWanted(
  { nodeConstraints }: Pick<Framework, 'nodeConstraints'>,
  role: RolePath,
): ((attributes: NodeAttributes) => boolean) | null {
  // Own members only: `constructor` is a valid role.
  if (!Object.hasOwn(nodeConstraints, role)) return null;
  const alternatives = (nodeConstraints[role] ?? []).map((constraints) => constraints.map(conditionOf));
  return (attributes) => alternatives.some((all) => all.every((condition) => condition.holds(attributes)));
}
