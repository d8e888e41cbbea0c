/** A body of records that goes on until its source or its reader ends, with a heartbeat at a steady pace. */
import { bodyStream } from '../../../shared/util/body-stream.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { LongWait } from '../../../shared/util/long-wait.ts';
import { JSON_TYPE } from './json-in.ts';
import { record } from './record-io.ts';

/** Clients that were written for Mesos give up after ten seconds of silence; they are told so much with their subscription. */
export const HEARTBEAT_MS = 5000;

const HEARTBEAT = { type: 'HEARTBEAT' } as const;

export interface RecordStreamOptions {
  readonly clock: Clock;
  /** Aborted by the stream when its reader has gone, takes nothing for a minute, or the source has ended. */
  readonly over: AbortController;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The messages of `source`, each of them a record and a chunk of its own. The first is followed by a heartbeat at once, and from
 * then on by one every {@link HEARTBEAT_MS}, whatever else is said: some clients listen for nothing else. The source has to end
 * when `over` is aborted.
 */
export function recordStream(source: AsyncIterator<readonly object[], void>, options: RecordStreamOptions): Response {
  return streamResponse(records(source, options.clock), options);
}

/** These messages and no more: how a subscription is refused. */
export function closedRecordStream(messages: readonly object[], options: Omit<RecordStreamOptions, 'over'>): Response {
  async function* source(): AsyncGenerator<string, void> {
    for (const message of messages) yield record(message);
  }
  return streamResponse(source(), { ...options, over: new AbortController() });
}

function streamResponse(source: AsyncIterable<string>, { clock, over, headers = {} }: RecordStreamOptions): Response {
  return new Response(bodyStream(source, { clock, over, heartbeat: null }), {
    headers: {
      'content-type': JSON_TYPE,
      // Said before it is known how long the body is, so that even a short one comes in its chunks.
      'transfer-encoding': 'chunked',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      ...headers,
    },
  });
}

async function* records(source: AsyncIterator<readonly object[], void>, clock: Clock): AsyncGenerator<string, void> {
  try {
    const first = await source.next();
    if (first.done) return;
    for (const message of first.value) yield record(message);
    yield record(HEARTBEAT);
    let dueAtMs = clock.monotonicMs() + HEARTBEAT_MS;
    let next = new LongWait(source.next());
    for (;;) {
      const leftMs = dueAtMs - clock.monotonicMs();
      if (leftMs <= 0 || !(await next.within(clock, leftMs))) {
        yield record(HEARTBEAT);
        dueAtMs = clock.monotonicMs() + HEARTBEAT_MS;
        continue;
      }
      const result = await next.promise;
      if (result.done) return;
      for (const message of result.value) yield record(message);
      next = new LongWait(source.next());
    }
  } finally {
    source.return?.()?.catch(() => undefined);
  }
}
