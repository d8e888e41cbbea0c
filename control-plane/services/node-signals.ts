/**
 * Wakes the long requests that wait for news of one node. One subscription to the mirror serves them all, by node, so that
 * thousands of waiting agents cost nothing while nothing changes for them.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Change } from '../store/snapshot.ts';

type Listener = () => void;

export class NodeSignals {
  readonly #listeners = new Map<NodeId, Set<Listener>>();

  /** Takes in what has changed. `reset`: the mirror has listed again, and anything may be different. */
  changed(changes: readonly Change[], reset: boolean): void {
    const isForAll = reset || changes.some(({ kind }) => kind === 'cluster');
    const nodes = isForAll ? [...this.#listeners.keys()] : new Set(changes.flatMap(nodeOfChange));
    for (const node of nodes) {
      for (const listener of [...(this.#listeners.get(node) ?? [])]) listener();
    }
  }

  /** Calls `listener` whenever something of the node may have changed, until the returned function is called. */
  listen(node: NodeId, listener: Listener): () => void {
    const listeners = this.#listeners.get(node) ?? new Set();
    this.#listeners.set(node, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(node) === listeners) this.#listeners.delete(node);
    };
  }
}

function nodeOfChange(change: Change): NodeId[] {
  switch (change.kind) {
    case 'ledger':
    case 'epochs':
      return [change.id];
    case 'streams':
    case 'fetches': {
      const node = (change.after ?? change.before)?.node;
      return node === undefined ? [] : [node];
    }
    case 'messages': {
      const message = change.after ?? change.before;
      return message?.to === 'task' ? [message.node] : [];
    }
    default:
      return [];
  }
}
