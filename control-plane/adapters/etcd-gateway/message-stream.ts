/** The messages of a watch, one to a line, for one reader at a time. */
import type { Clock } from '../../../shared/util/clock.ts';
import type { BodyText } from './body.ts';
import { within } from './deadline.ts';
import { errorIn, UnreachableError } from './faults.ts';
import { Message } from './message.ts';

export interface MessageStreamOptions {
  readonly body: BodyText;
  readonly clock: Clock;
  /** Ends the request that the stream answers. */
  readonly hangUp: () => void;
  /** Whom it comes from. */
  readonly host: string;
  /** What it was asked for with. */
  readonly token: string | null;
}

const OK = 200;

export class MessageStream {
  readonly host: string;
  readonly token: string | null;
  readonly #options: MessageStreamOptions;
  /** What comes next. It outlives a wait for it. */
  #coming: Promise<Message> | null = null;

  constructor(options: MessageStreamOptions) {
    this.host = options.host;
    this.token = options.token;
    this.#options = options;
  }

  /** The next message; null when `waitMs` passed or `signal` was aborted before one came. Throws when the stream ends. */
  async next(waitMs: number, signal: AbortSignal): Promise<Message | null> {
    this.#coming ??= this.#read();
    const message = await within(this.#options.clock, this.#coming, waitMs, signal);
    if (message !== null) this.#coming = null;
    return signal.aborted ? null : message;
  }

  /** Ends it from this side. */
  close(): void {
    this.#coming?.catch(() => undefined);
    this.#options.body.cancel();
    this.#options.hangUp();
  }

  async #read(): Promise<Message> {
    const line = await this.#options.body.line();
    if (line === null) throw new UnreachableError('the stream ended');
    const message = Message.parse(line);
    const error = errorIn(message, OK);
    if (error !== null) throw error;
    return message.message('result');
  }
}
