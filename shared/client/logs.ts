/** A task's output, line by line, resumed after the last line that came when a connection breaks. */
import { z } from 'zod';
import { TASK_STATES, type TaskState } from '../domain/task.ts';
import type { LogLine } from '../protocol/agent.ts';
import { UnexpectedAnswerError } from './errors.ts';
import { readStream } from './stream.ts';
import type { Transport } from './transport.ts';

export interface LogQuery {
  /** Go on until the task ends; one that hasn't started is waited for. */
  readonly follow: boolean;
  /** Only the last so many lines of what there is. */
  readonly tail?: number | undefined;
  /** Only lines after this time (RFC 3339), or of the last so long (`5m`). */
  readonly since?: string | undefined;
  readonly signal: AbortSignal;
}

export type LogEvent =
  | { readonly kind: 'line'; readonly line: LogLine }
  /** The output is complete as far as it was asked for. The state is the task's at that time. */
  | { readonly kind: 'end'; readonly state: TaskState; readonly exitCode: number | null }
  /** The output, or the rest of it, can't be had now: why, and whether that passes. Nothing follows. */
  | { readonly kind: 'error'; readonly message: string; readonly isPassing: boolean };

const lineSchema: z.ZodType<LogLine> = z.object({
  at: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
  continues: z.boolean().optional(),
  error: z.string().optional(),
});
const endSchema = z.object({ state: z.enum(TASK_STATES), exitCode: z.number().int().nullable() });
const errorSchema = z.object({ message: z.string(), retryAfterSeconds: z.number().optional() });

/** Yields lines, and last of all one `end` or `error`, unless the signal is aborted before. */
export async function* readLogs(transport: Transport, task: string, query: LogQuery): AsyncGenerator<LogEvent, void> {
  let last: string | null = null;
  const request = () => {
    const path = `/v1/tasks/${encodeURIComponent(task)}/logs`;
    // What was asked for at first is counted from then; a resumed stream goes on from the last line instead.
    const window = last === null ? { tail: query.tail, since: query.since } : {};
    const headers: Record<string, string> = last === null ? {} : { 'Last-Event-ID': last };
    return { method: 'GET', path, query: { follow: query.follow, ...window }, headers, repeat: 'safe' } as const;
  };
  for await (const event of readStream(transport, { request, signal: query.signal })) {
    if (event.data === null) continue;
    const parsed = parseLogEvent(transport.options.address, event.type, event.data);
    if (parsed === null) continue;
    if (event.id !== null) last = event.id;
    yield parsed;
    if (parsed.kind !== 'line') return;
  }
}

/** Null: an event of a kind that a newer server has and this client can do without. */
function parseLogEvent(address: string, type: string, data: string): LogEvent | null {
  const parse = <S extends z.ZodType>(schema: S): z.output<S> => {
    try {
      return schema.parse(JSON.parse(data));
    } catch {
      throw new UnexpectedAnswerError(
        address,
        `a log event that this client doesn't understand: ${data.slice(0, 200)}`,
      );
    }
  };
  switch (type) {
    case 'log':
      return { kind: 'line', line: parse(lineSchema) };
    case 'end':
      return { kind: 'end', ...parse(endSchema) };
    case 'error': {
      const { message, retryAfterSeconds } = parse(errorSchema);
      return { kind: 'error', message, isPassing: retryAfterSeconds !== undefined };
    }
    default:
      return null;
  }
}
