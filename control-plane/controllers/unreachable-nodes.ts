/**
 * For how long this replica has seen each unreachable node marked as such, on its own steady clock. Every replica keeps count,
 * whether it drives or not, so that a change of the driver doesn't begin the count anew. It starts at zero with the replica: what it
 * hasn't watched itself it doesn't believe, since the mark's own time comes from somebody else's clock.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Epoch } from '../../shared/domain/node.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Mirror } from '../store/mirror.ts';
import type { Change } from '../store/snapshot.ts';

interface Sighting {
  /** Tells one absence of the node from the next. */
  readonly sinceMs: number;
  /** When this replica saw the mark first, on its steady clock. */
  readonly seenAtMs: number;
}

export class UnreachableNodes {
  readonly #clock: Clock;
  readonly #sightings = new Map<NodeId, Sighting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts until the returned function is called. Nodes that are marked already count from now on. */
  follow(mirror: Pick<Mirror, 'snapshot' | 'subscribe'>): () => void {
    for (const [node, epoch] of mirror.snapshot.epochs) this.#see(node, epoch);
    return mirror.subscribe((changes, _revision, reset) => this.#changed(changes, reset));
  }

  /** By node, in milliseconds. Nodes that aren't marked are left out. */
  seenForMs(): ReadonlyMap<NodeId, number> {
    const nowMs = this.#clock.monotonicMs();
    return new Map([...this.#sightings].map(([node, { seenAtMs }]) => [node, nowMs - seenAtMs]));
  }

  #changed(changes: readonly Change[], reset: boolean): void {
    for (const change of changes) {
      if (change.kind !== 'epochs') continue;
      // What happened while history was lost isn't known: the node may have been back for a while.
      if (reset) this.#sightings.delete(change.id);
      this.#see(change.id, change.after);
    }
  }

  #see(node: NodeId, epoch: Epoch | null): void {
    const sinceMs = epoch?.unreachableSinceMs ?? null;
    if (sinceMs === null) this.#sightings.delete(node);
    else if (this.#sightings.get(node)?.sinceMs !== sinceMs) {
      this.#sightings.set(node, { sinceMs, seenAtMs: this.#clock.monotonicMs() });
    }
  }
}
