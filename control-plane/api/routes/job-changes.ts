/** `/v1/jobs/{name}/…`: what is done to services and system jobs that stand. */
import { z } from 'zod';
import { nameSchema } from '../../../shared/protocol/job.ts';
import { forceQuery, revertBodySchema, scaleBodySchema } from '../../../shared/protocol/job-changes.ts';
import {
  restartJob,
  resumeJob,
  retryJob,
  revertJob,
  type ScaleWish,
  scaleJob,
  suspendJob,
} from '../../services/job-changes.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { jobAnswer, jobReply, roleQuery, stopBodySchema } from './answers.ts';

const named = {
  tag: 'Jobs',
  admits: ['user'],
  method: 'post',
  params: z.object({ name: nameSchema }),
  bodyOptional: true,
  repeatable: true,
  answers: { 200: jobAnswer },
} as const;
const byName = { ...named, query: z.strictObject(roleQuery) };
const forced = { ...named, query: z.strictObject({ ...roleQuery, ...forceQuery }), conditions: ['If-Match'] } as const;

export function jobChangeEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...versionEndpoints(parts), ...suspensionEndpoints(parts), retryEndpoint(parts)];
}

/** Each makes the next version, and a deployment that rolls it out. */
function versionEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...forced,
        path: '/v1/jobs/{name}/scale',
        summary: 'Scale a service',
        description: 'Says how many tasks a group is to have. What runs goes on as it is.',
        body: scaleBodySchema,
        bodyOptional: false,
      },
      async ({ call, params, query, body, ifVersion }) => {
        const wish = scaleWish(body);
        return jobReply(await scaleJob(ctx, call, keyOf(params, query), { ...wish, ifVersion, force: query.force }));
      },
    ),
    endpoint(
      {
        ...forced,
        path: '/v1/jobs/{name}/restart',
        summary: 'Restart a service',
        description: 'Every task is exchanged for a new one that is made from the same, by a deployment.',
        body: z.strictObject({}),
      },
      async ({ call, params, query, ifVersion }) =>
        jobReply(await restartJob(ctx, call, keyOf(params, query), { ifVersion, force: query.force })),
    ),
    endpoint(
      {
        ...forced,
        path: '/v1/jobs/{name}/revert',
        summary: 'Go back to an earlier version',
        description: 'Makes the next version, which wants what the earlier one did. Tasks of that which run go on.',
        body: revertBodySchema,
      },
      async ({ call, params, query, body, ifVersion }) => {
        const options = { version: body.version ?? null, ifVersion, force: query.force };
        return jobReply(await revertJob(ctx, call, keyOf(params, query), options));
      },
    ),
  ];
}

function suspensionEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...forced,
        path: '/v1/jobs/{name}/suspend',
        summary: 'Suspend a service',
        description: 'Stops all that runs of it, and keeps it so until it is resumed.',
        body: stopBodySchema,
      },
      async ({ call, params, query, body, ifVersion }) => {
        const options = { reason: body.reason, ifVersion, force: query.force };
        return jobReply(await suspendJob(ctx, call, keyOf(params, query), options));
      },
    ),
    endpoint(
      {
        ...byName,
        path: '/v1/jobs/{name}/resume',
        summary: 'Resume a service',
        body: z.strictObject({}),
        conditions: ['If-Match'],
      },
      async ({ call, params, query, ifVersion }) =>
        jobReply(await resumeJob(ctx, call, keyOf(params, query), { ifVersion })),
    ),
  ];
}

function retryEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...byName,
      path: '/v1/jobs/{name}/retry',
      summary: 'Retry a service at once',
      description: 'Tasks that wait, since others of their place have gone wrong, wait no longer.',
      body: z.strictObject({}),
    },
    async ({ call, params, query }) => jobReply(await retryJob(ctx, call, keyOf(params, query))),
  );
}

function keyOf({ name }: { readonly name: string }, { role }: { readonly role: string }) {
  return { role, name };
}

/** The schema has seen to it that it says one of the two. */
function scaleWish({ group, count, by }: z.output<typeof scaleBodySchema>): ScaleWish {
  return { group: group ?? null, to: count === undefined ? { by: by ?? 0 } : { count } };
}
