/**
 * Why a node can't take a task: the stable words that the scheduler's filters speak, and that the API and the command
 * line show beside a sentence. In the order in which the filters are asked.
 */
export const PLACEMENT_OBSTACLES = [
  'node-ineligible',
  'node-draining',
  'maintenance',
  'node-unreachable',
  'node-ahead',
  'role-limit',
  'no-engine',
  'no-consent',
  'other-node',
  'constraint',
  'peers',
  'no-volume',
  'gpu-node-kept',
  'ledger-full',
  'reserved',
  'cpus',
  'memory',
  'disk',
  'gpus',
  'custom-resource',
  'port-out-of-range',
  'port-taken',
  'ports',
  'guarantee',
] as const;
export type PlacementObstacle = (typeof PLACEMENT_OBSTACLES)[number];
