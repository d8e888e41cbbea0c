/** `/v1/events`: what happens, as a stream of events that can be resumed, or as pages that wait for news. */

import { z } from 'zod';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import { nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import {
  POSITION_PATTERN,
  parsePosition,
  positionText,
  type StatePosition,
} from '../../../shared/protocol/position.ts';
import { EVENT_TYPES, eventViewSchema, pageOf } from '../../../shared/protocol/views.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import { type EventBatch, type EventFilter, reachForEvents, readEvents, watchEvents } from '../../services/events.ts';
import type { Origin } from '../../services/origin.ts';
import { positionNow } from '../../services/reach.ts';
import { type Endpoint, endpoint, lastEventId, type Reply } from '../http/endpoint.ts';
import { eventStream, SSE_HEADERS, sentEvent } from '../http/server-sent-events.ts';
import { negotiated } from '../input/accept.ts';
import type { ApiParts } from '../parts.ts';
import { PAGE_MAX } from './answers.ts';
import { taskParams } from './tasks.ts';

const JSON_TYPE = 'application/json';
const EVENTS = 'text/event-stream';
const WAIT_MS_MAX = 60_000;

const eventQuery = z.strictObject({
  after: z
    .string()
    .regex(POSITION_PATTERN, 'must be a revision, as the header Berth-Revision or the id of an event gives it')
    .optional()
    .describe('Only what happened after this revision. Absent: from now on.'),
  type: z.array(z.enum(EVENT_TYPES)).min(1).max(EVENT_TYPES.length).optional().describe('May be repeated.'),
  role: roleSchema.optional().describe('This role and those below it.'),
  job: nameSchema.optional(),
  node: nodeIdSchema.optional(),
  task: taskParams.shape.id.optional(),
  limit: z
    .number()
    .int()
    .min(1)
    .max(PAGE_MAX)
    .default(PAGE_MAX)
    .describe('Of a page; revisions are never split over two.'),
  waitMs: z.number().int().min(0).max(WAIT_MS_MAX).default(0).describe('How long a page without events waits for one.'),
});
type EventQuery = z.output<typeof eventQuery>;

export function eventEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        tag: 'Events',
        admits: ['user'],
        method: 'get',
        path: '/v1/events',
        summary: 'Follow what happens',
        description:
          'As events: each with its type and view; the last of a revision carries the revision as id, which the header Last-Event-ID resumes after. As JSON: a page, whose `next` is the next `after`. Answers 410 when `after` is too long ago, or from before the cluster was recovered.',
        query: eventQuery,
        answers: {
          200: { description: 'What happened.', schema: pageOf(eventViewSchema), text: [EVENTS] },
          410: { description: 'Events after that revision are not known, or no longer: list again.' },
        },
      },
      (request) => {
        const { principal, query } = request;
        const { headers, method } = request.request;
        const type = negotiated(headers.get('accept'), [JSON_TYPE, EVENTS]);
        if (type === JSON_TYPE) return eventPage(parts, principal, query, request.lasting.signal);
        if (method === 'HEAD') return new Response(null, { headers: SSE_HEADERS });
        const after = lastEventId(headers) ?? parsePosition(query.after ?? '');
        return followEvents(parts, principal, { ...request, after });
      },
    ),
  ];
}

async function eventPage(
  { ctx }: ApiParts,
  principal: Principal,
  query: EventQuery,
  signal: AbortSignal,
): Promise<Reply> {
  const filter = filterOf(query);
  const deadlineMs = ctx.clock.monotonicMs() + query.waitMs;
  const seen = (query.after === undefined ? null : parsePosition(query.after)) ?? positionNow(ctx);
  await reachForEvents(ctx, seen);
  let after = seen.revision;
  for (;;) {
    const { items, next } = readEvents(ctx, principal, { after, filter, limit: query.limit });
    const leftMs = deadlineMs - ctx.clock.monotonicMs();
    if (items.length > 0 || leftMs <= 0 || signal.aborted) {
      return { status: 200, body: { items, next: positionText(positionNow(ctx, next)) }, revision: next };
    }
    after = next;
    await ctx.mirror.waitFor(next + 1, { timeoutMs: leftMs, signal });
  }
}

async function followEvents(
  { ctx }: ApiParts,
  principal: Principal,
  request: { query: EventQuery; after: StatePosition | null; origin: Origin; lasting: Lasting },
): Promise<Response> {
  const {
    origin: { requestId },
    lasting,
  } = request;
  const { signal } = lasting;
  const batches = watchEvents(ctx, principal, { after: request.after, filter: filterOf(request.query), signal });
  // The first batch is there at once; taking it now lets a refusal be an answer rather than a broken stream.
  const first = await batches.next();
  // A generator that nobody asks for more doesn't see the signal; it has to be told to let go of its subscription.
  signal.addEventListener('abort', () => void batches.return(undefined), { once: true });
  const idOf = (revision: number) => positionText(positionNow(ctx, revision));
  let revision = ctx.mirror.revision;
  async function* texts(): AsyncGenerator<string, void> {
    if (!first.done) yield batchText(first.value, idOf);
    for await (const batch of batches) {
      revision = batch.revision;
      const text = batchText(batch, idOf);
      if (text !== '') yield text;
    }
  }
  // The position goes along with the heartbeat, so that one whose filter lets little through doesn't fall behind.
  const heartbeat = () => `: still here\nid: ${idOf(revision)}\n\n`;
  return eventStream(texts(), { ctx, requestId, lasting, heartbeat });
}

/** Only the last event of a revision carries its id: who resumes after it has seen all of them. */
export function batchText({ events }: EventBatch, idOf: (revision: number) => string): string {
  return events
    .map((event, index) => {
      const isLast = events[index + 1]?.revision !== event.revision;
      return sentEvent({ event: event.type, data: event, ...(isLast && { id: idOf(event.revision) }) });
    })
    .join('');
}

function filterOf({ type, role, job, node, task }: EventQuery): EventFilter {
  return { types: type ?? null, role: role ?? null, job: job ?? null, node: node ?? null, task: task ?? null };
}
