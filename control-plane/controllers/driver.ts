/**
 * Decides when rounds and passes run. One replica usually drives, by a lease, so that replicas don't get in each other's
 * way; correctness never depends on it, since rounds are fenced and passes compare what they saw. The driver looks whenever
 * the mirror has changed (coalesced for a moment), when something falls due, and from time to time in any case.
 */
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { sleep, type Timer } from '../../shared/util/clock.ts';
import { type Metrics, MetricsRegistry } from '../../shared/util/metrics.ts';
import type { PassFacts } from '../reconcile/actions.ts';
import {
  HistoryGoneError,
  LeaseGoneError,
  type LeaseId,
  StoreFullError,
  StoreUnavailableError,
} from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ControllerContext } from './context.ts';
import { type DriverMetrics, driverMetrics } from './driver-metrics.ts';
import { HOUSEKEEPING_DEFAULTS, Housekeeper, type HousekeepingOptions } from './housekeeper.ts';
import { earliest, type PassOutcome, runPasses } from './pass.ts';
import { type RoundOutcome, runRound } from './round.ts';
import { Settling } from './settling.ts';
import { StoreContact } from './store-contact.ts';

export interface DriverOptions {
  /** How long others wait before they take over from a driver that is gone. */
  readonly leaseTtlMs: number;
  /** Changes that come within this time are looked at together. */
  readonly coalesceMs: number;
  /** The longest time without a look. */
  readonly idleMs: number;
  /** Of the nodes' leases, and how often agents keep them. */
  readonly nodes: { readonly leaseTtlMs: number; readonly heartbeatIntervalMs: number };
  readonly housekeeping: HousekeepingOptions;
}

export const DRIVER_DEFAULTS: DriverOptions = {
  leaseTtlMs: 2000,
  coalesceMs: 1,
  idleMs: 5000,
  nodes: { leaseTtlMs: 10_000, heartbeatIntervalMs: 2500 },
  housekeeping: HOUSEKEEPING_DEFAULTS,
};

const RETRY: BackoffPolicy = { baseMs: 50, factor: 2, maxMs: 2000 };

/** Looks in a row that found others in the way; after so many the driver waits for its next wake. */
const LOOKS_IN_A_ROW_MAX = 100;

/** Runs until the signal is aborted. Faults of the store are waited out; anything else is a bug and is thrown. */
export class Driver {
  readonly #ctx: ControllerContext;
  readonly #options: DriverOptions;
  readonly #housekeeper: Housekeeper;
  readonly #contact: StoreContact;
  readonly #settling: Settling;
  readonly #metrics: DriverMetrics;
  #wake: () => void = () => {};
  #woken = false;

  constructor(
    ctx: ControllerContext,
    options: DriverOptions = DRIVER_DEFAULTS,
    metrics: Metrics = new MetricsRegistry(),
  ) {
    this.#ctx = ctx;
    this.#options = options;
    this.#metrics = driverMetrics(metrics);
    this.#housekeeper = new Housekeeper(ctx, options.housekeeping);
    this.#contact = new StoreContact(ctx.clock, options.nodes.heartbeatIntervalMs);
    this.#settling = new Settling(ctx, options.nodes.leaseTtlMs);
  }

  /** Something may have to be done. */
  nudge(): void {
    this.#woken = true;
    this.#wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#ctx.mirror.subscribe((_changes, revision, reset) => {
      this.#settling.moved(revision, reset);
      this.nudge();
    });
    const stop = () => this.nudge();
    signal.addEventListener('abort', stop);
    const contact = this.#contact.keep(this.#ctx.store, signal);
    try {
      for (let failures = 0; !signal.aborted; ) {
        failures = (await this.#waitedOut(() => this.#term(signal))) ? 0 : failures + 1;
        if (failures > 0 && !signal.aborted) {
          await sleep(this.#ctx.clock, jitteredBackoffMs(RETRY, failures, this.#ctx.random.next()), signal);
        }
      }
    } finally {
      signal.removeEventListener('abort', stop);
      unsubscribe();
    }
    await contact;
  }

  /** False: the store was away. */
  async #waitedOut(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isFaultOfTheStore(error)) throw error;
      const what = error instanceof StoreFullError ? 'is full' : 'is away';
      this.#ctx.log.warn({ error }, `the store ${what}; rounds and passes wait`);
      return false;
    }
  }

  /** One term: wait until nobody drives, take over, and drive until the lease is lost. */
  async #term(signal: AbortSignal): Promise<void> {
    const { mirror } = this.#ctx;
    if (mirror.snapshot.driver !== null) {
      await this.#pause(this.#options.idleMs);
      return;
    }
    const lease = await this.#takeOver().catch((error: unknown) => this.#cleanUpAfter(error));
    if (lease === null) return;
    const keeper = this.#keepLease(lease);
    try {
      while (!signal.aborted && keeper.held()) await this.#look(signal);
    } finally {
      keeper.stop();
      await this.#ctx.store.revokeLease(lease).catch((error: unknown) => {
        this.#ctx.log.debug({ error }, 'the driver lease was left to run out');
      });
    }
  }

  /** Nobody can take over while the store is full, yet somebody has to see to it that it doesn't stay so. */
  async #cleanUpAfter(error: unknown): Promise<never> {
    if (error instanceof StoreFullError) await this.#housekeeper.run();
    throw error;
  }

  async #takeOver(): Promise<LeaseId | null> {
    const { store, mirror, replica, log } = this.#ctx;
    const lease = await store.grantLease(Math.ceil(this.#options.leaseTtlMs / 1000));
    const result = await store.transact({
      compares: [{ key: keys.driver, modRevision: 0 }],
      writes: [putRecord('driver', keys.driver, { replica: replica.id }, lease)],
    });
    await mirror.waitFor(result.revision, { timeoutMs: this.#options.leaseTtlMs });
    if (result.committed) {
      log.info({ replica: replica.id }, 'drives rounds and passes now');
      return lease;
    }
    await store.revokeLease(lease);
    return null;
  }

  #keepLease(lease: LeaseId): { held: () => boolean; stop: () => void } {
    const { store, clock } = this.#ctx;
    let held = true;
    let timer: Timer | null = null;
    const renew = () => {
      timer = clock.setTimer(this.#options.leaseTtlMs / 4, () => {
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
      this.nudge();
    };
    renew();
    return {
      held: () => held,
      stop: () => {
        held = false;
        timer?.cancel();
      },
    };
  }

  /** Passes and rounds until there is nothing left to do, then waits for the next wake. */
  async #look(signal: AbortSignal): Promise<void> {
    // First, since a full store takes no writes but can still forget.
    await this.#housekeeper.run();
    let wakeAtMs: number | null = null;
    for (let looks = 0; looks < LOOKS_IN_A_ROW_MAX && !signal.aborted; looks++) {
      this.#woken = false;
      const settlingMs = await this.#settling.leftMs();
      const pass = await this.#pass(settlingMs);
      const round = await this.#round(settlingMs);
      wakeAtMs = earliest(pass.wakeAtMs, round.wakeAtMs);
      if (!pass.again && !round.again && pass.committed === 0 && round.placed + round.swept === 0) break;
    }
    if (signal.aborted) return;
    const { clock } = this.#ctx;
    const dueMs = wakeAtMs === null ? this.#options.idleMs : Math.max(0, wakeAtMs - clock.now());
    await this.#pause(Math.min(this.#options.idleMs, dueMs));
  }

  async #pass(settlingMs: number): Promise<PassOutcome> {
    const { clock } = this.#ctx;
    const startedMs = clock.monotonicMs();
    const outcome = await runPasses(this.#ctx, this.#facts(settlingMs));
    this.#metrics.passSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
    if (outcome.again) this.#metrics.lost.add(1, ['pass']);
    return outcome;
  }

  /** Once the store has been in reach for a whole lease, a node without one has had every chance to be heard of. */
  #facts(settlingMs: number): PassFacts {
    const graceMs = Math.max(0, this.#options.nodes.leaseTtlMs - this.#contact.unbrokenMs(), settlingMs);
    return { leasesCountFromMs: this.#ctx.clock.now() + graceMs };
  }

  async #round(settlingMs: number): Promise<RoundOutcome> {
    const { clock } = this.#ctx;
    if (settlingMs > 0) return { placed: 0, swept: 0, again: false, wakeAtMs: clock.now() + settlingMs };
    const startedMs = clock.monotonicMs();
    const outcome = await runRound(this.#ctx);
    const { placed, swept, again } = outcome;
    if (again) this.#metrics.lost.add(1, ['round']);
    if (placed + swept > 0) {
      this.#metrics.roundSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
      this.#metrics.tasks.add(placed, ['placed']);
      this.#metrics.tasks.add(swept, ['swept']);
    }
    return outcome;
  }

  /** Waits for a nudge, at most this long; then a moment more, so that changes that come together are seen together. */
  async #pause(maxMs: number): Promise<void> {
    const { clock } = this.#ctx;
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(maxMs, resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
      this.#wake = () => {};
    }
    this.#woken = false;
    if (this.#options.coalesceMs > 0) await sleep(clock, this.#options.coalesceMs);
  }
}

function isFaultOfTheStore(error: unknown): boolean {
  return [StoreUnavailableError, StoreFullError, LeaseGoneError, HistoryGoneError].some(
    (kind) => error instanceof kind,
  );
}
