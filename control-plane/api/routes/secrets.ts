/** `/v1/secrets`: what is kept in confidence for roles, without what it says; and how it is brought under another envelope key. */
import { z } from 'zod';
import { nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import {
  resealViewSchema,
  type SecretView,
  secretRequestSchema,
  secretViewSchema,
} from '../../../shared/protocol/secrets.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import type { Answer } from '../../services/context.ts';
import { reseal } from '../../services/resealing.ts';
import { deleteSecret, getSecret, listSecrets, setSecret } from '../../services/secrets.ts';
import { type Endpoint, endpoint, type Reply } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { etag, pageOfQuery, pageQuery, replyTo } from './answers.ts';

const base = { tag: 'Secrets', admits: ['user'] } as const;
const ofRole = { role: roleSchema.default('default').describe("The secret's role.") };
const byName = { ...base, path: '/v1/secrets/{name}', params: z.object({ name: nameSchema }) } as const;
const headers = { ETag: 'Its version, in quotes.' };
const secretAnswer = { description: 'The secret, without what it says.', schema: secretViewSchema, headers };

export function secretEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...readingEndpoints(parts), ...writingEndpoints(parts), resealEndpoint(parts)];
}

function readingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/secrets',
        summary: 'List secrets',
        description: 'Their names and versions, never what they say, which no call shows. Takes `secret:read`.',
        query: z.strictObject({
          role: roleSchema.optional().describe('Of this role and those below it. Absent: all that the token may see.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of secrets.', schema: pageOf(secretViewSchema) } },
      },
      ({ principal, query }) => {
        const filter = { role: query.role ?? null };
        return { status: 200, body: listSecrets(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...byName,
        method: 'get',
        summary: 'Read what is known of a secret',
        description: 'Not what it says. Takes `secret:read`.',
        query: z.strictObject(ofRole),
        answers: { 200: secretAnswer },
      },
      ({ principal, params, query }) => {
        const secret = getSecret(ctx, principal, { role: query.role, name: params.name });
        return { status: 200, body: secret, headers: { etag: etag(secret.version) } };
      },
    ),
  ];
}

function writingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...byName,
        method: 'put',
        summary: 'Set a secret',
        description:
          'It is sealed before it is stored. Tasks that run keep what they were given; each run that starts from now on gets this. Takes `secret:write`.',
        query: z.strictObject(ofRole),
        body: secretRequestSchema,
        isConfidential: true,
        conditions: ['If-Match', 'If-None-Match'],
        answers: { 200: secretAnswer, 201: secretAnswer },
      },
      async ({ call, params, query, body, ifVersion, onlyCreate }) => {
        const key = { role: query.role, name: params.name };
        return secretReply(await setSecret(ctx, call, key, body, { ifVersion, onlyCreate }));
      },
    ),
    endpoint(
      {
        ...byName,
        method: 'delete',
        summary: 'Remove a secret',
        description: 'Refused, unless forced, while a job names it. Takes `secret:write`.',
        query: z.strictObject({
          ...ofRole,
          force: z.boolean().default(false).describe('Also while jobs name it: their next tasks end as `error`.'),
        }),
        conditions: ['If-Match'],
        answers: { 200: { ...secretAnswer, description: 'The secret that was, without what it said.' } },
      },
      async ({ call, params, query, ifVersion }) => {
        const key = { role: query.role, name: params.name };
        return secretReply(await deleteSecret(ctx, call, key, { ifVersion, force: query.force }));
      },
    ),
  ];
}

function resealEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      tag: 'Cluster',
      admits: ['user'],
      method: 'post',
      path: '/v1/cluster/reseal',
      summary: 'Bring what is sealed under the first envelope key',
      description:
        "Secrets and the control plane's own signing keys, some at each call: call again until nothing is left. Then the other keys can be taken from the replicas. Takes `secret:reseal`.",
      body: z.strictObject({}).meta({ id: 'ResealRequest' }),
      bodyOptional: true,
      answers: { 200: { description: 'What was done, and what is left.', schema: resealViewSchema } },
    },
    async ({ principal }) => {
      const { revision, ...body } = await reseal(ctx, principal);
      return { status: 200, body, revision };
    },
  );
}

function secretReply(answer: Answer<SecretView>): Reply {
  return replyTo(answer, { etag: etag(answer.body.version) });
}
