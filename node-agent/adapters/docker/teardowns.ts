/**
 * Networks of ended containers that the engine is still taking down. It lays and takes down networks of its bridge more slowly at the same
 * time than one after the other, by more than either takes; so a start waits for those that are under way, though not for one that hangs.
 */
import { type Clock, sleep } from '../../../shared/util/clock.ts';

/** One takes some 50 ms where the machine has little else to do. */
export const TEARDOWN_WAIT_MAX_MS = 1000;

export class Teardowns {
  readonly #clock: Clock;
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `done` settles when the engine has cleared away after the container. */
  began(container: string, done: Promise<unknown>): void {
    const over = done.catch(() => null).finally(() => this.#underWay.delete(container));
    this.#underWay.set(container, over);
  }

  /** Resolves when those that are under way now are over, or have been waited for long enough. */
  async settled(): Promise<void> {
    if (this.#underWay.size === 0) return;
    const enough = new AbortController();
    await Promise.race([Promise.all(this.#underWay.values()), sleep(this.#clock, TEARDOWN_WAIT_MAX_MS, enough.signal)]);
    enough.abort();
  }
}
