/** In which ledgers a task has an entry: one nearly always, but a state that was restored may hold more. Kept from when it is first asked for. */
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';

const NOWHERE: readonly NodeId[] = [];

export class EntryPlaces {
  #places: Map<TaskId, readonly NodeId[]> | null = null;

  /** Until it is learned again, nothing is kept. */
  forget(): void {
    this.#places = null;
  }

  learn(ledgers: () => Iterable<Ledger>): void {
    if (this.#places !== null) return;
    this.#places = new Map();
    for (const ledger of ledgers()) this.replace(null, ledger);
  }

  of(task: TaskId): readonly NodeId[] {
    return this.#places?.get(task) ?? NOWHERE;
  }

  replace(before: Ledger | null, after: Ledger | null): void {
    const places = this.#places;
    if (places === null || before?.entries === after?.entries) return;
    for (const id in before?.entries) {
      const left = (places.get(id) ?? NOWHERE).filter((node) => node !== before?.node);
      if (left.length === 0) places.delete(id);
      else places.set(id, left);
    }
    if (after === null) return;
    for (const id in after.entries) places.set(id, [...(places.get(id) ?? NOWHERE), after.node]);
  }
}
