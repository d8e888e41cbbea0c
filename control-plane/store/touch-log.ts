/**
 * Which nodes and tasks a snapshot has seen change, in order: for whoever keeps what it has worked out of them. Bounded: whoever
 * comes back too late looks at everything anew.
 */
import type { TouchedSince, TouchLog } from '../../shared/domain/cluster.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';

const TOUCHES_MAX = 50_000;

interface Touch {
  readonly kind: 'node' | 'task';
  readonly id: NodeId | TaskId;
}

export class SnapshotTouches implements TouchLog {
  readonly #max: number;
  #touches: Touch[] = [];
  /** The mark of the first that is kept. */
  #floor = 0;

  constructor(max = TOUCHES_MAX) {
    this.#max = max;
  }

  get mark(): number {
    return this.#floor + this.#touches.length;
  }

  node(id: NodeId): void {
    this.#add({ kind: 'node', id });
  }

  task(id: TaskId): void {
    this.#add({ kind: 'task', id });
  }

  /** Any may be another one. */
  everything(): void {
    this.#floor = this.mark + 1;
    this.#touches = [];
  }

  since(mark: number): TouchedSince | null {
    if (mark < this.#floor) return null;
    const nodes = new Set<NodeId>();
    const tasks = new Set<TaskId>();
    for (let at = mark - this.#floor; at < this.#touches.length; at += 1) {
      const touch = this.#touches[at];
      if (touch !== undefined) (touch.kind === 'node' ? nodes : tasks).add(touch.id);
    }
    return { nodes, tasks };
  }

  #add(touch: Touch): void {
    this.#touches.push(touch);
    if (this.#touches.length <= 2 * this.#max) return;
    // Cut in large steps, so that the cost of each stays constant.
    const gone = this.#touches.length - this.#max;
    this.#touches = this.#touches.slice(gone);
    this.#floor += gone;
  }
}
