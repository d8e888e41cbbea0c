/**
 * Decides when rounds and passes run. One replica usually drives, by a lease, so that replicas don't get in each other's
 * way; correctness never depends on it, since rounds are fenced and passes compare what they saw. The driver looks whenever
 * the mirror has changed (coalesced for a moment), when something falls due, and from time to time in any case.
 */
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { sleep } from '../../shared/util/clock.ts';
import { type Metrics, MetricsRegistry } from '../../shared/util/metrics.ts';
import type { PassFacts } from '../reconcile/actions.ts';
import { RestingJobs } from '../reconcile/service/resting-jobs.ts';
import { RoundMemory } from '../scheduler/round-memory.ts';
import { HistoryGoneError, LeaseGoneError, StoreFullError, StoreUnavailableError } from '../store/contract.ts';
import type { ControllerContext } from './context.ts';
import { type DriverMetrics, driverMetrics } from './driver-metrics.ts';
import { DriverSeat, type DriverSeatOptions } from './driver-seat.ts';
import { HOUSEKEEPING_DEFAULTS, Housekeeper, type HousekeepingOptions } from './housekeeper.ts';
import { earliest, type PassOutcome, runPasses } from './pass.ts';
import { doneBy, NOTHING_DONE, type RoundOutcome, runRound } from './round.ts';
import { RoundSpacing } from './round-spacing.ts';
import { Settling } from './settling.ts';
import { StoreContact } from './store-contact.ts';
import { UnreachableNodes } from './unreachable-nodes.ts';
import { UnseenEnds } from './unseen-ends.ts';

export interface DriverOptions {
  readonly seat: DriverSeatOptions;
  /** Changes that come within this time are looked at together. */
  readonly coalesceMs: number;
  /** The longest time without a look. */
  readonly idleMs: number;
  /** Of the nodes' leases, and how often agents keep them. */
  readonly nodes: { readonly leaseTtlMs: number; readonly heartbeatIntervalMs: number };
  readonly housekeeping: HousekeepingOptions;
}

export const DRIVER_DEFAULTS: DriverOptions = {
  seat: { leaseTtlMs: 2000, askEveryMs: 250 },
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
  readonly #seat: DriverSeat;
  readonly #housekeeper: Housekeeper;
  readonly #contact: StoreContact;
  readonly #unreachable: UnreachableNodes;
  readonly #unseenEnds: UnseenEnds;
  readonly #settling: Settling;
  readonly #spacing: RoundSpacing;
  readonly #memory = new RoundMemory();
  readonly #resting = new RestingJobs();
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
    this.#seat = new DriverSeat(ctx, options.seat);
    this.#housekeeper = new Housekeeper(ctx, options.housekeeping, this.#metrics.auditRemoved);
    this.#contact = new StoreContact(ctx.clock, options.nodes.heartbeatIntervalMs);
    this.#unreachable = new UnreachableNodes(ctx.clock);
    this.#unseenEnds = new UnseenEnds(ctx.clock);
    this.#settling = new Settling(ctx, options.nodes.leaseTtlMs);
    this.#spacing = new RoundSpacing(ctx);
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
    const unfollow = [this.#unreachable, this.#unseenEnds].map((facts) => facts.follow(this.#ctx.mirror));
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
      for (const stopFollowing of unfollow) stopFollowing();
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

  /** One term: wait until nobody drives, take over, and drive until the seat is lost. */
  async #term(signal: AbortSignal): Promise<void> {
    if (!(await this.#seat.isFree())) {
      await this.#pause(this.#options.seat.askEveryMs);
      return;
    }
    const term = await this.#seat.take(() => this.nudge()).catch((error: unknown) => this.#cleanUpAfter(error));
    if (term === null) return;
    this.#ctx.log.info({ replica: this.#ctx.replica.id }, 'drives rounds and passes now');
    try {
      while (!signal.aborted && term.isHeld()) await this.#look(signal);
    } finally {
      await term.leave();
    }
  }

  /** Nobody can take over while the store is full, yet somebody has to see to it that it doesn't stay so. */
  async #cleanUpAfter(error: unknown): Promise<never> {
    if (error instanceof StoreFullError) await this.#housekeeper.run();
    throw error;
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
      if (!pass.again && !round.again && pass.committed === 0 && doneBy(round) === 0) break;
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
    const leasesCountFromMs = this.#ctx.clock.now() + graceMs;
    return {
      leasesCountFromMs,
      unreachableForMs: this.#unreachable.seenForMs(),
      unseenEndsForMs: this.#unseenEnds.knownForMs(),
      resting: this.#resting,
    };
  }

  async #round(settlingMs: number): Promise<RoundOutcome> {
    const { clock } = this.#ctx;
    const waitMs = Math.max(settlingMs, this.#spacing.leftMs());
    if (waitMs > 0) return { ...NOTHING_DONE, again: false, wakeAtMs: clock.now() + waitMs };
    const startedMs = clock.monotonicMs();
    const outcome = await runRound(this.#ctx, this.#memory);
    this.#spacing.ended(outcome);
    const { placed, swept, offered, displaced, again } = outcome;
    if (again) this.#metrics.lost.add(1, ['round']);
    if (doneBy(outcome) > 0) {
      this.#metrics.roundSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
      this.#metrics.tasks.add(placed, ['placed']);
      this.#metrics.tasks.add(swept, ['swept']);
      this.#metrics.tasks.add(offered, ['offered']);
      this.#metrics.tasks.add(displaced, ['displaced']);
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
