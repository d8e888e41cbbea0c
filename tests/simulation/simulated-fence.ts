/**
 * A machine's fence: a dead-man that outlives every agent, on the machine's clock. It looks only every so often, and what an agent tells it arrives a moment later.
 */
import { type Fence, FenceFault } from '../../node-agent/executor/contracts.ts';
import { type Clock, sleep, type Timer } from '../../shared/util/clock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import type { SimulatedEngine } from './simulated-engine.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface SimulatedFenceParts {
  readonly engine: SimulatedEngine;
  readonly disk: SimulatedDisk;
  /** The machine's. */
  readonly clock: Clock;
  readonly random: SeededRandom;
}

/** How long an agent's word takes to reach the dead-man. */
const TELL_MS: readonly [number, number] = [0, 20];
/** From one look of the dead-man to the next, on a machine that may be busy. */
const LOOK_MS: readonly [number, number] = [100, 2000];

export class SimulatedFence {
  readonly #parts: SimulatedFenceParts;
  readonly #armed = new Map<string, number>();
  readonly #stopped = new Set<string>();
  #confirmedAtMs: number | null = null;
  #look: Timer | null = null;
  /** Rises with every power cut: what was on its way to the dead-man before never reaches it. */
  #life = 0;

  constructor(parts: SimulatedFenceParts) {
    this.#parts = parts;
  }

  powerCut(): void {
    this.#life += 1;
    this.#armed.clear();
    this.#stopped.clear();
    this.#confirmedAtMs = null;
  }

  /** As one agent process has it. */
  fenceOf(process: SimulatedProcess): Fence {
    let knownAtMs = this.#confirmedAtMs;
    const nowMs = () => this.#nowMs();
    return {
      nowMs,
      confirmed: (sentAtMs) => {
        knownAtMs = Math.max(sentAtMs, knownAtMs ?? sentAtMs);
        void this.#told(() => {
          for (const [container, stopAfterMs] of this.#armed) {
            if (this.#leftMs(stopAfterMs) <= 0) this.#armed.set(container, 0);
          }
          this.#confirmedAtMs = Math.max(sentAtMs, this.#confirmedAtMs ?? sentAtMs);
        });
      },
      contactAgeMs: () => (knownAtMs === null ? Number.POSITIVE_INFINITY : nowMs() - knownAtMs),
      refusal: () => Promise.resolve(null),
      arm: async (container, stopAfterMs) => {
        const isTold = await process.receive(
          this.#told(() => {
            this.#armed.set(container, stopAfterMs);
            this.#watch();
          }),
        );
        if (!isTold) throw new FenceFault('the disk is full');
      },
      isArmed: (container) => this.#armed.has(container),
      keepOnly: (containers) => {
        for (const container of [...this.#armed.keys()]) if (!containers.has(container)) this.#letGo(container);
      },
      hasStopped: (container) => this.#stopped.has(container),
      escapeOf: () => Promise.resolve(null),
    };
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }

  /** False: it could not be written down. It happens whether or not the agent lives to hear of it. */
  async #told(change: () => void): Promise<boolean> {
    const { clock, random, disk } = this.#parts;
    const life = this.#life;
    await sleep(clock, random.between(...TELL_MS));
    if (disk.isFull || life !== this.#life) return false;
    change();
    return true;
  }

  #letGo(container: string): void {
    this.#armed.delete(container);
    this.#stopped.delete(container);
  }

  /** It looks all the time; here, at the first look after each time that could matter. */
  #watch(): void {
    const { clock, random } = this.#parts;
    this.#look?.cancel();
    if (this.#armed.size === 0) return;
    const soonestMs = Math.min(...[...this.#armed.values()].map((stopAfterMs) => this.#leftMs(stopAfterMs)));
    const delayMs = Math.max(0, soonestMs) + random.between(...LOOK_MS);
    this.#look = clock.setTimer(delayMs, () => {
      for (const [container, stopAfterMs] of this.#armed) if (this.#leftMs(stopAfterMs) <= 0) this.#kill(container);
      this.#watch();
    });
  }

  #leftMs(stopAfterMs: number): number {
    return this.#confirmedAtMs === null ? 0 : this.#confirmedAtMs + stopAfterMs - this.#nowMs();
  }

  #kill(id: string): void {
    const { engine } = this.#parts;
    const container = engine.find(id);
    if (container?.state !== 'running') return;
    this.#stopped.add(id);
    engine.kill(container, false);
  }
}
