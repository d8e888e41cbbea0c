/** One turn of the cron trigger: somebody drives as a replica does that lives on, for as long as the turn may take. */
import type { Clock } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import type { Desk, Desks } from './main-worker-desks.ts';

/** The next turn begins a minute after this one did; the platform would allow 15. */
export const TURN_MS_MAX = 55_000;

export interface TurnOptions {
  readonly desks: Desks;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the turn before was taken: its driver knows for how long it has seen which node silent. */
  readonly usual: Desk | null;
  readonly turnMsMax?: number;
}

/** Resolves with its desk when the turn is over. Throws what {@link Desks.take} throws. */
export async function takeTurn(options: TurnOptions): Promise<Desk> {
  const { desks, clock, log, usual, turnMsMax = TURN_MS_MAX } = options;
  const over = new AbortController();
  const bound = clock.setTimer(turnMsMax, () => over.abort());
  try {
    const desk = await desks.take(over.signal, usual);
    desk.mirror.follow();
    await desk.replica.run(over.signal).catch((error: unknown) => {
      log.error({ error }, 'a turn of the cron trigger ended early');
    });
    over.abort();
    await desk.store.idle();
    desks.giveBack(desk);
    return desk;
  } finally {
    bound.cancel();
    over.abort();
  }
}
