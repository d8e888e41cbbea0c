/** `/v1/roles` and `/v1/settings`. */
import { z } from 'zod';
import { roleSchema } from '../../../shared/protocol/job.ts';
import {
  roleRequestSchema,
  roleViewSchema,
  settingsRequestSchema,
  settingsViewSchema,
} from '../../../shared/protocol/roles.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import type { Answer } from '../../services/context.ts';
import { getRole, listRoles, setRole, unsetRole } from '../../services/roles.ts';
import { getSettings, setSettings } from '../../services/settings.ts';
import { type Endpoint, endpoint, type Reply } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { etag, pageOfQuery, pageQuery, replyTo } from './answers.ts';

const base = { tag: 'Roles', admits: ['user'] } as const;
const byPath = { ...base, path: '/v1/roles/{path}', isGreedy: true, params: z.object({ path: roleSchema }) } as const;
const roleAnswer = {
  200: {
    description: 'The role.',
    schema: roleViewSchema,
    headers: { ETag: 'The version of what is set, in quotes.' },
  },
};
const SLASHES = 'The slashes of the path may be written as they are or as `%2F`.';

export function roleEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...readingEndpoints(parts), ...writingEndpoints(parts), ...settingsEndpoints(parts)];
}

function readingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/roles',
        summary: 'List roles',
        description:
          'Those that something is set for or something is in, and those above them, as far as the token reaches: what each may have, what it holds, and what it is due. Takes `role:read`.',
        query: z.strictObject({
          role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of roles.', schema: pageOf(roleViewSchema) } },
      },
      ({ principal, query }) => {
        const filter = { below: query.role ?? null };
        return { status: 200, body: listRoles(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      { ...byPath, method: 'get', summary: 'Read a role', description: SLASHES, answers: roleAnswer },
      ({ principal, params }) => {
        const role = getRole(ctx, principal, params.path);
        return { status: 200, body: role, headers: { etag: etag(role.version) } };
      },
    ),
  ];
}

function writingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...byPath,
        method: 'put',
        summary: "Set a role's weight, limit and guarantee",
        description: `Replaces all that was set; what is left out goes back to its default. A guarantee must fit into the limits and guarantees above it. Refused unless forced: a promise that the nodes have too little for, a limit below what is held in tasks and reservations, a name that no node declares. Takes \`role:write\`. ${SLASHES}`,
        body: roleRequestSchema,
        conditions: ['If-Match', 'If-None-Match'],
        answers: roleAnswer,
      },
      async ({ call, params, body, ifVersion, onlyCreate }) =>
        versionReply(await setRole(ctx, call, params.path, body, { ifVersion, onlyCreate })),
    ),
    endpoint(
      {
        ...byPath,
        method: 'delete',
        summary: 'Take back what is set for a role',
        description: `Its weight is 1 again, without a limit or a guarantee. What it holds stays. Takes \`role:write\`. ${SLASHES}`,
        conditions: ['If-Match'],
        answers: roleAnswer,
      },
      async ({ call, params, ifVersion }) => versionReply(await unsetRole(ctx, call, params.path, { ifVersion })),
    ),
  ];
}

const settingsAnswer = {
  200: { description: 'The settings.', schema: settingsViewSchema, headers: { ETag: 'Their version, in quotes.' } },
};

function settingsEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        tag: 'Cluster',
        admits: ['user'],
        method: 'get',
        path: '/v1/settings',
        summary: 'Read what is set for the cluster as a whole',
        description: 'Takes `settings:read`.',
        answers: settingsAnswer,
      },
      ({ principal }) => {
        const settings = getSettings(ctx, principal);
        return { status: 200, body: settings, headers: { etag: etag(settings.version) } };
      },
    ),
    endpoint(
      {
        tag: 'Cluster',
        admits: ['user'],
        method: 'put',
        path: '/v1/settings',
        summary: 'Set it',
        description: 'Replaces all of it; what is left out goes back to its default. Takes `settings:write`.',
        body: settingsRequestSchema,
        conditions: ['If-Match'],
        answers: settingsAnswer,
      },
      async ({ call, body, ifVersion }) => versionReply(await setSettings(ctx, call, body, { ifVersion })),
    ),
  ];
}

function versionReply(answer: Answer<{ readonly version: number }>): Reply {
  return replyTo(answer, { etag: etag(answer.body.version) });
}
