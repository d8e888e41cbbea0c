/**
 * A fence in memory and virtual time. Like a real one it belongs to the machine: hand the same one to the next agent, and call
 * {@link FakeFence.reboot} where the machine was off.
 */
import { type Fence, FenceFault } from '../../node-agent/executor/contracts.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';

export interface FakeFenceOptions {
  readonly clock: Clock;
  /** Kills what runs of the container; whether there was anything. */
  readonly kill: (container: string) => boolean;
}

const LOOK_MS = 500;

export class FakeFence implements Fence {
  readonly #options: FakeFenceOptions;
  readonly #armed = new Map<string, number>();
  readonly #stopped = new Set<string>();
  #confirmedAtMs: number | null = null;
  #look: Timer | null = null;
  /** Why nothing can be guarded here; null: it can. */
  unfit: string | null = null;
  /** Why containers are out of reach; null: they aren't. */
  escape: string | null = null;
  /** While true nothing can be armed. */
  isBroken = false;

  constructor(options: FakeFenceOptions) {
    this.#options = options;
  }

  get armed(): ReadonlyMap<string, number> {
    return this.#armed;
  }

  /** Nothing that ran runs, and nothing that was known counts. */
  reboot(): void {
    this.#armed.clear();
    this.#stopped.clear();
    this.#confirmedAtMs = null;
  }

  nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  confirmed(sentAtMs: number): void {
    const ageMs = this.contactAgeMs();
    for (const [container, stopAfterMs] of this.#armed) if (ageMs >= stopAfterMs) this.#armed.set(container, 0);
    this.#confirmedAtMs = Math.max(sentAtMs, this.#confirmedAtMs ?? sentAtMs);
  }

  contactAgeMs(): number {
    return this.#confirmedAtMs === null ? Number.POSITIVE_INFINITY : this.nowMs() - this.#confirmedAtMs;
  }

  refusal(): Promise<string | null> {
    return Promise.resolve(this.unfit);
  }

  async arm(container: string, stopAfterMs: number): Promise<void> {
    if (this.isBroken) throw new FenceFault('the disk is full');
    this.#armed.set(container, stopAfterMs);
    if (this.#look === null) this.#watch();
  }

  isArmed(container: string): boolean {
    return this.#armed.has(container);
  }

  keepOnly(containers: ReadonlySet<string>): void {
    for (const container of [...this.#armed.keys()]) {
      if (containers.has(container)) continue;
      this.#armed.delete(container);
      this.#stopped.delete(container);
    }
  }

  hasStopped(container: string): boolean {
    return this.#stopped.has(container);
  }

  escapeOf(): Promise<string | null> {
    return Promise.resolve(this.escape);
  }

  #watch(): void {
    this.#look = this.#options.clock.setTimer(LOOK_MS, () => {
      this.#look = null;
      for (const [container, stopAfterMs] of this.#armed) {
        if (this.contactAgeMs() >= stopAfterMs && this.#options.kill(container)) this.#stopped.add(container);
      }
      if (this.#armed.size > 0) this.#watch();
    });
  }
}
