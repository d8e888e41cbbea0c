/** `/v1/jobs/{name}/explain`. */
import { z } from 'zod';
import { TASK_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { jobExplanationSchema } from '../../../shared/protocol/explanation.ts';
import { nameSchema } from '../../../shared/protocol/job.ts';
import { explainJobNow } from '../../services/job-explanation.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { roleQuery } from './answers.ts';

export function explanationEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        tag: 'Jobs',
        admits: ['user'],
        method: 'get',
        path: '/v1/jobs/{name}/explain',
        summary: "Say why a job isn't as it is wanted",
        description:
          'Of tasks that wait for a place: how many nodes each stage refuses, each node once, and the nearest miss. Beside that, what else holds the job up.',
        params: z.object({ name: nameSchema }),
        query: z.strictObject({
          ...roleQuery,
          task: z.string().regex(TASK_ID_PATTERN, 'must be the id of a task').optional().describe('Only this one.'),
        }),
        answers: { 200: { description: 'Why.', schema: jobExplanationSchema } },
      },
      ({ principal, params, query }) => ({
        status: 200,
        body: explainJobNow(ctx, principal, { name: params.name, role: query.role }, { task: query.task ?? null }),
      }),
    ),
  ];
}
