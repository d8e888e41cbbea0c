/**
 * One request at its desk, from its beginning to the end of all that it has opened: its answer, the body of that, and what it leaves for
 * after the answer. Whoever reads the answer may go at any time, and the platform tells of that only sometimes; so whatever lasts is ended
 * by a bound of its own.
 */
import { type Clock, sleep } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import type { Desk, Desks } from './main-worker-desks.ts';

/** A request that hasn't been answered by then is one that waits, and follows the state from then on. */
const WAITS_AFTER_MS = 20;

/** How long a request drives after its answer; the platform allows 30 s. */
export const DRIVE_MS_MAX = 20_000;

export interface VisitOptions {
  readonly desks: Desks;
  readonly clock: Clock;
  readonly log: Logger;
  /** After this time a stream or a long wait is ended. */
  readonly requestMsMax: number;
}

export class Visit {
  readonly #options: VisitOptions;
  readonly #over: AbortController;
  readonly #desk: Desk;
  #driving: Promise<void> | null = null;

  private constructor(options: VisitOptions, desk: Desk, over: AbortController) {
    this.#options = options;
    this.#desk = desk;
    this.#over = over;
    desk.onChange = () => this.#changed();
  }

  /** Throws what {@link Desks.take} throws. */
  static async begin(options: VisitOptions): Promise<Visit> {
    const over = new AbortController();
    return new Visit(options, await options.desks.take(over.signal), over);
  }

  /** The answer; `read` is called once, when all of it has been read or nobody reads it any more. Then the visit is to be ended. */
  async answer(request: Request, read: () => void): Promise<Response> {
    const { clock, requestMsMax } = this.#options;
    const follow = clock.setTimer(WAITS_AFTER_MS, () => this.#desk.mirror.follow());
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      follow.cancel();
      bound.cancel();
      read();
    };
    // Also where nobody reads the answer, and nobody says that they have gone.
    const bound = clock.setTimer(requestMsMax, () => {
      this.#over.abort();
      end();
    });
    request.signal.addEventListener('abort', end, { once: true });
    try {
      const signal = AbortSignal.any([request.signal, this.#over.signal]);
      const response = await this.#desk.replica.api.fetch(new Request(request, { signal }));
      return whenRead(response, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Does what is left to do, and gives the desk back. */
  async end(): Promise<void> {
    const { desks, clock, log } = this.#options;
    const bound = clock.setTimer(DRIVE_MS_MAX, () => this.#over.abort());
    try {
      while (this.#driving !== null) await this.#driving;
    } catch (error) {
      log.warn({ error }, 'rounds and passes are left to whoever comes next');
    }
    this.#over.abort();
    await this.#desk.store.idle();
    bound.cancel();
    desks.giveBack(this.#desk);
  }

  /** Whoever changes something drives for a moment, unless somebody else does. */
  #changed(): void {
    // While it drives, the changes are its driver's own, or are looked at by that before it leaves.
    if (this.#driving !== null) return;
    this.#driving = this.#drive().finally(() => {
      this.#driving = null;
    });
    // Whoever waits for the end hears of it; before that nobody listens.
    this.#driving.catch(() => undefined);
  }

  async #drive(): Promise<void> {
    // The answer comes first.
    await sleep(this.#options.clock, 0);
    this.#desk.mirror.follow();
    await this.#desk.replica.driver.driveOnce(this.#over.signal);
  }
}

/** The response, with an end that somebody hears of. */
export function whenRead(response: Response, ended: () => void): Response {
  const { body } = response;
  if (body === null) {
    ended();
    return response;
  }
  const reader = body.getReader();
  const tracked = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
          ended();
        } catch (error) {
          controller.error(error);
          ended();
        }
      },
      cancel(reason) {
        ended();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(tracked, response);
}
