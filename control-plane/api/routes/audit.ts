/** `/v1/audit`: who did what, as pages from either end, or as a stream that can be taken up again after any record that is kept. */
import { z } from 'zod';
import { AUDIT_OUTCOMES } from '../../../shared/domain/audit.ts';
import {
  AUDIT_ORDERS,
  AUDITED_OBJECT_PATTERN,
  type AuditView,
  auditedObjectViewSchema,
  auditIdSchema,
  auditViewSchema,
} from '../../../shared/protocol/audit.ts';
import { roleSchema } from '../../../shared/protocol/job.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import { type AuditFilter, readAudit } from '../../services/audit-reading.ts';
import { type AuditStart, watchAudit } from '../../services/audit-stream.ts';
import type { Origin } from '../../services/origin.ts';
import { type Endpoint, endpoint, invalidRequest } from '../http/endpoint.ts';
import { eventStream, SSE_HEADERS, sentEvent } from '../http/server-sent-events.ts';
import { negotiated } from '../input/accept.ts';
import type { ApiParts } from '../parts.ts';
import { pageQuery } from './answers.ts';

const JSON_TYPE = 'application/json';
const EVENTS = 'text/event-stream';

const timeSchema = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-01-31T12:00:00Z' });

const auditQuery = z.strictObject({
  role: roleSchema.optional().describe('What was done to things of this role and of those below it.'),
  subject: z.string().min(1).max(512).optional().describe('Who did it.'),
  token: z.string().min(1).max(512).optional().describe('The id of the token that it was done with.'),
  object: z
    .string()
    .regex(AUDITED_OBJECT_PATTERN, 'must be a kind and an id, such as job/web or node/edge-1')
    .optional()
    .describe('What it was done to: a kind and an id, such as `job/web`.'),
  operation: z.string().min(1).max(200).optional().describe('A part of what was called, such as `PUT /v1/jobs`.'),
  outcome: z.enum(AUDIT_OUTCOMES).optional(),
  since: timeSchema.optional().describe('Only what was done from then on.'),
  until: timeSchema.optional().describe('Only what was done before then. Of pages.'),
  order: z.enum(AUDIT_ORDERS).default('newest').describe('Which end pages begin with.'),
  limit: pageQuery.limit,
  after: auditIdSchema.optional().describe('The cursor `next` of the page before.'),
});
type AuditQuery = z.output<typeof auditQuery>;

export function auditEndpoints(parts: ApiParts): readonly Endpoint[] {
  const { ctx } = parts;
  return [
    endpoint(
      {
        tag: 'Audit',
        admits: ['user'],
        method: 'get',
        path: '/v1/audit',
        summary: 'Read or follow who did what',
        description:
          'Takes the action `audit:read`: in a role, for what was done to things of it; in all roles, for everything. A page looks through some thousands of records and may hold few or none and still have a `next`. As events: each a record with its id, which the header Last-Event-ID resumes after; a record may come twice. Answers 410 when that record is not kept any more.',
        query: auditQuery,
        answers: {
          200: { description: 'Who did what.', schema: pageOf(auditViewSchema), text: [EVENTS] },
          410: { description: 'The record to go on after is not kept any more.' },
        },
      },
      async (request) => {
        const { principal, query } = request;
        const { headers, method } = request.request;
        const type = negotiated(headers.get('accept'), [JSON_TYPE, EVENTS]);
        const { order, limit, after = null } = query;
        const [sinceMs, untilMs] = [timeOf(query.since), timeOf(query.until)];
        const filter = filterOf(query);
        if (type === JSON_TYPE) {
          const body = await readAudit(ctx, principal, { filter, sinceMs, untilMs, order, limit, after });
          return { status: 200, body };
        }
        if (method === 'HEAD') return new Response(null, { headers: SSE_HEADERS });
        return followAudit(parts, principal, {
          ...request,
          filter,
          start: { after: lastRecord(headers) ?? after, sinceMs },
        });
      },
    ),
  ];
}

function timeOf(text: string | undefined): number | null {
  return text === undefined ? null : Date.parse(text);
}

function filterOf({ role, subject, token, object, operation, outcome }: AuditQuery): AuditFilter {
  return {
    role: role ?? null,
    subject: subject ?? null,
    token: token ?? null,
    object: object === undefined ? null : objectOf(object),
    operation: operation ?? null,
    outcome: outcome ?? null,
  };
}

function objectOf(text: string): AuditFilter['object'] {
  const slash = text.indexOf('/');
  const kind = auditedObjectViewSchema.shape.kind.safeParse(text.slice(0, slash));
  return kind.success ? { kind: kind.data, id: text.slice(slash + 1) } : null;
}

function lastRecord(headers: Headers): string | null {
  const text = headers.get('last-event-id');
  if (text === null || text === '') return null;
  if (auditIdSchema.safeParse(text).success) return text;
  throw invalidRequest([{ path: 'header:Last-Event-ID', message: 'must be the id of an event of this stream' }]);
}

async function followAudit(
  { ctx }: ApiParts,
  principal: Principal,
  request: { filter: AuditFilter; start: AuditStart; origin: Origin; lasting: Lasting },
): Promise<Response> {
  const { filter, start, origin, lasting } = request;
  const { signal } = lasting;
  const batches = watchAudit(ctx, principal, { filter, start, signal });
  // The first batch is there at once; taking it now lets a refusal be an answer rather than a broken stream.
  await batches.next();
  signal.addEventListener('abort', () => void batches.return(undefined), { once: true });
  async function* texts(): AsyncGenerator<string, void> {
    for await (const views of batches) if (views.length > 0) yield views.map(recordText).join('');
  }
  return eventStream(texts(), { ctx, requestId: origin.requestId, lasting, heartbeat: () => ': still here\n\n' });
}

function recordText(view: AuditView): string {
  return sentEvent({ event: 'audit', data: view, id: view.id });
}
