/**
 * A store that knows what is still on its way to it: a request that has been answered may not go before that has arrived. Its members are
 * not maintained from here: a tunnel before all of them can't be asked for one, and no request lasts as long as that may take.
 */
import type { Store, Transaction, WatchRequest } from './store/contract.ts';
import { parseKey, type RecordKind } from './store/keys.ts';

/** What is written under them leaves rounds and passes nothing to do. */
const OF_NO_CONSEQUENCE: ReadonlySet<RecordKind> = new Set([
  ...(['driver', 'rounds', 'replicas', 'streams', 'ops', 'idempotency', 'secrets', 'audit'] as const),
]);

export class CountedStore implements Store {
  readonly #store: Store;
  #onTheirWay = 0;
  readonly #changed: () => void;
  #settled: () => void = () => {};

  /** `changed` is called when something has been written that rounds and passes may have to see to. */
  constructor(store: Store, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
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
  transact: Store['transact'] = async (transaction) => {
    const result = await this.#count(this.#store.transact(transaction));
    if (result.committed && isOfConsequence(transaction)) this.#changed();
    return result;
  };
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

function isOfConsequence({ writes }: Transaction): boolean {
  return writes.some(({ key }) => {
    const kind = parseKey(key)?.[0];
    return kind !== undefined && !OF_NO_CONSEQUENCE.has(kind);
  });
}

/** Lets everything happen that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
