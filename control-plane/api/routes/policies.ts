/** `/v1/policies`. */
import { z } from 'zod';
import { policyNameSchema, policyRequestSchema, policyViewSchema } from '../../../shared/protocol/policies.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import type { Answer } from '../../services/context.ts';
import { deletePolicy, getPolicy, listPolicies, setPolicy } from '../../services/policies.ts';
import { type Endpoint, endpoint, type Reply } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { etag, pageOfQuery, pageQuery, replyTo } from './answers.ts';

const base = { tag: 'Access', admits: ['user'] } as const;
const byName = { ...base, path: '/v1/policies/{name}', params: z.object({ name: policyNameSchema }) } as const;
const policyAnswer = {
  description: 'The policy.',
  schema: policyViewSchema,
  headers: { ETag: 'Its version, in quotes.' },
};

export function policyEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/policies',
        summary: 'List trust policies',
        description: 'Takes `policy:read`.',
        query: z.strictObject(pageQuery),
        answers: { 200: { description: 'One page of policies.', schema: pageOf(policyViewSchema) } },
      },
      ({ principal, query }) => ({ status: 200, body: listPolicies(ctx, principal, pageOfQuery(query)) }),
    ),
    endpoint(
      {
        ...byName,
        method: 'get',
        summary: 'Read a trust policy',
        description: 'Takes `policy:read`.',
        answers: { 200: policyAnswer },
      },
      ({ principal, params }) => {
        const policy = getPolicy(ctx, principal, params.name);
        return { status: 200, body: policy, headers: { etag: etag(policy.version) } };
      },
    ),
    endpoint(
      {
        ...byName,
        method: 'put',
        summary: 'Set a trust policy',
        description:
          'Replaces all of it, at once; tokens that were given before hold until they expire. Takes `policy:write`, and every action in every role that its rules give. A rule that would hold for whoever the issuer knows is refused, unless it says that this is meant.',
        body: policyRequestSchema,
        conditions: ['If-Match', 'If-None-Match'],
        answers: { 200: policyAnswer, 201: { ...policyAnswer, description: 'The policy, which is new.' } },
      },
      async ({ call, params, body, ifVersion, onlyCreate }) =>
        policyReply(await setPolicy(ctx, call, { name: params.name, request: body }, { ifVersion, onlyCreate })),
    ),
    endpoint(
      {
        ...byName,
        method: 'delete',
        summary: 'Remove a trust policy',
        description: 'Tokens that were given by it hold until they expire. Takes `policy:write`.',
        conditions: ['If-Match'],
        answers: { 200: { ...policyAnswer, description: 'The policy, as it was.' } },
      },
      async ({ call, params, ifVersion }) => policyReply(await deletePolicy(ctx, call, params.name, { ifVersion })),
    ),
  ];
}

function policyReply(answer: Answer<{ readonly version: number }>): Reply {
  return replyTo(answer, { etag: etag(answer.body.version) });
}
