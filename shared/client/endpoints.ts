/** Where services are reached, and what becomes different of it. */
import {
  type EndpointChange,
  type EndpointList,
  type EndpointView,
  endpointChangeSchema,
  endpointListSchema,
} from '../protocol/endpoints.ts';
import { ApiError, UnexpectedAnswerError, UnreachableError } from './errors.ts';
import type { ServerSentEvent } from './server-sent-events.ts';
import { readStream } from './stream.ts';
import { parseJson, type Transport } from './transport.ts';

export interface EndpointFilter {
  /** This role and those below it; absent: all that the token may see. */
  readonly role?: string | undefined;
  /** The name or the uid of a job. */
  readonly job?: string | undefined;
  readonly group?: string | undefined;
  /** The name of the port. */
  readonly port?: string | undefined;
  readonly node?: string | undefined;
  readonly state?: readonly EndpointView['state'][] | undefined;
}

/** `list`: forget what was before. `change`: applies to what there was. */
export type EndpointUpdate =
  | { readonly type: 'list'; readonly list: EndpointList }
  | { readonly type: 'change'; readonly change: EndpointChange };

export interface EndpointCalls {
  list(filter?: EndpointFilter): Promise<EndpointList>;
  /**
   * First all of it, then whatever changes, until the signal is aborted, over as many connections to as many replicas as it takes. After
   * an outage it goes on where it was, and where that is too long ago, with a list. Throws as any call does while it has told nothing yet;
   * after that an outage may last as long as it likes, and only a refusal ends it.
   */
  watch(filter: EndpointFilter, options: { readonly signal: AbortSignal }): AsyncGenerator<EndpointUpdate, void>;
}

export function endpointCalls(transport: Transport): EndpointCalls {
  return {
    list: async (filter = {}) => {
      const request = { method: 'GET', path: '/v1/endpoints', query: { ...filter }, repeat: 'safe' } as const;
      return (await transport.call(request, endpointListSchema)).body;
    },
    watch: (filter, { signal }) => watchEndpoints(transport, filter, signal),
  };
}

/** The list after a change. Neither is touched. */
export function withChange({ items }: EndpointList, { revision, put, gone }: EndpointChange): EndpointList {
  const byId = new Map(items.map((one) => [one.id, one]));
  for (const id of gone) byId.delete(id);
  for (const one of put) byId.set(one.id, one);
  return { revision, items: [...byId.values()] };
}

async function* watchEndpoints(
  transport: Transport,
  filter: EndpointFilter,
  signal: AbortSignal,
): AsyncGenerator<EndpointUpdate, void> {
  const reader = new UpdateReader(transport.options.address);
  const request = () => {
    const query = { ...filter, after: reader.connect() };
    return { method: 'GET', path: '/v1/endpoints/watch', query, repeat: 'safe' } as const;
  };
  while (!signal.aborted) {
    try {
      const plan = { request, signal, outageMaxMs: Number.POSITIVE_INFINITY };
      for await (const event of readStream(transport, plan)) {
        const update = reader.take(event);
        if (update !== null) yield update;
      }
    } catch (error) {
      if (reader.position === null) throw error;
      if (isHistoryLost(error)) reader.position = null;
      else if (!(error instanceof UnreachableError)) throw error;
    }
  }
}

/** What the reader knows may be too old to go on from, or may never have happened. */
function isHistoryLost(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'history-gone' || error.code === 'history-changed');
}

/** Puts parts together: what comes before an id belongs together. */
class UpdateReader {
  /** What to go on after; null: ask for the list. */
  position: string | null = null;
  readonly #address: string;
  #items: EndpointView[] = [];
  #gone: string[] = [];

  constructor(address: string) {
    this.#address = address;
  }

  /** What has come in part comes again. */
  connect(): string | null {
    this.#items = [];
    this.#gone = [];
    return this.position;
  }

  /** Null: there is more to come, or nothing new. */
  take({ type, data, id }: ServerSentEvent): EndpointUpdate | null {
    let revision = 0;
    if (data !== null && type === 'list') {
      const part = endpointListSchema.safeParse(parseJson(data));
      if (!part.success) throw this.#unexpected(data);
      this.#items.push(...part.data.items);
      revision = part.data.revision;
    } else if (data !== null) {
      const part = endpointChangeSchema.safeParse(parseJson(data));
      if (!part.success) throw this.#unexpected(data);
      this.#items.push(...part.data.put);
      this.#gone.push(...part.data.gone);
      revision = part.data.revision;
    }
    if (id === null) return null;
    this.position = id;
    if (data === null) return null;
    const [items, gone] = [this.#items, this.#gone];
    this.#items = [];
    this.#gone = [];
    if (type === 'list') return { type, list: { revision, items } };
    return { type: 'change', change: { revision, put: items, gone } };
  }

  #unexpected(data: string): UnexpectedAnswerError {
    return new UnexpectedAnswerError(
      this.#address,
      `an event of endpoints that this client doesn't understand: ${data.slice(0, 200)}`,
    );
  }
}
