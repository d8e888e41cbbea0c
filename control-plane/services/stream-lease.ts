/**
 * One lease for all the streams that clients of this replica have open, kept alive while there are any. If the replica dies,
 * its requests for streams go with the lease, and agents stop dialling in for clients that are gone.
 */
import { invariant } from '../../shared/util/assert.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { LeaseId, Store } from '../store/contract.ts';

const TTL_SECONDS = 30;
const KEEP_ALIVE_MS = 10_000;

export interface StreamLeaseOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Held {
  readonly lease: Promise<LeaseId>;
  readonly over: AbortController;
}

export class StreamLease {
  readonly #options: StreamLeaseOptions;
  #held: Held | null = null;
  #users = 0;

  constructor(options: StreamLeaseOptions) {
    this.#options = options;
  }

  /** One stream more. Followed by one call of {@link release}. */
  hold(): void {
    this.#users += 1;
  }

  /** One stream less. With the last one the lease is given back. */
  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#end();
  }

  /** The lease, granted when it is first needed. Only for those who hold it. Throws StoreUnavailableError. */
  async id(): Promise<LeaseId> {
    invariant(this.#users > 0, 'the lease of the open streams is asked for by one of them');
    this.#held ??= this.#grant();
    const held = this.#held;
    try {
      return await held.lease;
    } catch (error) {
      if (this.#held === held) this.#held = null;
      throw error;
    }
  }

  /** The lease has turned out to have ended; the next stream gets a new one. */
  drop(): void {
    this.#held?.over.abort();
    this.#held = null;
  }

  #grant(): Held {
    const held = { lease: this.#options.store.grantLease(TTL_SECONDS), over: new AbortController() };
    void this.#keepAlive(held);
    return held;
  }

  /** Never rejects. */
  async #keepAlive({ lease, over }: Held): Promise<void> {
    const { store, clock, log } = this.#options;
    const id = await lease.catch(() => null);
    if (id === null) return;
    for (;;) {
      await sleep(clock, KEEP_ALIVE_MS, over.signal);
      if (over.signal.aborted) return;
      try {
        if (!(await store.keepLeaseAlive(id))) return this.#lost(over);
      } catch (error) {
        log.debug({ error, lease: id }, 'the lease of the open streams could not be renewed; trying again');
      }
    }
  }

  #lost(over: AbortController): void {
    if (this.#held?.over === over) this.drop();
  }

  #end(): void {
    const held = this.#held;
    if (held === null) return;
    this.drop();
    // Only spares the store a wait: the lease ends by itself if this doesn't arrive.
    held.lease.then((id) => this.#options.store.revokeLease(id)).catch(() => undefined);
  }
}
