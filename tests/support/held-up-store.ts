/** A store whose watches can be held up: whoever reads it through one stays behind for as long. */
import type { Store } from '../../control-plane/store/contract.ts';
import { changed } from './changed-store.ts';

export class HeldUpStore {
  readonly store: Store;
  #held: PromiseWithResolvers<void> | null = null;

  constructor(store: Store) {
    const held = () => this.#held?.promise;
    this.store = changed(store, {
      async *watch(request) {
        for await (const batch of store.watch(request)) {
          await held();
          yield batch;
        }
      },
    });
  }

  holdUp(): void {
    this.#held ??= Promise.withResolvers<void>();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }
}
