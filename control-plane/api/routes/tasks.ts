/** `/v1/tasks`, but for their output. */
import { z } from 'zod';
import { TASK_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { isTerminal, TASK_STATES, type TaskState } from '../../../shared/domain/task.ts';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import { nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import { pageOf, taskViewSchema } from '../../../shared/protocol/views.ts';
import { getTask, listTasks, stopTask } from '../../services/tasks.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo, stopBodySchema } from './answers.ts';

const LIVE = 'live';

export const taskParams = z.object({ id: z.string().regex(TASK_ID_PATTERN, 'must be the id of a task') });
const base = { tag: 'Tasks', admits: ['user'] } as const;

export function taskEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/tasks',
        summary: 'List tasks',
        query: z.strictObject({
          job: nameSchema.optional().describe('The name or the uid of a job.'),
          framework: nameSchema.optional().describe('The name or the id of a framework.'),
          role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
          node: nodeIdSchema.optional(),
          state: z
            .array(z.enum([...TASK_STATES, LIVE]))
            .min(1)
            .max(TASK_STATES.length + 1)
            .optional()
            .describe('May be repeated; `live` is all that have not ended.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of tasks.', schema: pageOf(taskViewSchema) } },
      },
      ({ principal, query }) => {
        const { job, framework, role, node } = query;
        const owner = { job: job ?? null, framework: framework ?? null };
        const filter = { ...owner, role: role ?? null, node: node ?? null, states: statesOf(query.state) };
        return { status: 200, body: listTasks(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/tasks/{id}',
        summary: 'Read a task',
        description: 'While it is pending, with the answer to why.',
        params: taskParams,
        answers: { 200: { description: 'The task.', schema: taskViewSchema } },
      },
      ({ principal, params }) => ({ status: 200, body: getTask(ctx, principal, params.id) }),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/tasks/{id}/stop',
        summary: 'Stop a task',
        description: 'It counts as killed and is not retried.',
        params: taskParams,
        body: stopBodySchema,
        bodyOptional: true,
        repeatable: true,
        answers: { 200: { description: 'The task.', schema: taskViewSchema } },
      },
      async ({ call, params, body }) => replyTo(await stopTask(ctx, call, params.id, { reason: body.reason })),
    ),
  ];
}

function statesOf(wanted: readonly (TaskState | typeof LIVE)[] | undefined): readonly TaskState[] | null {
  if (wanted === undefined) return null;
  return TASK_STATES.filter((state) => wanted.includes(state) || (wanted.includes(LIVE) && !isTerminal(state)));
}
