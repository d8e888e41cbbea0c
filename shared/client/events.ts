/** The event stream. An id stands on the last event of its revision, so events are handed out a whole revision at a time. */
import { positionText, type StatePosition } from '../protocol/position.ts';
import { type EventView, eventViewSchema, pageOf } from '../protocol/views.ts';
import { UnexpectedAnswerError } from './errors.ts';
import { readStream } from './stream.ts';
import type { Transport } from './transport.ts';

export interface EventFilter {
  /** Only what happened after this; null: only what happens from now on. */
  readonly after: StatePosition | null;
  readonly type?: string | undefined;
  readonly job?: string | undefined;
  readonly role?: string | undefined;
  readonly node?: string | undefined;
  readonly task?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Yields each event once, in order, until the signal is aborted. A connection that breaks within a revision is resumed at its
 * start, and what had come of it is dropped. Throws an ApiError with the code `history-gone` when `after` is too long ago, and
 * with `history-changed` when the cluster was recovered since from an older state.
 */
export async function* followEvents(transport: Transport, filter: EventFilter): AsyncGenerator<EventView, void> {
  const { after, signal, ...query } = filter;
  let position = after === null ? null : positionText(after);
  let unfinished: EventView[] = [];
  const request = () => {
    unfinished = [];
    return { method: 'GET', path: '/v1/events', query: { ...query, after: position }, repeat: 'safe' } as const;
  };
  for await (const event of readStream(transport, { request, signal })) {
    if (event.data !== null) unfinished.push(parseEvent(transport.options.address, event.data));
    if (event.id === null) continue;
    const revision = unfinished;
    unfinished = [];
    position = event.id;
    yield* revision;
  }
}

/** Bounds a server that never says that it has come to the end. */
const PAGES_MAX = 10_000;

/** Yields what happened after `after` up to now, a page at a time. */
export async function* readEvents(
  transport: Transport,
  { after, ...query }: Omit<EventFilter, 'signal'>,
): AsyncGenerator<EventView, void> {
  let position = after === null ? null : positionText(after);
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const request = {
      method: 'GET',
      path: '/v1/events',
      query: { ...query, after: position },
      repeat: 'safe',
    } as const;
    const { items, next } = (await transport.call(request, pageOf(eventViewSchema))).body;
    yield* items;
    if (items.length === 0 || next === null) return;
    position = next;
  }
}

function parseEvent(address: string, data: string): EventView {
  try {
    return eventViewSchema.parse(JSON.parse(data));
  } catch {
    throw new UnexpectedAnswerError(address, `an event that this client doesn't understand: ${data.slice(0, 200)}`);
  }
}
