/**
 * What a request opens that lasts, a stream or a long wait, ends with the first of these: its client, its replica, its token. What a
 * token once allowed would otherwise go on for as long as somebody keeps a connection open.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';

/** The longest time between two looks at the clock on the wall: it is the one that tokens end by, and it may be set meanwhile. */
const LOOK_EVERY_MS = 60_000;

/** The token isn't good any more that something was opened with. The message says why, and what to do. */
export class TokenOver extends Refusal {
  constructor(message: string) {
    super('unauthenticated', message);
  }
}

export interface LastingOptions {
  readonly clock: Clock;
  /** From then on the token is refused; null: nobody needed one. */
  readonly goodUntilMs: number | null;
  /** Tells when the token is taken back, at once if it is already; returns how to end that. Absent: nobody does. */
  readonly whenRevoked?: ((tell: (why: string) => void) => () => void) | undefined;
  /** Of the client and of the replica. */
  readonly ends: readonly AbortSignal[];
}

interface Opened {
  readonly over: AbortController;
  readonly token: AbortController;
  readonly signal: AbortSignal;
}

/** Costs nothing before it is asked for. */
export class Lasting {
  readonly #options: LastingOptions;
  #opened: Opened | null = null;

  constructor(options: LastingOptions) {
    this.#options = options;
  }

  /** Aborted when the client has gone, the replica goes away or nothing is open any more; and with a {@link TokenOver}. */
  get signal(): AbortSignal {
    return this.#open().signal;
  }

  /** To be aborted when nothing is open any more. */
  get over(): AbortController {
    return this.#open().over;
  }

  /** Aborted with a {@link TokenOver}, and with nothing else. */
  get tokenSignal(): AbortSignal {
    return this.#open().token.signal;
  }

  /** Set once the token is no longer good, if that came first. */
  get tokenOver(): TokenOver | null {
    const reason: unknown = this.#opened?.signal.reason;
    return reason instanceof TokenOver ? reason : null;
  }

  /** The answer, once it has been made. Unless its body is still being made then, nothing is open any more. */
  async until<T>(make: () => T | Promise<T>): Promise<T> {
    let isOpen = false;
    try {
      const answer = await make();
      isOpen = answer instanceof Response && answer.body !== null;
      return answer;
    } finally {
      if (!isOpen) this.#opened?.over.abort();
    }
  }

  #open(): Opened {
    this.#opened ??= opened(this.#options);
    return this.#opened;
  }
}

function opened({ clock, goodUntilMs, whenRevoked, ends }: LastingOptions): Opened {
  const [over, token] = [new AbortController(), new AbortController()];
  const signal = AbortSignal.any([...ends, over.signal, token.signal]);
  let timer: Timer | null = null;
  const look = (): void => {
    const leftMs = (goodUntilMs ?? Number.POSITIVE_INFINITY) - clock.now();
    if (leftMs > 0) timer = clock.setTimer(Math.min(leftMs, LOOK_EVERY_MS), look);
    else token.abort(new TokenOver('the token has expired; go on with another one'));
  };
  signal.addEventListener('abort', () => timer?.cancel(), { once: true });
  if (goodUntilMs !== null && !signal.aborted) look();
  const forget = signal.aborted ? undefined : whenRevoked?.((why) => token.abort(new TokenOver(why)));
  if (signal.aborted) forget?.();
  else if (forget !== undefined) signal.addEventListener('abort', forget, { once: true });
  return { over, token, signal };
}
