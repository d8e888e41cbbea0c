/** `/v1/deployments`, and those of one job. */
import { z } from 'zod';
import { DEPLOYMENT_VIEW_STATES, deploymentViewSchema } from '../../../shared/protocol/deployments.ts';
import { nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import { abortBodySchema } from '../../../shared/protocol/job-changes.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import {
  abortDeployment,
  getDeployment,
  listDeployments,
  listDeploymentsOf,
  pauseDeployment,
  promoteDeployment,
  resumeDeployment,
} from '../../services/deployments.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo, roleQuery } from './answers.ts';

const base = { tag: 'Deployments', admits: ['user'] } as const;
const params = z.object({
  id: z.string().regex(/^[a-z0-9]{1,64}-d[1-9][0-9]{0,8}$/, 'must be the id of a deployment'),
});
const answers = { 200: { description: 'The deployment.', schema: deploymentViewSchema } };
const page = { 200: { description: 'One page of deployments.', schema: pageOf(deploymentViewSchema) } };
const byId = { ...base, params, answers };
const change = { ...byId, method: 'post', bodyOptional: true, repeatable: true } as const;

export function deploymentEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...readingEndpoints(parts), ...steeringEndpoints(parts)];
}

function readingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/deployments',
        summary: 'List deployments, the newest first',
        query: z.strictObject({
          job: nameSchema.optional().describe('The name or the uid of a job.'),
          role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
          state: z
            .array(z.enum(DEPLOYMENT_VIEW_STATES))
            .min(1)
            .max(DEPLOYMENT_VIEW_STATES.length)
            .optional()
            .describe('May be repeated.'),
          ...pageQuery,
        }),
        answers: page,
      },
      ({ principal, query }) => {
        const filter = { job: query.job ?? null, role: query.role ?? null, states: query.state ?? null };
        return { status: 200, body: listDeployments(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      { ...byId, method: 'get', path: '/v1/deployments/{id}', summary: 'Read a deployment' },
      ({ principal, params }) => ({ status: 200, body: getDeployment(ctx, principal, params.id) }),
    ),
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/jobs/{name}/deployments',
        summary: "List a job's deployments, the newest first",
        params: z.object({ name: nameSchema }),
        query: z.strictObject({ ...roleQuery, ...pageQuery }),
        answers: page,
      },
      ({ principal, params, query }) => {
        const key = { role: query.role, name: params.name };
        return { status: 200, body: listDeploymentsOf(ctx, principal, key, pageOfQuery(query)) };
      },
    ),
  ];
}

function steeringEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...change,
        path: '/v1/deployments/{id}/promote',
        summary: 'Promote a deployment',
        description: 'What has been tried out follows everywhere: the rest of a canary, the new set of blue-green.',
        query: z.strictObject({ force: z.boolean().default(false).describe('Even if not all of it is healthy.') }),
        body: z.strictObject({}),
      },
      async ({ call, params, query }) => replyTo(await promoteDeployment(ctx, call, params.id, query)),
    ),
    endpoint(
      {
        ...change,
        path: '/v1/deployments/{id}/pause',
        summary: 'Pause a deployment',
        description: 'It makes and stops nothing until it is resumed.',
        body: z.strictObject({}),
      },
      async ({ call, params }) => replyTo(await pauseDeployment(ctx, call, params.id)),
    ),
    endpoint(
      {
        ...change,
        path: '/v1/deployments/{id}/resume',
        summary: 'Resume a deployment',
        body: z.strictObject({}),
      },
      async ({ call, params }) => replyTo(await resumeDeployment(ctx, call, params.id)),
    ),
    endpoint(
      {
        ...change,
        path: '/v1/deployments/{id}/abort',
        summary: 'Abort a deployment',
        description: 'Ends it halfway, and rolls out again what was wanted before, unless the body says otherwise.',
        body: abortBodySchema,
      },
      async ({ call, params, body }) => replyTo(await abortDeployment(ctx, call, params.id, body)),
    ),
  ];
}
