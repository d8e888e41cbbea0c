/**
 * Whether the control plane can be reached, and when to try again. All loops of a session share it: one that gets through
 * wakes the others, and going and coming back are logged once each, whoever notices.
 */
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import type { ControlPlaneFault, Log } from './contracts.ts';

/**
 * A control plane that was away gives every node one lease time (5 s at the least) to be heard of again before it counts as
 * gone, so no agent waits nearly as long as that.
 */
const RETRY_BACKOFF: BackoffPolicy = { baseMs: 500, factor: 2, maxMs: 3000 };

const REFUSED = 'the control plane refuses this node; tasks run on, and it will be asked again';
const GONE = 'this node was declared gone: what runs here has been replaced and is stopped, and it joins as a new one';

export interface ConnectionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onChange: () => void;
}

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #wakers = new Set<() => void>();
  #isReachable = false;
  #isAwayTold = false;
  #isRefused = false;
  #refusalTold: string | null = null;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get isReachable(): boolean {
    return this.#isReachable;
  }

  /** Whether it was last heard to refuse this node: until it takes a call, however long it is away meanwhile. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Calls `listener` whenever the control plane has come back, until the returned function is called. */
  onReturn(listener: () => void): () => void {
    this.#wakers.add(listener);
    return () => this.#wakers.delete(listener);
  }

  /** A call was answered. */
  answered(): void {
    if (this.#isAwayTold) this.#parts.log.info('the control plane answers again');
    this.#isAwayTold = false;
    this.#isRefused = false;
    if (this.#isReachable) return;
    this.#isReachable = true;
    for (const wake of [...this.#wakers]) wake();
    this.#parts.onChange();
  }

  /** A call failed. One that was refused has at least been heard. */
  failed(fault: ControlPlaneFault): void {
    if (fault.kind !== 'away') {
      this.#tellRefusal(fault);
      if (this.#isRefused) return;
      this.#isRefused = true;
      this.#parts.onChange();
      return;
    }
    if (!this.#isAwayTold) {
      const message = 'the control plane is away; tasks run on, and it will be tried again';
      this.#parts.log.warn(message, { cause: fault.message });
    }
    this.#isAwayTold = true;
    if (!this.#isReachable) return;
    this.#isReachable = false;
    this.#parts.onChange();
  }

  /** Once for each that is different. */
  #tellRefusal({ kind, message }: ControlPlaneFault): void {
    if (this.#refusalTold === message) return;
    this.#refusalTold = message;
    this.#parts.log.warn(kind === 'gone' ? GONE : REFUSED, { cause: message });
  }

  /** Waits before retry number `retry` (0 is the first), or until another call gets through, or until `signal`. */
  pause(retry: number, signal: AbortSignal): Promise<void> {
    return this.wait(jitteredBackoffMs(RETRY_BACKOFF, retry, this.#parts.random.next()), signal);
  }

  /** Waits so long, or until the control plane has come back, or until `signal`. */
  wait(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#wakers.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#parts.clock.setTimer(delayMs, done);
      this.#wakers.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}
