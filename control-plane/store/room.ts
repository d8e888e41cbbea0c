/**
 * How much room the store has left. A store that has reached its quota takes no writes at all, not even those that would make
 * room again, until an operator steps in; so what grows the state without need is refused well before. What is left then is
 * for what must go on: statuses, stops, rounds.
 *
 * Two sizes count. What is in use tells how much there really is. The database's file never shrinks by itself, and the quota
 * is held against the file: free space within it is used again, but once the file has reached the quota the store may be full
 * with most of it free. Defragmentation gives that space back.
 */
import { type Clock, sleep } from '../../shared/util/clock.ts';
import { type Store, type StoreStatus, StoreUnavailableError } from './contract.ts';

export interface StoreSize {
  /** The database's file; of several members, the largest. */
  readonly sizeBytes: number;
  /** Of that, what holds something; the size of the file where the store doesn't say. */
  readonly inUseBytes: number;
}

/** etcd's own default. */
export const QUOTA_DEFAULT_BYTES = 2 * 1024 ** 3;

/** From here on nothing new is begun. */
export const IN_USE_SHARE_MAX = 0.8;

/** The same, of the file, since it may reach the quota with room left inside. */
export const SIZE_SHARE_MAX = 0.95;

/** The size is read this often; between two readings a store can't go from half empty to full. */
const READ_INTERVAL_MS = 5000;

export interface StoreRoomOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Of the store; what it was started with. */
  readonly quotaBytes: number;
}

export class StoreRoom {
  readonly quotaBytes: number;
  readonly #store: Store;
  readonly #clock: Clock;
  #size: StoreSize | null = null;

  constructor(options: StoreRoomOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.quotaBytes = options.quotaBytes;
  }

  /** As it was read last; null before the first time. */
  get size(): StoreSize | null {
    return this.#size;
  }

  /** Whether something new may be begun, as far as is known. */
  get isTight(): boolean {
    const size = this.#size;
    if (size === null) return false;
    return size.inUseBytes >= this.quotaBytes * IN_USE_SHARE_MAX || size.sizeBytes >= this.quotaBytes * SIZE_SHARE_MAX;
  }

  /** Reads the size. Throws StoreUnavailableError. */
  async read(): Promise<StoreSize> {
    this.#size = await readSize(this.#store);
    return this.#size;
  }

  /** Reads it over and over until the signal is aborted. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.read();
      } catch (error) {
        // The last reading stands for as long as the store is away: then nothing can be begun anyway.
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
      await sleep(this.#clock, READ_INTERVAL_MS, signal);
    }
  }
}

async function readSize(store: Store): Promise<StoreSize> {
  const parts = await readParts(store);
  return {
    sizeBytes: Math.max(...parts.map(({ dbSizeBytes }) => dbSizeBytes)),
    inUseBytes: Math.max(...parts.map(({ dbSizeBytes, dbSizeInUseBytes }) => dbSizeInUseBytes ?? dbSizeBytes)),
  };
}

/** While one of several members is away, what the others say is in the status of the one that answers. */
async function readParts(store: Store): Promise<readonly Pick<StoreStatus, 'dbSizeBytes' | 'dbSizeInUseBytes'>[]> {
  if (store.maintenance === undefined) return [await store.status()];
  try {
    const members = await store.maintenance.members();
    if (members.length > 0) return members;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
  }
  return [await store.status()];
}
