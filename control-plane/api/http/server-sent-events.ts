/** Events as clients of `text/event-stream` read them. */
import { bodyStream, HEARTBEAT_MS } from '../../../shared/util/body-stream.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Logger } from '../../../shared/util/log.ts';
import type { Lasting } from '../../auth/lasting.ts';
import { problemOf } from './problem.ts';

export interface ServerSentEvent {
  readonly event: string;
  readonly data: unknown;
  /** Where a client that lost its connection goes on. */
  readonly id?: string;
}

/** As the HTML standard spells it. JSON holds no bare line break, so one `data:` line is enough. */
export function sentEvent({ event, data, id }: ServerSentEvent): string {
  const idLine = id === undefined ? '' : `id: ${id}\n`;
  return `event: ${event}\n${idLine}data: ${JSON.stringify(data)}\n\n`;
}

export const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Proxies that collect what they pass on would hold events back.
  'x-accel-buffering': 'no',
} as const;

export interface EventStreamOptions {
  readonly ctx: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly config: { readonly streamHeartbeatMs?: number };
  };
  readonly requestId: string;
  /** The texts have to end with its signal. */
  readonly lasting: Lasting;
  readonly heartbeat: () => string;
  readonly heartbeatMs?: number;
}

/** Texts of events as an answer. What breaks them off is told as the last event, `error`, whose data is a Problem. */
export function eventStream(texts: AsyncIterable<string>, options: EventStreamOptions): Response {
  const { ctx, requestId, lasting, heartbeat, heartbeatMs = HEARTBEAT_MS } = options;
  const beat = Math.min(heartbeatMs, ctx.config.streamHeartbeatMs ?? HEARTBEAT_MS);
  const told = toTheEnd(texts, lasting, (error) => problemOf(error, requestId, ctx.log));
  return new Response(bodyStream(told, { clock: ctx.clock, over: lasting.over, heartbeat, heartbeatMs: beat }), {
    headers: SSE_HEADERS,
  });
}

async function* toTheEnd(
  texts: AsyncIterable<string>,
  lasting: Lasting,
  tell: (error: unknown) => object,
): AsyncGenerator<string, void> {
  try {
    yield* texts;
    if (lasting.tokenOver !== null) throw lasting.tokenOver;
  } catch (error) {
    yield sentEvent({ event: 'error', data: tell(error) });
  }
}
