/**
 * What the engine has, as far as is known: events keep it fresh, listings keep it true. While it is in doubt (the engine
 * was away, a step failed half-way) nothing is decided from it.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import type { Container, Containers } from '../core/model.ts';
import {
  type ContainerEnd,
  type FenceFault,
  type JournalFault,
  type Log,
  type Runtime,
  RuntimeFault,
  type Subscription,
  type TaskFilesFault,
  type VolumeFault,
} from './contracts.ts';
import { Observations } from './observations.ts';

export const ENGINE_BACKOFF: BackoffPolicy = { baseMs: 500, factor: 2, maxMs: 15_000 };
/** Even an event stream that looks healthy may have lost something. */
const RELIST_EVERY_MS = 30_000;

export interface EngineViewParts {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly isBusy: (task: TaskId) => boolean;
  readonly onChange: () => void;
}

export class EngineView {
  readonly #parts: EngineViewParts;
  readonly #seen = new Observations();
  #subscription: Subscription | null = null;
  #timer: Timer | null = null;
  #isKnown = false;
  #isListing = false;
  #isListingWanted = false;
  #faults = 0;
  /** How often what is known has come into doubt. */
  #doubts = 0;
  #isClosed = false;

  constructor(parts: EngineViewParts) {
    this.#parts = parts;
  }

  /** False while {@link containers} may be wrong. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  get containers(): Containers {
    return this.#seen.containers;
  }

  open(): void {
    this.#subscription = this.#parts.runtime.watch({
      onEnd: (task, container, end) => this.#ended(task, container, end),
      onGap: () => this.#list(),
    });
    this.#list();
  }

  close(): void {
    this.#isClosed = true;
    this.#subscription?.close();
    this.#timer?.cancel();
  }

  see(container: Container): void {
    this.#seen.see(container);
  }

  miss(task: TaskId, container: string): void {
    this.#seen.miss(task, container);
  }

  touch(task: TaskId): void {
    this.#seen.touch(task);
  }

  /** A step failed half-way, so that nobody knows what there is now: list again, after a pause. */
  doubt(cause: RuntimeFault | JournalFault | FenceFault | TaskFilesFault | VolumeFault): void {
    if (cause instanceof RuntimeFault) {
      this.#failed(cause);
      return;
    }
    this.#doubtful();
    this.#listAfter(ENGINE_BACKOFF.baseMs);
  }

  /** Looks at one container anew. */
  async inspect(task: TaskId, id: string): Promise<void> {
    try {
      const container = await this.#parts.runtime.inspect(id);
      if (container === null) this.#seen.miss(task, id);
      else this.#seen.see(container);
      this.#parts.onChange();
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** What runs is known, so that its end is all that there is to be told; else the engine is asked what it has become. */
  #ended(task: TaskId, id: string, end: ContainerEnd | undefined): void {
    const known = this.#seen.containers.get(task);
    if (end === undefined || known?.id !== id || known.state !== 'running') return void this.inspect(task, id);
    this.#seen.see({ ...known, state: 'exited', exitCode: end.exitCode, endedAtMs: end.atMs });
    this.#parts.onChange();
  }

  #list(): void {
    if (this.#isClosed) return;
    if (this.#isListing) {
      this.#isListingWanted = true;
      return;
    }
    this.#isListing = true;
    this.#isListingWanted = false;
    this.#listOnce()
      .catch((cause: unknown) => this.#failed(cause))
      .finally(() => {
        this.#isListing = false;
        if (this.#isListingWanted) this.#list();
      });
  }

  async #listOnce(): Promise<void> {
    const mark = this.#seen.beginListing();
    const doubts = this.#doubts;
    const listed = await this.#parts.runtime.list();
    if (this.#isClosed) return;
    this.#seen.applyListing(mark, listed, this.#parts.isBusy);
    // It began before something went wrong, and says nothing about that; the listing that was asked for then is still to come.
    if (doubts !== this.#doubts) return;
    if (this.#faults > 0) this.#parts.log.info('the container engine answers again');
    this.#faults = 0;
    this.#isKnown = true;
    this.#listAfter(RELIST_EVERY_MS);
    this.#parts.onChange();
  }

  #failed(cause: unknown): void {
    if (this.#isClosed) return;
    if (!(cause instanceof RuntimeFault)) throw cause;
    this.#doubtful();
    if (this.#faults === 0) this.#parts.log.warn('the container engine does not answer', { cause: cause.message });
    this.#faults += 1;
    this.#listAfter(jitteredBackoffMs(ENGINE_BACKOFF, this.#faults - 1, this.#parts.random.next()));
  }

  #doubtful(): void {
    this.#isKnown = false;
    this.#doubts += 1;
  }

  #listAfter(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.setTimer(delayMs, () => this.#list());
  }
}
