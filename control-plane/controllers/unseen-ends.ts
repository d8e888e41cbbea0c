/**
 * For how long this replica has known of each end that nobody saw, on its own steady clock. As with unreachable nodes every replica keeps
 * count, whether it drives or not, and starts at zero: when the end was reported is a time of somebody else's clock.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { isUnseenEnd } from '../reconcile/fence-wait.ts';
import type { Mirror } from '../store/mirror.ts';
import type { Change } from '../store/snapshot.ts';

export class UnseenEnds {
  readonly #clock: Clock;
  /** When this replica saw each first, on its steady clock. */
  readonly #seenAtMs = new Map<TaskId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts until the returned function is called. Tasks that have ended so already count from now on. */
  follow(mirror: Pick<Mirror, 'snapshot' | 'subscribe'>): () => void {
    for (const [id, task] of mirror.snapshot.tasks) this.#see(id, task);
    return mirror.subscribe((changes, _revision, reset) => this.#changed(changes, reset));
  }

  /** By task, in milliseconds. */
  knownForMs(): ReadonlyMap<TaskId, number> {
    const nowMs = this.#clock.monotonicMs();
    return new Map([...this.#seenAtMs].map(([task, seenAtMs]) => [task, nowMs - seenAtMs]));
  }

  #changed(changes: readonly Change[], reset: boolean): void {
    for (const change of changes) {
      if (change.kind !== 'tasks') continue;
      // Ended in another history than the one that was followed.
      if (reset) this.#seenAtMs.delete(change.id);
      this.#see(change.id, change.after);
    }
  }

  #see(id: TaskId, task: Task | null): void {
    if (task === null || !isUnseenEnd(task)) this.#seenAtMs.delete(id);
    else if (!this.#seenAtMs.has(id)) this.#seenAtMs.set(id, this.#clock.monotonicMs());
  }
}
