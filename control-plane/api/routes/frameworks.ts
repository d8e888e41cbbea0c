/** `/v1/frameworks`: how schedulers from outside subscribe, what they are told on their streams, and how they end. */

import { z } from 'zod';
import {
  acknowledgedOperationsSchema,
  acknowledgedSchema,
  acknowledgeOperationsSchema,
  acknowledgeSchema,
  askedSchema,
  type FrameworkEvent,
  frameworkIdSchema,
  frameworkViewSchema,
  killSchema,
  messageSchema,
  reconciledOperationsSchema,
  reconciledSchema,
  reconcileOperationsSchema,
  reconcileSchema,
  sentMessageSchema,
  subscriptionSchema,
  toldAnswerSchema,
  toldSchema,
  updateFrameworkSchema,
  updateViewSchema,
} from '../../../shared/protocol/framework.ts';
import { roleSchema } from '../../../shared/protocol/job.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import { acknowledgeUpdates, killTask, reconcile } from '../../services/framework-calls.ts';
import { FRAMEWORK_HEARTBEAT_MS } from '../../services/framework-streams.ts';
import { getFramework, listFrameworks, subscribe, tearDown, updateFramework } from '../../services/frameworks.ts';
import { sendMessage } from '../../services/messages.ts';
import { acknowledgeOperations, reconcileOperations } from '../../services/operations.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import { eventStream, SSE_HEADERS, sentEvent } from '../http/server-sent-events.ts';
import { negotiated } from '../input/accept.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo, stopBodySchema } from './answers.ts';

const EVENTS = 'text/event-stream';

export const frameworkParams = z.object({ id: frameworkIdSchema });
export const frameworkBase = { tag: 'Frameworks', admits: ['user'] } as const;

const streamQuery = z.strictObject({
  session: z.number().int().min(1).describe('As the subscription answered it.'),
});

export function frameworkEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [
    ...lifeEndpoints(parts),
    ...viewEndpoints(parts),
    streamEndpoint(parts),
    killEndpoint(parts),
    acknowledgeEndpoint(parts),
    messageEndpoint(parts),
    reconcileEndpoint(parts),
    ...operationEndpoints(parts),
    ...peerEndpoints(parts),
  ];
}

function lifeEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  const gone = { 410: { description: 'It was torn down.' } };
  return [
    endpoint(
      {
        ...frameworkBase,
        method: 'post',
        path: '/v1/frameworks',
        summary: 'Subscribe',
        description:
          'As a new framework, or with the id of one that comes back: its session moves on, its stream elsewhere ends, and what it was offered is withdrawn. Takes the action `framework:run` in all of its roles. Open the stream next: without one the failover timeout runs.',
        body: subscriptionSchema,
        repeatable: true,
        answers: {
          201: { description: 'The new framework.', schema: frameworkViewSchema },
          200: { description: 'The framework in its next session.', schema: frameworkViewSchema },
          ...gone,
        },
      },
      async ({ call, body }) => replyTo(await subscribe(ctx, call, body)),
    ),
    endpoint(
      {
        ...frameworkBase,
        method: 'put',
        path: '/v1/frameworks/{id}',
        summary: 'Change what a framework wants',
        description:
          'Replaces all that it said when it subscribed, without a new session; what is left out goes back to its default. Offers in roles that it has left, or of nodes that it no longer wants, are withdrawn; its tasks go on. Takes the action `framework:run` in all of its roles.',
        params: frameworkParams,
        body: updateFrameworkSchema,
        answers: { 200: { description: 'The framework.', schema: frameworkViewSchema }, ...sessionAnswers },
      },
      async ({ call, params, body: { session, ...wishes } }) =>
        replyTo(await updateFramework(ctx, call, { id: params.id, session }, wishes)),
    ),
    endpoint(
      {
        ...frameworkBase,
        method: 'delete',
        path: '/v1/frameworks/{id}',
        summary: 'Tear a framework down',
        description: 'Its tasks end, its offers are taken back, and nobody can subscribe with its id again.',
        params: frameworkParams,
        query: z.strictObject({ reason: stopBodySchema.shape.reason }),
        answers: { 202: { description: 'The framework, as it ends.', schema: frameworkViewSchema } },
      },
      async ({ call, params, query }) => replyTo(await tearDown(ctx, call, params.id, query)),
    ),
  ];
}

function viewEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...frameworkBase,
        method: 'get',
        path: '/v1/frameworks',
        summary: 'List frameworks',
        description: 'With what each holds, and for how long it has held offers without an answer.',
        query: z.strictObject({
          role: roleSchema.optional().describe('Those of this role and of the ones below it.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of frameworks.', schema: pageOf(frameworkViewSchema) } },
      },
      ({ principal, query }) => {
        const body = listFrameworks(ctx, principal, { role: query.role ?? null }, pageOfQuery(query));
        return { status: 200, body };
      },
    ),
    endpoint(
      {
        ...frameworkBase,
        method: 'get',
        path: '/v1/frameworks/{id}',
        summary: 'Read a framework',
        params: frameworkParams,
        answers: { 200: { description: 'The framework.', schema: frameworkViewSchema } },
      },
      ({ principal, params }) => ({ status: 200, body: getFramework(ctx, principal, params.id) }),
    ),
  ];
}

function streamEndpoint(parts: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'get',
      path: '/v1/frameworks/{id}/events',
      summary: "Open a framework's stream",
      description:
        'As events, whose data is a FrameworkEvent each: first `subscribed`, then all offers that stand, all updates and all operations with names that are not acknowledged, and all notices of maintenance that are not answered, then whatever comes. Of several streams the one that was opened last counts; the others end with `superseded`. One that ends in another way than with `superseded` or `ended` is to be opened again, at whichever replica and with the same session: forget which offers you knew, they all come again. Only `node-lost`, which says that a node where it has live tasks has fallen silent or was declared gone, is said once, to the stream that is open then; how those tasks stand comes as updates. Whoever takes nothing for a minute is cut off.',
      params: frameworkParams,
      query: streamQuery,
      answers: {
        200: { description: 'The stream, each of its events a FrameworkEvent.', text: [EVENTS] },
        409: { description: 'It has subscribed anew: `session-moved`.' },
        410: { description: 'It was torn down.' },
      },
    },
    async (request) => {
      const { headers, method } = request.request;
      negotiated(headers.get('accept'), [EVENTS]);
      if (method === 'HEAD') return new Response(null, { headers: SSE_HEADERS });
      return frameworkStream(parts, request.principal, {
        id: request.params.id,
        session: request.query.session,
        requestId: request.origin.requestId,
        lasting: request.lasting,
      });
    },
  );
}

async function frameworkStream(
  { ctx, frameworkStreams }: ApiParts,
  principal: Principal,
  { id, session, requestId, lasting }: { id: string; session: number; requestId: string; lasting: Lasting },
): Promise<Response> {
  const { signal } = lasting;
  const batches = await frameworkStreams.open(principal, { id, session, signal });
  // The first batch is there at once. Once it is taken, an end of the reader is sure to end the stream behind it as well.
  const first = await batches.next();
  signal.addEventListener('abort', () => void batches.return(undefined), { once: true });
  async function* texts(): AsyncGenerator<string, void> {
    if (!first.done) yield batchText(first.value);
    for await (const batch of batches) yield batchText(batch);
  }
  const heartbeat = () => ': still here\n\n';
  return eventStream(texts(), { ctx, requestId, lasting, heartbeat, heartbeatMs: FRAMEWORK_HEARTBEAT_MS });
}

function batchText(events: readonly FrameworkEvent[]): string {
  return events.map((event) => sentEvent({ event: event.type, data: event })).join('');
}

/** What every call of a session may be answered. */
export const sessionAnswers = {
  409: { description: 'The framework has subscribed anew: `session-moved`.' },
  410: { description: 'It was torn down: `framework-gone`.' },
};

function killEndpoint({ ctx, frameworkStreams }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'post',
      path: '/v1/frameworks/{id}/kill',
      summary: 'Kill a task',
      description:
        'Asks for its end, which is told as an update once it has come. Answers how it stands, and that its end is on its way: one that has ended is left alone; one that is not known is `unknown`, which is said on the stream as well.',
      params: frameworkParams,
      body: killSchema,
      repeatable: true,
      answers: { 200: { description: 'How the task stands.', schema: updateViewSchema }, ...sessionAnswers },
    },
    async ({ call, params, body }) => {
      const { session, task: name, graceSeconds = null } = body;
      const answer = await killTask(ctx, call, { id: params.id, session, name, graceSeconds });
      if (answer.body.state === 'unknown') await frameworkStreams.ask(params.id, [name]);
      return replyTo(answer);
    },
  );
}

function acknowledgeEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'post',
      path: '/v1/frameworks/{id}/acknowledge',
      summary: 'Acknowledge updates',
      description: 'They are not told again, and what follows them is. Harmless to repeat.',
      params: frameworkParams,
      body: acknowledgeSchema,
      answers: {
        200: { description: 'What each acknowledgement came to.', schema: acknowledgedSchema },
        ...sessionAnswers,
      },
    },
    async ({ principal, params, body }) => {
      return { status: 200, body: await acknowledgeUpdates(ctx, principal, { id: params.id, ...body }) };
    },
  );
}

function operationEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...frameworkBase,
        method: 'post',
        path: '/v1/frameworks/{id}/operations/acknowledge',
        summary: 'Acknowledge operations',
        description: 'They are not told again, and their names can be used for others. Harmless to repeat.',
        params: frameworkParams,
        body: acknowledgeOperationsSchema,
        answers: {
          200: { description: 'What each acknowledgement came to.', schema: acknowledgedOperationsSchema },
          ...sessionAnswers,
        },
      },
      async ({ principal, params, body }) => {
        return { status: 200, body: await acknowledgeOperations(ctx, principal, { id: params.id, ...body }) };
      },
    ),
    endpoint(
      {
        ...frameworkBase,
        method: 'post',
        path: '/v1/frameworks/{id}/operations/reconcile',
        summary: 'Ask how operations stand',
        description:
          'Those that are named, or all that are on record: what was carried out and is not acknowledged. Of anything else nothing is known.',
        params: frameworkParams,
        body: reconcileOperationsSchema,
        answers: { 200: { description: 'How they stand.', schema: reconciledOperationsSchema }, ...sessionAnswers },
      },
      async ({ principal, params, body: { session, operations: names = null } }) => {
        return { status: 200, body: await reconcileOperations(ctx, principal, { id: params.id, session, names }) };
      },
    ),
  ];
}

function messageEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'post',
      path: '/v1/frameworks/{id}/messages',
      summary: 'Say something to an executor',
      description:
        'Or to a task that one runs. It is passed on once the node asks for it, perhaps more than once, and thrown away if it is not taken within ten minutes or its task ends: answers that matter are up to framework and executor. What executors say comes on the stream as `message`, at most as long as the framework is without one for ten minutes.',
      params: frameworkParams,
      body: messageSchema,
      answers: {
        202: { description: 'It waits for the executor.', schema: sentMessageSchema },
        404: { description: 'The framework has no such task on record.' },
        ...sessionAnswers,
        409: { description: 'The task has ended, hears nothing, or its node is away; or `session-moved`.' },
        429: { description: 'Too many messages wait for it already.' },
      },
    },
    async ({ principal, params, body: { session, task, data } }) => {
      return { status: 202, body: await sendMessage(ctx, principal, { id: params.id, session, name: task, data }) };
    },
  );
}

function reconcileEndpoint({ ctx, frameworkStreams }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'post',
      path: '/v1/frameworks/{id}/reconcile',
      summary: 'Ask how tasks stand',
      description:
        'Those that are named, or all that have not ended. The answer holds it all; the same comes on the stream, for programs that take all updates in one place, as updates that need no acknowledgement. There it comes at most once, so ask again for what does not come.',
      params: frameworkParams,
      body: reconcileSchema,
      answers: { 200: { description: 'How they stand.', schema: reconciledSchema }, ...sessionAnswers },
    },
    async ({ principal, params, body }) => {
      const names = body.tasks ?? null;
      const answer = await reconcile(ctx, principal, { id: params.id, session: body.session, names });
      await frameworkStreams.ask(params.id, names);
      return { status: 200, body: answer };
    },
  );
}

/** What other replicas pass on to the stream that this one holds. */
function peerEndpoints({ frameworkStreams }: ApiParts): readonly Endpoint[] {
  const peerBase = { tag: 'Replicas', admits: ['peer'], method: 'post', params: frameworkParams } as const;
  return [
    endpoint(
      {
        ...peerBase,
        path: '/v1/peer/frameworks/{id}/asked',
        summary: "Pass a framework's question on to the replica that holds its stream",
        body: askedSchema,
        answers: { 204: { description: 'The stream answers, if it is open here.' } },
      },
      ({ params, body }) => {
        frameworkStreams.askHere(params.id, body.tasks);
        return new Response(null, { status: 204 });
      },
    ),
    endpoint(
      {
        ...peerBase,
        path: '/v1/peer/frameworks/{id}/told',
        summary: 'Pass events on to the replica that holds the stream of the framework that they are for',
        body: toldSchema,
        answers: { 200: { description: 'Whether the stream is open here and says them.', schema: toldAnswerSchema } },
      },
      ({ params, body }) => ({ status: 200, body: { isTold: frameworkStreams.tellHere(params.id, body.events) } }),
    ),
  ];
}
