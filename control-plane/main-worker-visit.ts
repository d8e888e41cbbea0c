/**
 * One request at its desk, from its beginning to the end of all that it has opened: its answer, the body of that, and what it leaves for
 * after the answer. Whoever reads the answer may go at any time, and the platform tells of that only sometimes; so whatever lasts is ended
 * by a bound of its own.
 */
import { type Clock, sleep, type Timer } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import type { Desk, Desks } from './main-worker-desks.ts';

/** A request that hasn't been answered by then is one that waits, and follows the state from then on. */
const WAITS_AFTER_MS = 20;

/** How often a request looks whether its time is over. */
const LOOK_MS = 1000;

/** How long a request may wait while desks are short. */
const CROWDED_MS_MAX = 2000;

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
    const follow = this.#options.clock.setTimer(WAITS_AFTER_MS, () => this.#desk.mirror.follow());
    const ended = () => {
      follow.cancel();
      read();
    };
    const span = new Span(this.#options, { over: this.#over, ended });
    request.signal.addEventListener('abort', () => span.leave(), { once: true });
    try {
      const signal = AbortSignal.any([request.signal, this.#over.signal]);
      const response = await this.#desk.replica.api.fetch(new Request(request, { signal }));
      span.answered();
      return whenRead(response, () => span.end());
    } catch (error) {
      span.end();
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

/** How long a request lasts: until its answer was read, its reader has gone, or its time is over. But never before it was answered. */
class Span {
  readonly #options: VisitOptions;
  readonly #over: AbortController;
  readonly #ended: () => void;
  readonly #beganAtMs: number;
  #timer: Timer;
  #isAnswered = false;
  #hasLeft = false;
  #isOver = false;

  constructor(options: VisitOptions, { over, ended }: { over: AbortController; ended: () => void }) {
    this.#options = options;
    this.#over = over;
    this.#ended = ended;
    this.#beganAtMs = options.clock.monotonicMs();
    this.#timer = this.#set();
  }

  answered(): void {
    this.#isAnswered = true;
    if (this.#hasLeft) this.end();
  }

  /** Nobody waits for the answer, or for the rest of it. */
  leave(): void {
    this.#hasLeft = true;
    if (this.#isAnswered) this.end();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer.cancel();
    this.#ended();
  }

  #set(): Timer {
    const { clock, requestMsMax } = this.#options;
    return clock.setTimer(Math.min(LOOK_MS, requestMsMax), () => this.#look());
  }

  /** Where desks are short, those who wait make room for those who don't: they come back, and a heartbeat mustn't be turned away. */
  #look(): void {
    const { clock, desks, requestMsMax } = this.#options;
    const msMax = desks.isCrowded ? Math.min(requestMsMax, CROWDED_MS_MAX) : requestMsMax;
    if (clock.monotonicMs() - this.#beganAtMs >= msMax) {
      this.#over.abort();
      this.leave();
    }
    if (!this.#isOver) this.#timer = this.#set();
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
