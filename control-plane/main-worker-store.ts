/**
 * A store that knows what is still on its way to it: a request that has been answered may not go before that has arrived. Its members are
 * not maintained from here: a tunnel before all of them can't be asked for one, and no request lasts as long as that may take.
 */
import type { Store, WatchRequest } from './store/contract.ts';

export class CountedStore implements Store {
  readonly #store: Store;
  #onTheirWay = 0;
  #settled: () => void = () => {};

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves when nothing is on its way, also nothing that what has just come back has led to. */
  async idle(): Promise<void> {
    await turn();
    while (this.#onTheirWay > 0) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
      await turn();
    }
  }

  get: Store['get'] = (key) => this.#count(this.#store.get(key));
  range: Store['range'] = (request) => this.#count(this.#store.range(request));
  transact: Store['transact'] = (transaction) => this.#count(this.#store.transact(transaction));
  grantLease: Store['grantLease'] = (ttlSeconds) => this.#count(this.#store.grantLease(ttlSeconds));
  keepLeaseAlive: Store['keepLeaseAlive'] = (lease) => this.#count(this.#store.keepLeaseAlive(lease));
  leaseSilenceSeconds: Store['leaseSilenceSeconds'] = (lease) => this.#count(this.#store.leaseSilenceSeconds(lease));
  revokeLease: Store['revokeLease'] = (lease) => this.#count(this.#store.revokeLease(lease));
  status: Store['status'] = () => this.#count(this.#store.status());
  compact: Store['compact'] = (revision) => this.#count(this.#store.compact(revision));
  close: Store['close'] = () => this.#store.close();

  /** Goes on until its own signal says otherwise. */
  watch(request: WatchRequest) {
    return this.#store.watch(request);
  }

  async #count<T>(call: Promise<T>): Promise<T> {
    this.#onTheirWay += 1;
    try {
      return await call;
    } finally {
      this.#onTheirWay -= 1;
      if (this.#onTheirWay === 0) this.#settled();
    }
  }
}

/** Lets everything happen that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
