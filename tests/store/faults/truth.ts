/** What really happened: the store's own history, read in one go when everything is over. */
import type { Store, WatchEvent } from '../../../control-plane/store/contract.ts';
import { Collector, put, write } from '../conformance/harness.ts';
import { insist, until } from './place.ts';

export class Truth {
  /** The first revision that belongs to it. */
  readonly fromRevision: number;
  readonly #store: Store;
  readonly #prefix: string;

  private constructor(store: Store, prefix: string, fromRevision: number) {
    this.#store = store;
    this.#prefix = prefix;
    this.fromRevision = fromRevision;
  }

  /** Of what happens below `prefix` from now on. Nobody may compact before it has been read. */
  static async begin(store: Store, prefix: string): Promise<Truth> {
    return new Truth(store, prefix, (await insist(() => store.get(prefix))).revision + 1);
  }

  /** All that happened until now, and a last write of its own. */
  async read(): Promise<readonly WatchEvent[]> {
    const last = await insist(() => write(this.#store, put(`${this.#prefix}end`, '')));
    const watch = new Collector(this.#store, this.#prefix, this.fromRevision);
    await until('the end of the history', () => watch.isOver || (watch.batches.at(-1)?.revision ?? 0) >= last);
    const failure = await watch.stop();
    if (failure !== null) throw failure;
    return watch.events;
  }
}
