/** `/v1/maintenance`: when nodes are to be taken out of service, and what frameworks answer to that. */
import { z } from 'zod';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import {
  maintenanceAnsweredSchema,
  maintenanceAnswerSchema,
  maintenanceRequestSchema,
  maintenanceViewSchema,
} from '../../../shared/protocol/maintenance.ts';
import { nodeViewSchema, pageOf } from '../../../shared/protocol/views.ts';
import { clearMaintenance, listMaintenance, setMaintenance } from '../../services/maintenance.ts';
import { answerMaintenance } from '../../services/maintenance-answers.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo } from './answers.ts';
import { frameworkBase, frameworkParams, sessionAnswers } from './frameworks.ts';

const base = { tag: 'Nodes', admits: ['user'] } as const;
const byId = { ...base, path: '/v1/nodes/{id}/maintenance', params: z.object({ id: nodeIdSchema }) } as const;

export function maintenanceEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [listEndpoint(parts), ...changeEndpoints(parts), answerEndpoint(parts)];
}

function listEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...base,
      method: 'get',
      path: '/v1/maintenance',
      summary: 'List maintenance windows',
      description: 'Those that are coming or running, and what the frameworks that they concern have answered.',
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'One page of windows, by node.', schema: pageOf(maintenanceViewSchema) } },
    },
    ({ principal, query }) => ({ status: 200, body: listMaintenance(ctx, principal, pageOfQuery(query)) }),
  );
}

function changeEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...byId,
        method: 'put',
        summary: 'Say when a node is to be taken out of service',
        description:
          'Nothing is stopped by it: from the start to the end of the window the node is given nothing new and offered to nobody, and offers made before tell of it. Frameworks that have tasks or offers there are asked what they say to it. Whatever was said before is replaced.',
        body: maintenanceRequestSchema,
        answers: { 200: { description: 'The window.', schema: maintenanceViewSchema } },
      },
      async ({ call, params, body: { startsAt, durationSeconds } }) => {
        const durationMs = durationSeconds === null ? null : Math.round(durationSeconds * 1000);
        const time = { startsAtMs: Date.parse(startsAt), durationMs };
        return replyTo(await setMaintenance(ctx, call, params.id, time));
      },
    ),
    endpoint(
      {
        ...byId,
        method: 'delete',
        summary: "Take back a node's maintenance window",
        description: 'One that is running ends by that. A node without one is left as it is.',
        answers: { 200: { description: 'The node.', schema: nodeViewSchema } },
      },
      async ({ call, params }) => replyTo(await clearMaintenance(ctx, call, params.id)),
    ),
  ];
}

function answerEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'post',
      path: '/v1/frameworks/{id}/maintenance',
      summary: 'Answer a notice of maintenance',
      description:
        'It binds nobody, and is shown to whoever plans the maintenance. After `refuseSeconds` the framework is told of it again, and may answer otherwise. Harmless to repeat.',
      params: frameworkParams,
      body: maintenanceAnswerSchema,
      answers: {
        200: { description: 'What was noted.', schema: maintenanceAnsweredSchema },
        ...sessionAnswers,
        409: { description: 'Its window was changed, was taken back, or is over: `conflict`; or `session-moved`.' },
      },
    },
    async ({ call, params, body }) => {
      return { status: 200, body: await answerMaintenance(ctx, call, { id: params.id, ...body }) };
    },
  );
}
