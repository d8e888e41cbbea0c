/**
 * Whether nodes with GPUs are out of the question for all of these frameworks. Then they are no part of what is shared among them:
 * a level that counted them would let the first have more of the other nodes than is left for the last.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';

export function areGpuNodesKept(
  { settings }: Pick<ClusterView, 'settings'>,
  frameworks: Iterable<Pick<Framework, 'capabilities'>>,
): boolean {
  if (settings.gpuNodes !== 'restricted') return false;
  for (const { capabilities } of frameworks) if (capabilities.includes('gpus')) return false;
  return true;
}
