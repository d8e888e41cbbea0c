/** `/v1/tasks/{id}/logs`: a task's output as plain text, or as events that a client can resume. */

import { z } from 'zod';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { bodyStream } from '../../../shared/util/body-stream.ts';
import { utcTime } from '../../../shared/util/utc-time.ts';
import type { Lasting } from '../../auth/lasting.ts';
import { LogInterrupted } from '../../services/log-relay.ts';
import { awaitTaskEnd, openTaskLogs } from '../../services/task-logs.ts';
import { type Endpoint, endpoint, invalidRequest } from '../http/endpoint.ts';
import { problemOf } from '../http/problem.ts';
import { SSE_HEADERS, sentEvent } from '../http/server-sent-events.ts';
import { negotiated } from '../input/accept.ts';
import type { ApiParts } from '../parts.ts';
import { taskParams } from './tasks.ts';

const PLAIN = 'text/plain';
const EVENTS = 'text/event-stream';

/** The report of a task's end may be that much later than the end of its output. */
const END_REPORT_MS = 10_000;

const TAIL_MAX = 1_000_000;
const DURATION = /^(?:\d{1,9}(?:ms|s|m|h|d))+$/;
const SINCE_RULE = 'must be a time such as 2030-01-31T12:00:00Z, or a duration such as 90s, 5m or 1h30m';

export function taskLogEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        tag: 'Tasks',
        admits: ['user'],
        method: 'get',
        path: '/v1/tasks/{id}/logs',
        summary: "Read a task's output",
        description:
          'As text: standard output and error as they came. As events: `log` with a line and its time as id, then `end` with the state and exit code of the task, or `error` (with `retryAfterSeconds` where a later try may do; a whole Problem once the token has ended); resumes from the header Last-Event-ID.',
        params: taskParams,
        query: z.strictObject({
          follow: z.boolean().default(false).describe('Go on until the task ends; wait for one that has not started.'),
          tail: z
            .number()
            .int()
            .min(0)
            .max(TAIL_MAX)
            .optional()
            .describe('Only the last so many lines of what there is.'),
          since: z
            .string()
            .max(64)
            .refine(isSince, SINCE_RULE)
            .optional()
            .describe(`Only lines after it: ${SINCE_RULE}.`),
          timestamps: z.boolean().default(false).describe('Put its time before each line of text.'),
        }),
        answers: { 200: { description: 'The output.', text: [PLAIN, EVENTS] } },
      },
      async (request) => {
        const { principal, params, query } = request;
        const type = negotiated(request.request.headers.get('accept'), [PLAIN, EVENTS]);
        const window = windowOf(query, request.request.headers.get('last-event-id'), parts.ctx.clock.now());
        const headers = type === EVENTS ? SSE_HEADERS : PLAIN_HEADERS;
        // A HEAD request is answered as a GET whose body nobody reads: nothing is opened for it.
        if (request.request.method === 'HEAD') return new Response(null, { headers });
        const { requestId } = request.origin;
        const { lasting } = request;
        const read = { task: params.id, follow: query.follow, ...window, signal: lasting.signal };
        const lines = await openTaskLogs(parts.ctx, parts.relay, principal, read);
        const source =
          type === EVENTS
            ? logEvents(parts, lines, { ...read, requestId, lasting })
            : plainText(lines, { timestamps: query.timestamps, lasting });
        const heartbeat = type === EVENTS ? () => ': still here\n\n' : null;
        return new Response(bodyStream(source, { clock: parts.ctx.clock, over: lasting.over, heartbeat }), { headers });
      },
    ),
  ];
}

const PLAIN_HEADERS = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' } as const;

interface Reading {
  readonly task: string;
  readonly follow: boolean;
  readonly tail: number | null;
  readonly since: string | null;
  readonly signal: AbortSignal;
}

/** A client that resumes has its position in the stream; what it asked for at first was counted from then. */
function windowOf(
  { tail, since }: { tail?: number | undefined; since?: string | undefined },
  lastEventId: string | null,
  nowMs: number,
): { tail: number | null; since: string | null } {
  if (lastEventId === null) return { tail: tail ?? null, since: since === undefined ? null : sinceTime(since, nowMs) };
  const position = utcTime(lastEventId);
  if (position !== null) return { tail: null, since: position };
  throw invalidRequest([{ path: 'header:Last-Event-ID', message: 'must be the id of an event of this stream' }]);
}

function isSince(text: string): boolean {
  return utcTime(text) !== null || DURATION.test(text);
}

/** In UTC, since agents compare times as texts; a time keeps all its digits, and a duration counts back from now. */
export function sinceTime(text: string, nowMs: number): string {
  const time = utcTime(text);
  if (time !== null) return time;
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
  const backMs = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNIT_MS[unit ?? ''] ?? 0), 0);
  return new Date(Math.max(0, nowMs - backMs)).toISOString();
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

async function* plainText(
  batches: AsyncIterable<readonly LogLine[]>,
  { timestamps, lasting }: { timestamps: boolean; lasting: Lasting },
): AsyncGenerator<string, void> {
  for await (const lines of batches) yield lines.map((line) => plainLine(line, timestamps)).join('');
  if (lasting.tokenOver !== null) yield lastWords(lasting.tokenOver.message);
}

function plainLine({ at, text, error }: LogLine, timestamps: boolean): string {
  const time = timestamps && at !== '' ? `${at} ` : '';
  const output = error === undefined || text !== '' ? `${time}${text}\n` : '';
  return error === undefined ? output : `${output}${lastWords(error)}`;
}

function lastWords(why: string): string {
  return `berth: the output ends here: ${why}\n`;
}

async function* logEvents(
  parts: ApiParts,
  batches: AsyncIterable<readonly LogLine[]>,
  read: Reading & { readonly requestId: string; readonly lasting: Lasting },
): AsyncGenerator<string, void> {
  const { lasting, requestId, signal } = read;
  try {
    for await (const lines of batches) {
      yield lines.map(lineEvent).join('');
      if (lines.at(-1)?.error !== undefined) return;
    }
    if (lasting.tokenOver !== null) throw lasting.tokenOver;
    yield await lastEvent(parts, read);
  } catch (error) {
    const { tokenOver } = lasting;
    // What broke off goes on somewhere: the body breaks off too, and the client resumes after the last line it has.
    if (tokenOver === null && (error instanceof LogInterrupted || signal.aborted)) throw error;
    const problem = problemOf(tokenOver ?? error, requestId, parts.ctx.log);
    const { code, detail: message, retryAfterSeconds } = problem;
    // Of a token that is no longer good it is a whole problem, as with every other stream: nothing is wrong with the output.
    const data = { ...(tokenOver !== null && problem), code, message, retryAfterSeconds };
    yield sentEvent({ event: 'error', data });
  }
}

function lineEvent(line: LogLine): string {
  // Whoever resumes gets what is later than the last id: one in the middle of a line would lose the rest of it.
  const position = utcTime(line.at) !== null && line.continues !== true ? { id: line.at } : {};
  if (line.error === undefined) return sentEvent({ event: 'log', data: line, ...position });
  const { error, ...rest } = line;
  const last = rest.text === '' ? '' : sentEvent({ event: 'log', data: rest, ...position });
  return `${last}${sentEvent({ event: 'error', data: { code: 'conflict', message: error } })}`;
}

async function lastEvent({ ctx }: ApiParts, { task, follow, signal }: Reading): Promise<string> {
  const end = await awaitTaskEnd(ctx, task, { waitMs: follow ? END_REPORT_MS : 0, signal });
  if (end === null) {
    return sentEvent({ event: 'error', data: { code: 'not-found', message: `task "${task}" is no longer on record` } });
  }
  if (follow && !isTerminal(end.state)) throw new LogInterrupted(`the output of task "${task}" ended before the task`);
  return sentEvent({ event: 'end', data: end });
}
