/** The protocol's two-way streams as something to await. */
import { EtcdWatchStreamEnded, type IDuplexStream } from 'etcd3';
import { StoreUnavailableError } from '../../store/contract.ts';

/**
 * Sends one request, resolves with the first answer and ends the stream. Rejects when the stream fails or ends before; its
 * deadline is the caller's.
 */
export function firstAnswer<Request, Answer>(
  stream: IDuplexStream<Request, Answer>,
  request: Request,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    stream.on('data', (answer) => {
      resolve(answer);
      hangUp(stream);
    });
    stream.on('error', reject);
    stream.on('end', () => reject(new EtcdWatchStreamEnded()));
    stream.write(request);
  });
}

/**
 * Ends a stream from this side. In this order: the package takes the cancellation of a stream that is still open for
 * writing as a failure of the host, and closes its connections.
 */
export function hangUp(stream: IDuplexStream<unknown, unknown>): void {
  stream.end();
  stream.cancel();
}

/** Answers that may wait for their reader. One that is slower is cut off, and resumes from where it is. */
const WAITING_ANSWERS_MAX = 256;

/** The answers of a stream, in order, for one reader at a time. Ends by throwing what the stream failed with. */
export class AnswerQueue<Answer> {
  readonly #answers: Answer[] = [];
  #failure: unknown = null;
  #wake: () => void = () => undefined;

  constructor(stream: IDuplexStream<unknown, Answer>) {
    const fail = (error: unknown) => {
      this.#failure ??= error;
      this.#wake();
    };
    stream.on('data', (answer) => {
      if (this.#failure !== null) return;
      this.#answers.push(answer);
      this.#wake();
      if (this.#answers.length < WAITING_ANSWERS_MAX) return;
      fail(new StoreUnavailableError('etcd: a stream was cut off, since its reader is too slow'));
      hangUp(stream);
    });
    stream.on('error', fail);
    stream.on('end', () => fail(new EtcdWatchStreamEnded()));
  }

  /** The next answer; null when `waitMs` passed or `signal` was aborted before one came. */
  async next(waitMs: number, signal: AbortSignal): Promise<Answer | null> {
    if (this.#answers.length === 0 && this.#failure === null) await this.#something(waitMs, signal);
    if (signal.aborted) return null;
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    if (this.#failure !== null) throw this.#failure;
    return null;
  }

  #something(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}
