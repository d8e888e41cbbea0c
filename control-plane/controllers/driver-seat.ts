/**
 * Who drives. The seat is a key in the store, bound to a lease that its holder keeps; when the lease ends, the seat is free.
 * A lease takes its time to end (etcd grants none under two seconds and looks for ended ones twice a second), so whoever waits
 * for the seat also asks how long its holder has been silent, and takes it from one that has missed several renewals in a row.
 * That it may take it from one that is only slow does no harm: rounds are fenced and passes compare what they saw.
 */
import type { Timer } from '../../shared/util/clock.ts';
import type { LeaseId } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ControllerContext } from './context.ts';

export interface DriverSeatOptions {
  /** The seat is free so long after its holder's last sign of life at the latest. */
  readonly leaseTtlMs: number;
  /** How often those who wait ask for the holder's last sign of life. */
  readonly askEveryMs: number;
}

/** A holder renews this often in a lease's time. */
const RENEWALS_PER_LEASE = 4;

/** A holder that is silent for longer has lost the seat. Whole seconds: etcd tells no more. */
const SILENT_SECONDS_MAX = 1;

/** The seat, for as long as this replica holds it. */
export interface Term {
  /** False as soon as the lease has ended, or somebody else has taken the seat. */
  isHeld(): boolean;
  /** Gives the seat up. */
  leave(): Promise<void>;
}

export class DriverSeat {
  readonly #ctx: ControllerContext;
  readonly #options: DriverSeatOptions;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(ctx: ControllerContext, options: DriverSeatOptions) {
    this.#ctx = ctx;
    this.#options = options;
  }

  /** Whether there is nobody in it from whom anything has been heard of late. Throws StoreUnavailableError. */
  async isFree(): Promise<boolean> {
    const { mirror, store, clock } = this.#ctx;
    const lease = mirror.snapshot.lease(keys.driver);
    if (lease === null) return true;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#askedAtMs + this.#options.askEveryMs) return false;
    this.#askedAtMs = nowMs;
    const silentSeconds = await store.leaseSilenceSeconds(lease);
    // Of a lease that has ended the mirror is about to hear.
    return silentSeconds !== null && silentSeconds > SILENT_SECONDS_MAX;
  }

  /**
   * Sits down where nobody sits, or in the place of whoever is seen there. `onLost` is called once when that is over before
   * the term is left. Null: another one was faster. Throws StoreUnavailableError.
   */
  async take(onLost: () => void): Promise<Term | null> {
    const { store, mirror, replica } = this.#ctx;
    const lease = await store.grantLease(Math.ceil(this.#options.leaseTtlMs / 1000));
    const result = await store.transact({
      compares: [{ key: keys.driver, modRevision: mirror.snapshot.modRevision(keys.driver) }],
      writes: [putRecord('driver', keys.driver, { replica: replica.id }, lease)],
    });
    await mirror.waitFor(result.revision, { timeoutMs: this.#options.leaseTtlMs });
    if (result.committed) return this.#begin(lease, result.revision, onLost);
    await store.revokeLease(lease);
    return null;
  }

  #begin(lease: LeaseId, revision: number, onLost: () => void): Term {
    const { mirror, store, log } = this.#ctx;
    const keeper = this.#keep(lease, onLost);
    const isTaken = () => mirror.revision >= revision && mirror.snapshot.modRevision(keys.driver) !== revision;
    return {
      isHeld: () => keeper.isHeld() && !isTaken(),
      leave: async () => {
        keeper.stop();
        await store.revokeLease(lease).catch((error: unknown) => {
          log.debug({ error }, 'the driver lease was left to run out');
        });
      },
    };
  }

  #keep(lease: LeaseId, onLost: () => void): { isHeld: () => boolean; stop: () => void } {
    const { store, clock } = this.#ctx;
    let held = true;
    let timer: Timer | null = null;
    const renew = () => {
      timer = clock.setTimer(this.#options.leaseTtlMs / RENEWALS_PER_LEASE, () => {
        store.keepLeaseAlive(lease).then(
          (alive) => {
            if (!alive) lost();
            else if (held) renew();
          },
          () => {
            // A missed renewal is made up for by the next one; if the lease ends meanwhile, that one says so.
            if (held) renew();
          },
        );
      });
    };
    const lost = () => {
      held = false;
      onLost();
    };
    renew();
    return {
      isHeld: () => held,
      stop: () => {
        held = false;
        timer?.cancel();
      },
    };
  }
}
