/**
 * Which containers the engine was last seen to have. A listing takes a while, and what it says may be older than what an
 * event or a step has told since; such parts of it are left out.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Container, Containers } from '../core/model.ts';

/** Hands out what a listing may overwrite: what was last changed before it began. */
export type ListingMark = number;

export class Observations {
  readonly #containers = new Map<TaskId, Container>();
  readonly #changedAt = new Map<TaskId, number>();
  #changes = 0;

  get containers(): Containers {
    return this.#containers;
  }

  /** What a step or an event has shown. The end of a container is not undone by an older sight of it running. */
  see(container: Container): void {
    const known = this.#containers.get(container.task);
    if (known?.id === container.id && known.state === 'exited' && container.state !== 'exited') return;
    this.touch(container.task);
    this.#containers.set(container.task, container);
  }

  /** The container is gone, unless another one has taken its place. */
  miss(task: TaskId, container: string): void {
    this.touch(task);
    if (this.#containers.get(task)?.id === container) this.#containers.delete(task);
  }

  /** A step has begun or ended that changes the task's container: listings from before say nothing about it. */
  touch(task: TaskId): void {
    this.#changes += 1;
    this.#changedAt.set(task, this.#changes);
  }

  beginListing(): ListingMark {
    return this.#changes;
  }

  /** Takes a whole listing over. `isBusy`: a step is under way for the task. */
  applyListing(mark: ListingMark, listed: readonly Container[], isBusy: (task: TaskId) => boolean): void {
    const isNewer = (task: TaskId) => (this.#changedAt.get(task) ?? 0) > mark || isBusy(task);
    const byTask = new Map(listed.map((container) => [container.task, container]));
    for (const task of [...this.#containers.keys()]) {
      if (!byTask.has(task) && !isNewer(task)) this.#containers.delete(task);
    }
    for (const [task, container] of byTask) if (!isNewer(task)) this.#containers.set(task, container);
    for (const task of [...this.#changedAt.keys()]) {
      if (!this.#containers.has(task) && !isNewer(task)) this.#changedAt.delete(task);
    }
  }
}
