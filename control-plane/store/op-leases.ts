/**
 * The leases that take operation records and stored answers away in time. Each is shared by many keys, and replaced before
 * it has lived through a part of its time, so that every key lives for at least the time it is promised and no lease takes
 * a flood of keys with it when it ends.
 */
import type { Clock } from '../../shared/util/clock.ts';
import type { LeaseId, Store, Write } from './contract.ts';

export interface OpLeasesOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** How long an operation's record is kept at the least. Longer than any write can be on its way. */
  readonly opsKeepSeconds?: number;
  /** How long the answer to a request is kept at the least, … */
  readonly answersKeepSeconds?: number;
  /** … unless this replica has given about so many since. */
  readonly answersMax?: number;
}

const OPS_KEEP_SECONDS = 600;
const ANSWERS_KEEP_SECONDS = 24 * 3600;

/** An answer takes a few KiB: without a bound, a day of a busy pipeline's would be most of what is in the store. */
const ANSWERS_MAX = 20_000;

/** A lease lives this much longer than its keys have to, and takes new ones for that long. */
const ROTATION_SHARE = 0.25;

/** Keys that one lease takes with it, all at one revision, when it ends. */
const KEYS_PER_LEASE_MAX = 500;

/** Leases of the past that a write which is on its way may still name. */
const REMEMBERED_LEASES_MAX = 8;

export class OpLeases {
  readonly clock: Clock;
  readonly #ops: RotatingLease;
  readonly #answers: RotatingLease;

  constructor(options: OpLeasesOptions) {
    const { store, clock } = options;
    this.clock = clock;
    const opsKeepSeconds = options.opsKeepSeconds ?? OPS_KEEP_SECONDS;
    const answersKeepSeconds = options.answersKeepSeconds ?? ANSWERS_KEEP_SECONDS;
    // An operation's record says whether something has happened, so none goes before its time.
    this.#ops = new RotatingLease(store, clock, { keepSeconds: opsKeepSeconds, keysMax: Number.POSITIVE_INFINITY });
    this.#answers = new RotatingLease(store, clock, {
      keepSeconds: answersKeepSeconds,
      keysMax: options.answersMax ?? ANSWERS_MAX,
    });
  }

  /** For the record of one operation. Granted when it is first needed. Throws StoreUnavailableError. */
  opsLease(): Promise<LeaseId> {
    return this.#ops.take();
  }

  /** For the answer to one request. */
  answersLease(): Promise<LeaseId> {
    return this.#answers.take();
  }

  /** Gives up both leases after one turned out to have ended, and returns the writes with new ones in their place. */
  async renew(writes: readonly Write[]): Promise<Write[]> {
    this.#ops.drop();
    this.#answers.drop();
    const renewed: Write[] = [];
    for (const write of writes) {
      const ours = write.type === 'put' && write.lease !== undefined && this.#answers.hasGranted(write.lease);
      renewed.push(ours ? { ...write, lease: await this.answersLease() } : write);
    }
    return renewed;
  }
}

interface SharedLease {
  readonly lease: Promise<LeaseId>;
  readonly grantedAtMs: number;
  keys: number;
}

class RotatingLease {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #keepSeconds: number;
  readonly #keysMax: number;
  #current: SharedLease | null = null;
  /** Those before the current one that haven't ended by themselves yet, oldest first. */
  #past: SharedLease[] = [];
  /** The ids of the last leases, newest last. */
  #granted: readonly LeaseId[] = [];

  constructor(store: Store, clock: Clock, { keepSeconds, keysMax }: { keepSeconds: number; keysMax: number }) {
    this.#store = store;
    this.#clock = clock;
    this.#keepSeconds = keepSeconds;
    this.#keysMax = keysMax;
  }

  /** The lease for one more key. Callers that come while one is being granted share it. */
  take(): Promise<LeaseId> {
    const current = this.#current;
    if (current !== null && this.#takesMore(current)) {
      current.keys += 1;
      return current.lease;
    }
    if (current !== null) this.#retire(current);
    const grantedAtMs = this.#clock.monotonicMs();
    const granted = { lease: this.#grant(), grantedAtMs, keys: 1 };
    this.#current = granted;
    granted.lease.catch(() => {
      if (this.#current === granted) this.#current = null;
    });
    return granted.lease;
  }

  /** The next key gets a new lease. */
  drop(): void {
    this.#current = null;
  }

  /** Whether this is one of the leases handed out lately. */
  hasGranted(lease: LeaseId): boolean {
    return this.#granted.includes(lease);
  }

  /** No further keys for it; and where there are too many by now, the oldest leases end before their time. */
  #retire(lease: SharedLease): void {
    const livesMs = this.#ttlSeconds * 1000;
    const nowMs = this.#clock.monotonicMs();
    this.#past = [...this.#past, lease].filter(({ grantedAtMs }) => nowMs - grantedAtMs < livesMs);
    while (this.#past.reduce((sum, { keys }) => sum + keys, 0) > this.#keysMax - KEYS_PER_LEASE_MAX) {
      const oldest = this.#past.shift();
      // One that can't be ended now ends by itself.
      void oldest?.lease.then((id) => this.#store.revokeLease(id)).catch(() => undefined);
    }
  }

  get #ttlSeconds(): number {
    return Math.ceil(this.#keepSeconds * (1 + ROTATION_SHARE));
  }

  async #grant(): Promise<LeaseId> {
    const lease = await this.#store.grantLease(this.#ttlSeconds);
    this.#granted = [...this.#granted.slice(1 - REMEMBERED_LEASES_MAX), lease];
    return lease;
  }

  #takesMore(current: { readonly grantedAtMs: number; readonly keys: number }): boolean {
    const ageMs = this.#clock.monotonicMs() - current.grantedAtMs;
    return ageMs < this.#keepSeconds * 1000 * ROTATION_SHARE && current.keys < KEYS_PER_LEASE_MAX;
  }
}
