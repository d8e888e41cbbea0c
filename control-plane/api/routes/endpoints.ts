/** `/v1/endpoints`: where tasks of services are reached, as a list that can be waited on, and as a stream. */
import { z } from 'zod';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import {
  ENDPOINT_STATES,
  type EndpointView,
  endpointChangeSchema,
  endpointListSchema,
} from '../../../shared/protocol/endpoints.ts';
import { nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import {
  POSITION_PATTERN,
  parsePosition,
  positionText,
  type StatePosition,
} from '../../../shared/protocol/position.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import {
  type EndpointFilter,
  type EndpointNews,
  hasEndpointNews,
  listEndpoints,
  watchEndpoints,
} from '../../services/endpoint-watch.ts';
import { reachForEvents } from '../../services/events.ts';
import type { Origin } from '../../services/origin.ts';
import { positionNow } from '../../services/reach.ts';
import { type Endpoint, endpoint, lastEventId, type Reply } from '../http/endpoint.ts';
import { eventStream, SSE_HEADERS, sentEvent } from '../http/server-sent-events.ts';
import type { ApiParts } from '../parts.ts';

const EVENTS = 'text/event-stream';
const WAIT_MS_MAX = 60_000;
/** Of one event of the stream: so many fit into what readers take as one. */
const EVENT_ITEMS_MAX = 1000;

const after = z
  .string()
  .regex(POSITION_PATTERN, 'must be a revision, as the header Berth-Revision or the id of an event gives it')
  .optional();

const filterQuery = {
  role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
  job: nameSchema.optional().describe('The name or the uid of a job.'),
  group: nameSchema.optional(),
  port: nameSchema.optional().describe('The name of the port.'),
  node: nodeIdSchema.optional(),
  state: z.array(z.enum(ENDPOINT_STATES)).min(1).max(ENDPOINT_STATES.length).optional().describe('May be repeated.'),
  healthy: z.boolean().optional().describe('true: only those in the state `ready`.'),
};
const listQuery = z.strictObject({
  ...filterQuery,
  after: after.describe('Answers once something may be other than it was at this revision. Absent: at once.'),
  waitMs: z.number().int().min(0).max(WAIT_MS_MAX).default(WAIT_MS_MAX).describe('How long to wait for that.'),
});
const watchQuery = z.strictObject({
  ...filterQuery,
  after: after.describe('What has become different since this revision, rather than the whole list first.'),
});
type FilterQuery = Omit<z.output<typeof watchQuery>, 'after'>;

const base = { tag: 'Endpoints', admits: ['user'], method: 'get' } as const;
const gone = { description: 'What has changed since that revision is not known, or no longer: list again.' };

export function endpointEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        path: '/v1/endpoints',
        summary: 'List where services are reached',
        description:
          'One for each named port of each task of a service or a system job that has a place. With `after`, the header Berth-Revision of an earlier answer, it waits until the list may have become another one.',
        query: listQuery,
        answers: { 200: { description: 'The endpoints.', schema: endpointListSchema }, 410: gone },
      },
      ({ principal, query, lasting }) => endpointList(parts, principal, { query, signal: lasting.signal }),
    ),
    endpoint(
      {
        ...base,
        path: '/v1/endpoints/watch',
        summary: 'Follow where services are reached',
        description:
          'The first event, `list`, is an EndpointList; each `change` that follows is an EndpointChange. A long one comes in parts, of which the last has the revision as id: what comes before an id belongs together. With the header Last-Event-ID the stream begins with what has changed since.',
        query: watchQuery,
        answers: { 200: { description: 'What changes.', schema: endpointChangeSchema, text: [EVENTS] }, 410: gone },
      },
      (request) => {
        const { principal, query } = request;
        const { headers, method } = request.request;
        if (method === 'HEAD') return new Response(null, { headers: SSE_HEADERS });
        const seen = lastEventId(headers) ?? parsePosition(query.after ?? '');
        return endpointStream(parts, principal, { ...request, after: seen });
      },
    ),
  ];
}

async function endpointList(
  { ctx, endpoints: table }: ApiParts,
  principal: Principal,
  { query, signal }: { query: z.output<typeof listQuery>; signal: AbortSignal },
): Promise<Reply> {
  const filter = filterOf(query);
  const seen = parsePosition(query.after ?? '');
  const deadlineMs = ctx.clock.monotonicMs() + query.waitMs;
  if (seen !== null) await reachForEvents(ctx, seen);
  let looked = seen?.revision ?? 0;
  while (seen !== null && !hasEndpointNews({ ctx, table }, principal, { after: looked, filter })) {
    looked = ctx.mirror.revision;
    const leftMs = deadlineMs - ctx.clock.monotonicMs();
    if (leftMs <= 0 || signal.aborted) break;
    await ctx.mirror.waitFor(looked + 1, { timeoutMs: leftMs, signal });
  }
  const body = listEndpoints(table, principal, filter);
  return { status: 200, body, revision: body.revision };
}

async function endpointStream(
  { ctx, endpoints: table }: ApiParts,
  principal: Principal,
  request: { query: FilterQuery; after: StatePosition | null; origin: Origin; lasting: Lasting },
): Promise<Response> {
  const {
    query,
    origin: { requestId },
    lasting,
  } = request;
  const { signal } = lasting;
  const news = watchEndpoints({ ctx, table }, principal, { after: request.after, filter: filterOf(query), signal });
  // What comes first is there at once; taking it now lets a refusal be an answer rather than a broken stream.
  const first = await news.next();
  // A generator that nobody asks for more doesn't see the signal; it has to be told to let go of its subscription.
  signal.addEventListener('abort', () => void news.return(undefined), { once: true });
  const idOf = (revision: number) => positionText(positionNow(ctx, revision));
  let revision = first.done ? ctx.mirror.revision : first.value.revision;
  async function* texts(): AsyncGenerator<string, void> {
    if (!first.done) yield newsText(first.value, idOf);
    for await (const one of news) {
      revision = one.revision;
      const text = newsText(one, idOf);
      if (text !== '') yield text;
    }
  }
  // The position goes along with the heartbeat, so that one whose filter lets little through doesn't fall behind.
  const heartbeat = () => `: still here\nid: ${idOf(revision)}\n\n`;
  return eventStream(texts(), { ctx, requestId, lasting, heartbeat });
}

/** In parts that readers can take; only the last one carries the id. Nothing for a change without anything in it. */
export function newsText(news: EndpointNews, idOf: (revision: number) => string): string {
  const { type, revision } = news;
  const put = type === 'list' ? news.items : news.put;
  const left = type === 'list' ? [] : news.gone;
  const count = Math.ceil(Math.max(put.length, left.length) / EVENT_ITEMS_MAX);
  const parts = type === 'list' ? Math.max(1, count) : count;
  return Array.from({ length: parts }, (_, index) => {
    const part = <T>(all: readonly T[]) => all.slice(index * EVENT_ITEMS_MAX, (index + 1) * EVENT_ITEMS_MAX);
    const data = type === 'list' ? { revision, items: part(put) } : { revision, put: part(put), gone: part(left) };
    return sentEvent({ event: type, data, ...(index === parts - 1 && { id: idOf(revision) }) });
  }).join('');
}

function filterOf({ role, job, group, port, node, state, healthy }: FilterQuery): EndpointFilter {
  const states = state ?? null;
  const ready: readonly EndpointView['state'][] = ['ready'];
  return {
    ...{ role: role ?? null, job: job ?? null, group: group ?? null, port: port ?? null, node: node ?? null },
    states: healthy === true ? ready.filter((one) => states?.includes(one) ?? true) : states,
  };
}
