/**
 * How long a round waits when those before it have only moved offers about. Rounds come to rest by themselves; should they ever
 * fail to, then offers change hands some times a second, rather than as fast as the store can write.
 */
import type { ControllerContext } from './context.ts';
import type { RoundOutcome } from './round.ts';

/** Rounds in a row that may do so at once. */
export const RESTLESS_ROUNDS_MAX = 50;
export const SPACING_MS = 250;

type Watched = Pick<RoundOutcome, 'placed' | 'displaced' | 'withdrawn' | 'again'>;

export class RoundSpacing {
  readonly #ctx: Pick<ControllerContext, 'clock' | 'log'>;
  #inARow = 0;
  /** On the steady clock. */
  #notBeforeMs = 0;

  constructor(ctx: Pick<ControllerContext, 'clock' | 'log'>) {
    this.#ctx = ctx;
  }

  leftMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#ctx.clock.monotonicMs());
  }

  /** A round has ended. One that withdraws nothing, or gives a task its place, is no part of such a row. */
  ended({ placed, displaced, withdrawn, again }: Watched): void {
    const { clock, log } = this.#ctx;
    // What was lost to another writer says nothing about the state.
    const isLost = withdrawn === 0 && again;
    if (!isLost) this.#inARow = withdrawn > 0 && placed + displaced === 0 ? this.#inARow + 1 : 0;
    if (this.#inARow < RESTLESS_ROUNDS_MAX) return;
    if (this.#inARow === RESTLESS_ROUNDS_MAX && !isLost) {
      log.warn({ rounds: this.#inARow }, 'offers do not come to rest: rounds wait for each other until they do');
    }
    this.#notBeforeMs = clock.monotonicMs() + SPACING_MS;
  }
}
