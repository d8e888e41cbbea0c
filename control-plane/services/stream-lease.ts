/**
 * One lease for all the streams of one sort that clients of this replica have open, kept alive while there are any. If the
 * replica dies, what is on record for its streams goes with the lease: agents stop dialling in for clients that are gone, and
 * frameworks count as disconnected.
 */
import { invariant } from '../../shared/util/assert.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { LeaseId, Store } from '../store/contract.ts';

const TTL_SECONDS_DEFAULT = 30;
/** One that is lost on the way doesn't end the lease. */
const KEEP_ALIVES_PER_TTL = 3;

export interface StreamLeaseOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a replica that has died still counts. Default: 30 s. */
  readonly ttlSeconds?: number;
}

interface Held {
  readonly lease: Promise<LeaseId>;
  readonly over: AbortController;
}

export class StreamLease {
  readonly #options: StreamLeaseOptions;
  readonly #ttlSeconds: number;
  #held: Held | null = null;
  #users = 0;

  constructor(options: StreamLeaseOptions) {
    this.#options = options;
    this.#ttlSeconds = options.ttlSeconds ?? TTL_SECONDS_DEFAULT;
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
    const held = { lease: this.#options.store.grantLease(this.#ttlSeconds), over: new AbortController() };
    void this.#keepAlive(held);
    return held;
  }

  /** Never rejects. */
  async #keepAlive({ lease, over }: Held): Promise<void> {
    const { store, clock, log } = this.#options;
    const id = await lease.catch(() => null);
    if (id === null) return;
    for (;;) {
      await sleep(clock, (this.#ttlSeconds * 1000) / KEEP_ALIVES_PER_TTL, over.signal);
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
