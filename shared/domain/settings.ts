/** What an operator sets for the cluster as a whole. */
import type { ScalarAmounts } from './role.ts';

/**
 * For whom nodes that have GPUs are there. `restricted`: only for what asks for GPUs. `preferred`: others only get what no other
 * node has room for. `unrestricted`: for everything alike. Judged on what a node has, not on what is left of it.
 */
export const GPU_NODE_POLICIES = ['restricted', 'preferred', 'unrestricted'] as const;
export type GpuNodePolicy = (typeof GPU_NODE_POLICIES)[number];

export interface Settings {
  readonly gpuNodes: GpuNodePolicy;
  /** How long a framework may hold an offer, in seconds. */
  readonly offerTimeoutSeconds: number;
  /** An offer holds at least one of these; a framework may ask for more or for less. */
  readonly minAllocatable: readonly ScalarAmounts[];
  /** Names of scalars that don't count in a role's share, since only few can use them. */
  readonly excludedFromShares: readonly string[];
  /** How long it stays on record who did what, in days. */
  readonly auditKeepDays: number;
}

export const DEFAULT_SETTINGS: Settings = {
  gpuNodes: 'restricted',
  offerTimeoutSeconds: 60,
  minAllocatable: [{ cpus: 0.01 }, { memMiB: 32 }],
  excludedFromShares: ['gpus'],
  auditKeepDays: 90,
};
