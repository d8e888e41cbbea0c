/**
 * Bodies that arise over time. They are pulled: nothing is made before the client has taken what there was, so a slow client
 * slows its source down instead of filling our memory; and one that takes nothing for long is cut off.
 */
import type { Clock, Timer } from './clock.ts';
import { utf8Encode } from './codec.ts';
import { LongWait } from './long-wait.ts';

/** Shows that the connection lives, and finds out when it doesn't. */
export const HEARTBEAT_MS = 10_000;

/** A client that takes nothing for this long is gone, whatever its connection says. */
const STALL_MS = 60_000;

export interface StreamOptions {
  readonly clock: Clock;
  /** Aborted by the stream when the client has gone or the source has ended: everything behind the source lets go. */
  readonly over: AbortController;
  /** Text that means nothing, sent when there has been nothing else for a while; null: none is sent. */
  readonly heartbeat: (() => string) | null;
  /** After how long a while. Default: {@link HEARTBEAT_MS}. */
  readonly heartbeatMs?: number;
}

/** The answer to HEAD: all but the body, whose source hears at once that nobody takes it. */
export function withoutBody(response: Response): Response {
  response.body?.cancel().catch(() => undefined);
  return new Response(null, response);
}

/** The texts of `source` as a body. If the source throws, the body breaks off, so that nobody takes it for complete. */
export function bodyStream(source: AsyncIterable<string>, options: StreamOptions): ReadableStream<Uint8Array> {
  const { clock, over, heartbeat, heartbeatMs = HEARTBEAT_MS } = options;
  const iterator = source[Symbol.asyncIterator]();
  let next: LongWait<IteratorResult<string>> | null = null;
  let stall: Timer | null = null;
  const letGo = () => {
    stall?.cancel();
    over.abort();
    iterator.return?.().catch(() => undefined);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        stall?.cancel();
        try {
          next ??= new LongWait(iterator.next());
          if (heartbeat !== null && !(await next.within(clock, heartbeatMs))) {
            return controller.enqueue(utf8Encode(heartbeat()));
          }
          const result = await next.promise;
          next = null;
          if (result.done) {
            letGo();
            return controller.close();
          }
          controller.enqueue(utf8Encode(result.value));
        } catch (error) {
          letGo();
          controller.error(error);
        } finally {
          if (!over.signal.aborted) {
            stall = clock.setTimer(STALL_MS, () => {
              letGo();
              controller.error(new Error(`the client took nothing for ${STALL_MS / 1000} s`));
            });
          }
        }
      },
      cancel: letGo,
    },
    { highWaterMark: 1 },
  );
}
