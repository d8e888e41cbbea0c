/**
 * Nodes that are out of the question for all of these clients: since they have GPUs, which are kept for others, or since nobody wants
 * nodes of their kind. Then they are no part of what is shared among them: a level that counted them would let the first have more of
 * the other nodes than is left for the last.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { NodeWish } from './node-wishes.ts';

/** Whoever something can be offered to, as far as the nodes are concerned. */
export interface Suitor {
  /** Of the framework; null: a scheduler of Berth's own, which may have use for any node without GPUs. */
  readonly framework: Pick<Framework, 'capabilities'> | null;
  readonly wish: NodeWish | null;
}

export const BUILT_IN_SUITOR: Suitor = { framework: null, wish: null };

export function areGpuNodesKept(
  { settings }: Pick<ClusterView, 'settings'>,
  framework: Pick<Framework, 'capabilities'> | null,
): boolean {
  return settings.gpuNodes === 'restricted' && !(framework?.capabilities.includes('gpus') ?? false);
}

/** Null: there are none. */
export function unofferableNodes(
  cluster: Pick<ClusterView, 'settings'>,
  suitors: Iterable<Suitor>,
): ((node: Node, hasGpus: boolean) => boolean) | null {
  const kinds = new Map<string, { readonly takesGpuNodes: boolean; readonly wish: NodeWish | null }>();
  for (const { framework, wish } of suitors) {
    const takesGpuNodes = !areGpuNodesKept(cluster, framework);
    if (takesGpuNodes && wish === null) return null;
    kinds.set(`${takesGpuNodes} ${wish?.key ?? ''}`, { takesGpuNodes, wish });
  }
  const all = [...kinds.values()];
  return (node, hasGpus) =>
    !all.some(({ takesGpuNodes, wish }) => (takesGpuNodes || !hasGpus) && (wish === null || wish.wants(node)));
}
