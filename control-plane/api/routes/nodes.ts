/** `/v1/nodes`. */
import { z } from 'zod';
import { LEDGER_ENTRIES_MAX } from '../../../shared/domain/ledger.ts';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import { goneNodeViewSchema, NODE_STATES, nodeViewSchema, pageOf } from '../../../shared/protocol/views.ts';
import { stopKeptAside } from '../../services/kept-aside.ts';
import { declareGone, drainNode, getNode, listNodes, setEligibility, undrainNode } from '../../services/nodes.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo, stopBodySchema } from './answers.ts';
import { taskParams } from './tasks.ts';

/** A year. */
const DRAIN_SECONDS_MAX = 31_536_000;

const base = { tag: 'Nodes', admits: ['user'] } as const;
const byId = { ...base, params: z.object({ id: nodeIdSchema }) };
const nodeAnswer = { 200: { description: 'The node.', schema: nodeViewSchema } };

const drainBodySchema = z
  .strictObject({
    deadlineSeconds: z
      .number()
      .min(0)
      .max(DRAIN_SECONDS_MAX)
      .nullable()
      .default(null)
      .describe('When what still runs is stopped, counted from now; null lets everything run to its own end.'),
    graceSecondsMax: z
      .number()
      .min(0)
      .max(DRAIN_SECONDS_MAX)
      .nullable()
      .default(null)
      .describe('What is stopped is killed after this time, whatever grace it asks for; null: each gets its own.'),
  })
  .meta({ id: 'DrainRequest' });

const stopKeptAsideSchema = stopBodySchema
  .extend({
    tasks: z
      .array(taskParams.shape.id)
      .min(1)
      .max(LEDGER_ENTRIES_MAX)
      .optional()
      .describe('Absent: all that the node keeps aside.'),
  })
  .meta({ id: 'StopKeptAsideRequest' });

const eligibilityBodySchema = z.strictObject({ eligible: z.boolean() }).meta({ id: 'EligibilityRequest' });

export function nodeEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...readingEndpoints(parts), ...drainEndpoints(parts), ...otherChanges(parts)];
}

function readingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/nodes',
        summary: 'List nodes',
        query: z.strictObject({
          state: z.array(z.enum(NODE_STATES)).min(1).max(NODE_STATES.length).optional().describe('May be repeated.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of nodes.', schema: pageOf(nodeViewSchema) } },
      },
      ({ principal, query }) => {
        const filter = { states: query.state ?? null };
        return { status: 200, body: listNodes(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      { ...byId, method: 'get', path: '/v1/nodes/{id}', summary: 'Read a node', answers: nodeAnswer },
      ({ principal, params }) => ({ status: 200, body: getNode(ctx, principal, params.id) }),
    ),
  ];
}

function drainEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...byId,
        method: 'post',
        path: '/v1/nodes/{id}/drain',
        summary: 'Drain a node',
        description: 'It takes no new tasks. Draining it again sets a new deadline.',
        body: drainBodySchema,
        bodyOptional: true,
        repeatable: true,
        answers: nodeAnswer,
      },
      async ({ call, params, body }) => replyTo(await drainNode(ctx, call, params.id, body)),
    ),
    endpoint(
      {
        ...byId,
        method: 'delete',
        path: '/v1/nodes/{id}/drain',
        summary: "End a node's drain",
        description: 'It takes new tasks again. What the drain has stopped stays stopped.',
        answers: nodeAnswer,
      },
      async ({ call, params }) => replyTo(await undrainNode(ctx, call, params.id)),
    ),
  ];
}

function otherChanges({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...byId,
        method: 'post',
        path: '/v1/nodes/{id}/kept-aside/stop',
        summary: 'End what a node keeps aside',
        description:
          'After the store was restored from an older snapshot and the cluster recovered, containers that the state knows nothing of run on until this is asked for.',
        body: stopKeptAsideSchema,
        bodyOptional: true,
        repeatable: true,
        answers: nodeAnswer,
      },
      async ({ call, params, body }) =>
        replyTo(await stopKeptAside(ctx, call, params.id, { tasks: body.tasks ?? null, reason: body.reason })),
    ),
    endpoint(
      {
        ...byId,
        method: 'put',
        path: '/v1/nodes/{id}/eligibility',
        summary: 'Open a node to new tasks, or close it',
        description: 'What runs there goes on.',
        body: eligibilityBodySchema,
        answers: nodeAnswer,
      },
      async ({ call, params, body }) => replyTo(await setEligibility(ctx, call, params.id, body)),
    ),
    endpoint(
      {
        ...byId,
        method: 'post',
        path: '/v1/nodes/{id}/gone',
        summary: 'Declare a node gone',
        description:
          'Says that nothing runs there any more: the machine was scrapped, or its disk replaced. Only a node that is not connected. Its tasks end as lost, whatever their jobs wait for; all that it held is given back; it is no longer listed. Under its name a new node may join; if the old machine comes back, its agent ends what it still runs. Said again, it changes nothing.',
        repeatable: true,
        answers: { 200: { description: 'The node that was.', schema: goneNodeViewSchema } },
      },
      async ({ call, params }) => replyTo(await declareGone(ctx, call, params.id)),
    ),
  ];
}
