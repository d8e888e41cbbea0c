/**
 * One lease for all the streams that clients of this replica have open, kept alive while there are any. If the replica dies,
 * its requests for streams go with the lease, and agents stop dialling in for clients that are gone.
 */
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

  /** The lease for one more stream. Every call that succeeds is followed by one of {@link release}. */
  async acquire(): Promise<LeaseId> {
    this.#held ??= this.#grant();
    const held = this.#held;
    this.#users += 1;
    try {
      return await held.lease;
    } catch (error) {
      if (this.#held === held) this.#held = null;
      this.release();
      throw error;
    }
  }

  /** One stream less. With the last one the lease is given back. */
  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#end();
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
