/**
 * A stream that outlives its connections: reads events, notices silence, and opens the next connection where the last one
 * stopped. Who uses it says how to ask for what follows a position, and when the end has been reached.
 */

import { problemSchema } from '../protocol/views.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../util/backoff.ts';
import { type Clock, sleep } from '../util/clock.ts';
import { ApiError, networkReason, UnexpectedAnswerError, UnreachableError } from './errors.ts';
import { createEventParser, type ServerSentEvent } from './server-sent-events.ts';
import { type ApiRequest, parseJson, type Transport } from './transport.ts';

export interface StreamPlan {
  /** The request that asks for what follows all that has been handed out. Called anew for every connection. */
  readonly request: () => ApiRequest;
  readonly signal: AbortSignal;
  /** How long nothing, not even a comment, may come before the connection counts as dead. The server comments every 10 s. */
  readonly silenceMaxMs?: number;
  /** How long to go on trying after a connection that had worked is lost. Default: 5 minutes. */
  readonly outageMaxMs?: number;
}

const SILENCE_MAX_MS = 35_000;
const OUTAGE_MAX_MS = 300_000;
/** A stream that never came up is given up as soon as an ordinary call would be. */
const FIRST_ATTEMPTS_MAX = 4;
const RECONNECT: BackoffPolicy = { baseMs: 150, factor: 2, maxMs: 5_000 };

/**
 * Yields events until the caller stops reading or the signal is aborted, over as many connections as it takes.
 * Throws an ApiError on a refusal, also where its token has ended and there is no other, an UnreachableError when the outage lasts too long.
 */
export async function* readStream(transport: Transport, plan: StreamPlan): AsyncGenerator<ServerSentEvent, void> {
  const { clock, random, address, onRetry } = transport.options;
  let connected = false;
  let failures = 0;
  let lastGoodMs = clock.monotonicMs();
  while (!plan.signal.aborted) {
    let why = 'the stream ended';
    try {
      for await (const events of readConnection(transport, plan)) {
        connected = true;
        failures = 0;
        lastGoodMs = clock.monotonicMs();
        yield* events;
      }
    } catch (error) {
      if (plan.signal.aborted) return;
      if (!isPassing(error)) throw error;
      why = error instanceof ApiError ? error.message : networkReason(error);
    }
    if (plan.signal.aborted) return;
    failures += 1;
    const outageMs = clock.monotonicMs() - lastGoodMs;
    const hopeless = connected ? outageMs > (plan.outageMaxMs ?? OUTAGE_MAX_MS) : failures >= FIRST_ATTEMPTS_MAX;
    if (hopeless) throw new UnreachableError(address, why);
    const waitMs = jitteredBackoffMs(RECONNECT, failures - 1, random.next());
    onRetry?.({ why, waitMs });
    await sleep(clock, waitMs, plan.signal);
  }
}

/** Yields the events of each chunk together; an empty list is a sign of life. */
async function* readConnection(transport: Transport, plan: StreamPlan): AsyncGenerator<ServerSentEvent[], void> {
  const watchdog = createWatchdog(transport.options.clock, plan.silenceMaxMs ?? SILENCE_MAX_MS);
  const signal = AbortSignal.any([plan.signal, watchdog.signal]);
  try {
    const request = plan.request();
    const headers = { Accept: 'text/event-stream', ...request.headers };
    const { body, leave, renewToken } = await transport.open({ ...request, headers }, signal);
    // It may hang with its connections open: to ask there again would be another wait in vain.
    watchdog.signal.addEventListener('abort', leave, { once: true });
    const parse = createEventParser();
    const decoder = new TextDecoder();
    // Accepted and open: that alone is a sign of life.
    yield [];
    for await (const chunk of body) {
      watchdog.feed();
      const events = parse(decoder.decode(chunk, { stream: true }));
      const refusal = events.map(refusalIn).find((each) => each !== null);
      if (refusal !== undefined) throw (await isMended(refusal, renewToken)) ? new Error(refusal.message) : refusal;
      yield events;
    }
  } finally {
    watchdog.cancel();
  }
}

/** A stream that has begun can't become a refusal any more; the server then sends the problem as an event. */
function refusalIn({ type, data }: ServerSentEvent): ApiError | null {
  if (type !== 'error' || data === null) return null;
  const parsed = problemSchema.safeParse(parseJson(data));
  return parsed.success ? new ApiError(parsed.data) : null;
}

/** A stream ends with the token that it was opened with; with another one it goes on where it was. */
async function isMended({ code }: ApiError, renewToken: () => Promise<boolean>): Promise<boolean> {
  return code === 'unauthenticated' && (await renewToken());
}

/** Whether a later connection may fare better. */
function isPassing(error: unknown): boolean {
  if (error instanceof ApiError) return error.problem.status >= 500 || error.problem.status === 429;
  return !(error instanceof UnexpectedAnswerError || error instanceof RangeError);
}

interface Watchdog {
  readonly signal: AbortSignal;
  feed(): void;
  cancel(): void;
}

function createWatchdog(clock: Clock, silenceMaxMs: number): Watchdog {
  const controller = new AbortController();
  const bite = () => controller.abort(new Error(`nothing came for ${silenceMaxMs / 1000} s`));
  let timer = clock.setTimer(silenceMaxMs, bite);
  return {
    signal: controller.signal,
    feed() {
      timer.cancel();
      timer = clock.setTimer(silenceMaxMs, bite);
    },
    cancel: () => timer.cancel(),
  };
}
