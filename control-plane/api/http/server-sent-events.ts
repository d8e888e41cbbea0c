/** Events as clients of `text/event-stream` read them. */

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
