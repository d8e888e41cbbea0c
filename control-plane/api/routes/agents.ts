/** `/v1/agent`: what agents ask of the control plane; and `/v1/peer`, where replicas pass agents' streams on. */
import { z } from 'zod';
import { Refusal } from '../../../shared/domain/errors.ts';
import type { NodeId } from '../../../shared/domain/ids.ts';
import type { AssignmentPosition } from '../../../shared/protocol/agent.ts';
import {
  heartbeatRequestSchema,
  heartbeatResponseSchema,
  logLineSchema,
  messagesRequestSchema,
  messagesResponseSchema,
  registerRequestSchema,
  registerResponseSchema,
  statusesRequestSchema,
  statusesResponseSchema,
  taskIdentityResponseSchema,
  taskIdSchema,
  taskSecretsResponseSchema,
} from '../../../shared/protocol/agent-schemas.ts';
import { assignmentBody } from '../../../shared/protocol/assignment.ts';
import { isJoining, nodeOf as ownNode } from '../../auth/policy.ts';
import type { Principal } from '../../auth/principal.ts';
import { commitStatuses, heartbeat, registerNode } from '../../services/agents.ts';
import { waitForAssignment } from '../../services/assignments.ts';
import { takeMessages } from '../../services/messages.ts';
import { checkCredential, type NodeSession } from '../../services/session-check.ts';
import { identityOfTask } from '../../services/task-identity.ts';
import { secretsOfTask } from '../../services/task-secrets.ts';
import { mintNodeToken, renewNodeToken } from '../../services/tokens.ts';
import { type Endpoint, endpoint, invalidRequest, type Reply } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';

/** Shorter than most proxies' patience. */
const WAIT_MS_MAX = 60_000;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;
const NDJSON = 'application/x-ndjson';

const base = { tag: 'Agents', admits: ['node'], needsEpoch: true } as const;
const streamParams = z.object({ id: z.string().regex(/^[a-z0-9]{1,64}$/, 'must be the id of a stream') });

const assignmentQuery = z.strictObject({
  incarnation: z.number().int().min(0).max(NUMBER_MAX).optional(),
  generation: z.number().int().min(0).max(NUMBER_MAX).optional(),
  streams: z.string().max(64).default('').describe('The `streamsVersion` of the answer before.'),
  waitMs: z.number().int().min(0).max(WAIT_MS_MAX).default(0).describe('How long to wait for a change.'),
});

export function agentEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [
    ...sessionEndpoints(parts),
    ...taskEndpoints(parts),
    secretEndpoint(parts),
    identityEndpoint(parts),
    ...streamEndpoints(parts),
  ];
}

function sessionEndpoints({ ctx, mint }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        admits: ['join', 'node'],
        needsEpoch: false,
        method: 'post',
        path: '/v1/agent/register',
        summary: 'Start a session',
        body: registerRequestSchema,
        answers: { 200: { description: 'The session.', schema: registerResponseSchema } },
      },
      async ({ principal, origin, body }) => {
        const credential = isJoining(principal) ? mint.newId() : principal.tokenId;
        const session = await registerNode(ctx, principal, body, { origin, credential });
        const { token } = await mintNodeToken(mint, body.node.id, credential);
        return current(ctx.mirror.revision, { nodeToken: token, ...session });
      },
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/agent/heartbeat',
        summary: 'Keep the session',
        body: heartbeatRequestSchema,
        answers: { 200: { description: 'The session goes on.', schema: heartbeatResponseSchema } },
      },
      async ({ principal, epoch, token }) => {
        const session = sessionOf(principal, epoch);
        await heartbeat(ctx, session);
        const renewed = await renewNodeToken(mint, { node: session.node, token, nowMs: ctx.clock.now() });
        return current(ctx.mirror.revision, { nodeToken: renewed?.token ?? null });
      },
    ),
  ];
}

function taskEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/agent/assignment',
        summary: 'Wait for what the node is to run',
        query: assignmentQuery,
        answers: {
          200: { description: 'The assignment, which differs from what the query names.', schema: z.looseObject({}) },
          204: { description: 'Nothing has changed.' },
        },
      },
      async ({ principal, epoch, query, lasting }) => {
        const session = sessionOf(principal, epoch);
        const { streams: streamsVersion, waitMs } = query;
        const assignment = await waitForAssignment(ctx, session, {
          position: positionOf(query),
          streamsVersion,
          waitMs,
          signal: lasting.signal,
        });
        if (assignment === null) return new Response(null, { status: 204 });
        return current(ctx.mirror.revision, assignmentBody(assignment));
      },
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/agent/statuses',
        summary: 'Report what became of tasks',
        body: statusesRequestSchema,
        answers: { 200: { description: 'What became of each report.', schema: statusesResponseSchema } },
      },
      async ({ principal, epoch, body }) => {
        const response = await commitStatuses(ctx, sessionOf(principal, epoch), body);
        return current(ctx.mirror.revision, response);
      },
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/agent/messages',
        summary: 'Pass messages of executors on, and confirm those for them',
        body: messagesRequestSchema,
        answers: { 200: { description: 'What became of each that was said.', schema: messagesResponseSchema } },
      },
      async ({ principal, epoch, body }) => {
        const response = await takeMessages(ctx, sessionOf(principal, epoch), body);
        return current(ctx.mirror.revision, response);
      },
    ),
  ];
}

function secretEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...base,
      method: 'post',
      path: '/v1/agent/tasks/{id}/secrets',
      summary: 'Open the secrets of a task that is about to be started',
      description: "Only of one that holds a place in the node's own ledger and has not ended.",
      params: z.object({ id: taskIdSchema }),
      answers: { 200: { description: 'What its group names.', schema: taskSecretsResponseSchema } },
    },
    async ({ principal, epoch, params }) => {
      const opened = await secretsOfTask(ctx, { node: nodeOf(principal), epoch }, params.id);
      return { ...current(ctx.mirror.revision, opened), headers: { 'cache-control': 'no-store' } };
    },
  );
}

function identityEndpoint({ ctx, ring }: ApiParts): Endpoint {
  return endpoint(
    {
      ...base,
      method: 'post',
      path: '/v1/agent/tasks/{id}/identity',
      summary: 'Get the tokens of a task about itself',
      description:
        "Only of one that holds a place in the node's own ledger and has not ended. What they say, and to whom, is the job's.",
      params: z.object({ id: taskIdSchema }),
      answers: { 200: { description: 'One for each that its group asks for.', schema: taskIdentityResponseSchema } },
    },
    async ({ principal, epoch, params }) => {
      const identity = await identityOfTask(ctx, ring, { node: nodeOf(principal), epoch }, params.id);
      return { ...current(ctx.mirror.revision, identity), headers: { 'cache-control': 'no-store' } };
    },
  );
}

function streamEndpoints({ ctx, relay }: ApiParts): readonly Endpoint[] {
  const taken = { 204: { description: 'All of it was taken, or nobody wants it any more.' } };
  return [
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/agent/streams/{id}',
        summary: "Send a task's output",
        params: streamParams,
        streamOf: logLineSchema,
        answers: taken,
      },
      async ({ principal, epoch, params, request, lasting }) => {
        checkStreamType(request);
        checkCredential(ctx, sessionOf(principal, epoch));
        await relay.deliver(nodeOf(principal), params.id, bodyOf(request), lasting.tokenSignal);
        return new Response(null, { status: 204 });
      },
    ),
    endpoint(
      {
        tag: 'Replicas',
        admits: ['peer'],
        method: 'post',
        path: '/v1/peer/streams/{id}',
        summary: "Pass a task's output on to the replica where it is read",
        params: streamParams,
        streamOf: logLineSchema,
        answers: taken,
      },
      async ({ params, request }) => {
        checkStreamType(request);
        // Not ended with its token, which is made for one call: the agent's, there, and the reader's, here, end it.
        await relay.deliverFromPeer(params.id, bodyOf(request));
        return new Response(null, { status: 204 });
      },
    ),
  ];
}

function current(revision: number, body: unknown): Reply {
  return { status: 200, body, revision };
}

function sessionOf(principal: Principal, epoch: number): NodeSession {
  return { node: nodeOf(principal), epoch, credential: principal.tokenId };
}

function nodeOf(principal: Principal): NodeId {
  const node = ownNode(principal);
  if (node !== null) return node;
  throw new Refusal('forbidden', "this token isn't any node's");
}

function positionOf({
  incarnation,
  generation,
}: {
  incarnation?: number | undefined;
  generation?: number | undefined;
}): AssignmentPosition | null {
  if (incarnation !== undefined && generation !== undefined) return { incarnation, generation };
  if (incarnation === undefined && generation === undefined) return null;
  const missing = incarnation === undefined ? 'incarnation' : 'generation';
  throw invalidRequest([{ path: `query:${missing}`, message: 'is required beside the other half of the position' }]);
}

function checkStreamType(request: Request): void {
  const type = request.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === NDJSON) return;
  throw new Refusal('unsupported-media-type', `a stream is sent with the header "Content-Type: ${NDJSON}"`);
}

function bodyOf(request: Request): ReadableStream<Uint8Array> {
  return request.body ?? new ReadableStream({ start: (controller) => controller.close() });
}
