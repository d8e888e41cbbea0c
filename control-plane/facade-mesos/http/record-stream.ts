/** A body of records that goes on until its source or its reader ends, with a heartbeat at a steady pace. */
import { bodyStream } from '../../../shared/util/body-stream.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { LongWait } from '../../../shared/util/long-wait.ts';
import { JSON_TYPE } from './json-in.ts';
import { record } from './record-io.ts';

/** Clients that were written for Mesos give up after ten seconds of silence; they are told so much with their subscription. */
export const HEARTBEAT_MS = 5000;

/** Some clients take a record only once the next one has begun: what was said last is followed by a heartbeat so soon. */
const FOLLOW_UP_MS = 1000;

const HEARTBEAT = { type: 'HEARTBEAT' } as const;

/** A text is a record that is written already. */
export type RecordMessage = object | string;

export interface RecordStreamOptions {
  readonly clock: Clock;
  /** Aborted by the stream when its reader has gone, takes nothing for a minute, or the source has ended. */
  readonly over: AbortController;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The messages of `source`, each of them a record and a chunk of its own. The first is followed by a heartbeat at once, all others
 * soon, and where there are none one comes every {@link HEARTBEAT_MS}. The source has to end when `over` is aborted.
 */
export function recordStream(
  source: AsyncIterator<readonly RecordMessage[], void>,
  options: RecordStreamOptions,
): Response {
  return streamResponse(records(source, options.clock), options);
}

/** These messages and no more: how a subscription is refused. */
export function closedRecordStream(messages: readonly object[], options: RecordStreamOptions): Response {
  async function* source(): AsyncGenerator<string, void> {
    for (const message of messages) yield record(message);
  }
  return streamResponse(source(), options);
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

async function* records(
  source: AsyncIterator<readonly RecordMessage[], void>,
  clock: Clock,
): AsyncGenerator<string, void> {
  const beat = new Beat(clock);
  try {
    const first = await source.next();
    if (first.done) return;
    for (const message of first.value) yield written(message);
    yield record(HEARTBEAT);
    beat.sent();
    let next = new LongWait(source.next());
    for (;;) {
      const { leftMs } = beat;
      if (leftMs <= 0 || !(await next.within(clock, leftMs))) {
        yield record(HEARTBEAT);
        beat.sent();
        continue;
      }
      const result = await next.promise;
      if (result.done) return;
      for (const message of result.value) yield written(message);
      beat.hasten();
      next = new LongWait(source.next());
    }
  } finally {
    source.return?.()?.catch(() => undefined);
  }
}

function written(message: RecordMessage): string {
  return typeof message === 'string' ? message : record(message);
}

/** When the next heartbeat is due. */
class Beat {
  readonly #clock: Clock;
  #dueAtMs = 0;
  #isHastened = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get leftMs(): number {
    return this.#dueAtMs - this.#clock.monotonicMs();
  }

  sent(): void {
    this.#isHastened = false;
    this.#dueAtMs = this.#clock.monotonicMs() + HEARTBEAT_MS;
  }

  /** Something else has been sent. However much of it there is, the next heartbeat is due soon after the first. */
  hasten(): void {
    if (this.#isHastened) return;
    this.#isHastened = true;
    this.#dueAtMs = this.#clock.monotonicMs() + FOLLOW_UP_MS;
  }
}
