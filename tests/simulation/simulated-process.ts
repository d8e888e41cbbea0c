/**
 * A process of the simulated world: a replica, an agent, a client. Everything that it waits for, timers and answers alike,
 * reaches it through {@link SimulatedProcess.deliver}; so it can be held up between any two things that it does, or never
 * hear of anything again, and the code that runs in it can't tell a killed process from an endless wait.
 */
import type { Clock } from '../../shared/util/clock.ts';

export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #host: Clock;
  readonly #backlog: (() => void)[] = [];
  #state: 'running' | 'paused' | 'dead' = 'running';
  #isFlushing = false;

  /** `host`: the clock of the host that it runs on. */
  constructor(name: string, host: Clock) {
    this.name = name;
    this.#host = host;
    this.clock = {
      now: () => host.now(),
      monotonicMs: () => host.monotonicMs(),
      setTimer: (delayMs, callback) => host.setTimer(delayMs, () => this.deliver(callback)),
    };
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  /** Lets something happen in the process: now, when it runs again, or never. In the order of the calls. */
  deliver(work: () => void): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'running' && this.#backlog.length === 0) work();
    else this.#backlog.push(work);
  }

  /** What the process sees of something that happens outside of it. */
  receive<T>(outside: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outside.then(
        (value) => this.deliver(() => resolve(value)),
        (error: unknown) => this.deliver(() => reject(error)),
      );
    });
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** Goes on with all that has come in meanwhile, one thing after the other. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#flush();
  }

  kill(): void {
    this.#state = 'dead';
    this.#backlog.length = 0;
  }

  #flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#host.setTimer(0, () => {
      this.#isFlushing = false;
      if (this.#state !== 'running') return;
      this.#backlog.shift()?.();
      if (this.#backlog.length > 0) this.#flush();
    });
  }
}
