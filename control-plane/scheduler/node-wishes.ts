/**
 * Which nodes frameworks want to be offered, by what they demand of them. Frameworks that demand the same share one wish, and what it
 * says of a node is remembered as long as the node's record stays the same: attributes seldom change, and rounds are many.
 */
import { type Framework, nodesWanted } from '../../shared/domain/framework.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { Node } from '../../shared/domain/node.ts';

export interface NodeWish {
  /** The same for those that want the same nodes. */
  readonly key: string;
  wants(node: Node): boolean;
}

export class NodeWishes {
  /** Those that have been asked for since the last turn, and those of the turn before. */
  #present = new Map<string, NodeWish>();
  #before = new Map<string, NodeWish>();
  readonly #keys = new WeakMap<object, string>();

  /** Null: nodes of any kind. */
  of(framework: Pick<Framework, 'nodeConstraints'>, role: RolePath): NodeWish | null {
    const { nodeConstraints } = framework;
    const alternatives = Object.hasOwn(nodeConstraints, role) ? nodeConstraints[role] : undefined;
    if (alternatives === undefined) return null;
    const key = this.#keys.get(alternatives) ?? JSON.stringify(alternatives);
    this.#keys.set(alternatives, key);
    const wish = this.#present.get(key) ?? this.#before.get(key) ?? wishOf(key, nodesWanted(framework, role));
    this.#present.set(key, wish);
    return wish;
  }

  /** Forgets what nobody has asked for since the last time. */
  turn(): void {
    this.#before = this.#present;
    this.#present = new Map();
  }
}

function wishOf(key: string, wanted: ReturnType<typeof nodesWanted>): NodeWish {
  const verdicts = new WeakMap<Node, boolean>();
  return {
    key,
    wants(node) {
      const known = verdicts.get(node);
      if (known !== undefined) return known;
      const verdict = wanted?.(node.attributes) ?? true;
      verdicts.set(node, verdict);
      return verdict;
    },
  };
}
