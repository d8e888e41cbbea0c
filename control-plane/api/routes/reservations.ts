/** Reservations and volumes: of all nodes at `/v1/reservations` and `/v1/volumes`, and of each below `/v1/nodes/{id}`. */
import { z } from 'zod';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import { roleSchema } from '../../../shared/protocol/job.ts';
import {
  reservationIdSchema,
  reservationRequestSchema,
  reservationViewSchema,
  volumeRequestSchema,
  volumeViewSchema,
} from '../../../shared/protocol/reservations.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import {
  createVolumeOnNode,
  deleteVolumeOnNode,
  type HoldingFilter,
  listReservations,
  listVolumes,
  reserveOnNode,
  unreserveOnNode,
} from '../../services/reservations.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo } from './answers.ts';

const base = { tag: 'Reservations', admits: ['user'] } as const;
const onNode = { ...base, params: z.object({ id: nodeIdSchema }) };
const location = { Location: 'Where it is.' };

const roleFilter = {
  role: roleSchema.optional().describe('For this role and those below it. Absent: all that the token may see.'),
};
const everywhere = z.strictObject({ node: nodeIdSchema.optional(), ...roleFilter, ...pageQuery });
const here = z.strictObject({ ...roleFilter, ...pageQuery });

export function reservationEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...reservationLists(parts), ...reservationChanges(parts), ...volumeLists(parts), ...volumeChanges(parts)];
}

function filterOf(node: string | undefined, role: string | undefined): HoldingFilter {
  return { node: node ?? null, role: role ?? null };
}

const reservationPage = { description: 'One page of reservations.', schema: pageOf(reservationViewSchema) };

function reservationLists({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/reservations',
        summary: 'List reservations',
        description: 'Takes `reservation:read`.',
        query: everywhere,
        answers: { 200: reservationPage },
      },
      ({ principal, query }) => {
        const filter = filterOf(query.node, query.role);
        return { status: 200, body: listReservations(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...onNode,
        method: 'get',
        path: '/v1/nodes/{id}/reservations',
        summary: "List a node's reservations",
        description: 'Takes `reservation:read`.',
        query: here,
        answers: { 200: reservationPage },
      },
      ({ principal, params, query }) => {
        const filter = filterOf(params.id, query.role);
        return { status: 200, body: listReservations(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
  ];
}

function reservationChanges({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...onNode,
        method: 'post',
        path: '/v1/nodes/{id}/reservations',
        summary: 'Keep something of a node for a role',
        description:
          'The role is charged for all of it, used or not, so its limit and those above it hold. Offers that stand in the way are taken back. Takes `reservation:write` in the role.',
        body: reservationRequestSchema,
        repeatable: true,
        answers: { 201: { description: 'The reservation.', schema: reservationViewSchema, headers: location } },
      },
      async ({ call, params, body }) => {
        const answer = await reserveOnNode(ctx, call, params.id, body);
        return replyTo(answer, { location: `/v1/nodes/${params.id}/reservations/${answer.body.id}` });
      },
    ),
    endpoint(
      {
        ...base,
        params: z.object({ id: nodeIdSchema, reservation: reservationIdSchema }),
        method: 'delete',
        path: '/v1/nodes/{id}/reservations/{reservation}',
        summary: 'Give a reservation back',
        description:
          "Refused while tasks or volumes use it, and for one that was set at the node's agent. Takes `reservation:write` in its role.",
        answers: { 200: { description: 'The reservation that was.', schema: reservationViewSchema } },
      },
      async ({ call, params }) => replyTo(await unreserveOnNode(ctx, call, params.id, params.reservation)),
    ),
  ];
}

const volumePage = { description: 'One page of volumes.', schema: pageOf(volumeViewSchema) };

function volumeLists({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/volumes',
        summary: 'List persistent volumes',
        description: 'Takes `volume:read`.',
        query: everywhere,
        answers: { 200: volumePage },
      },
      ({ principal, query }) => {
        const filter = filterOf(query.node, query.role);
        return { status: 200, body: listVolumes(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...onNode,
        method: 'get',
        path: '/v1/nodes/{id}/volumes',
        summary: "List a node's persistent volumes",
        description: 'Takes `volume:read`.',
        query: here,
        answers: { 200: volumePage },
      },
      ({ principal, params, query }) => {
        const filter = filterOf(params.id, query.role);
        return { status: 200, body: listVolumes(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
  ];
}

function volumeChanges({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...onNode,
        method: 'post',
        path: '/v1/nodes/{id}/volumes',
        summary: 'Make a persistent volume',
        description:
          'A folder of the node, on a reservation\'s disk, that outlives its tasks. They mount it as `{"type": "persistent", "source": <id>}`. Takes `volume:write` in the reservation\'s role.',
        body: volumeRequestSchema,
        repeatable: true,
        answers: { 201: { description: 'The volume.', schema: volumeViewSchema, headers: location } },
      },
      async ({ call, params, body }) => {
        const answer = await createVolumeOnNode(ctx, call, params.id, body);
        return replyTo(answer, { location: `/v1/nodes/${params.id}/volumes/${answer.body.id}` });
      },
    ),
    endpoint(
      {
        ...base,
        params: z.object({ id: nodeIdSchema, volume: reservationIdSchema }),
        method: 'delete',
        path: '/v1/nodes/{id}/volumes/{volume}',
        summary: 'Delete a persistent volume',
        description:
          "With all that is in it, by the node's agent; the volume is listed until that is done. Refused while a task mounts it. Takes `volume:write` in its role.",
        answers: { 202: { description: 'The volume, which will go.', schema: volumeViewSchema } },
      },
      async ({ call, params }) => replyTo(await deleteVolumeOnNode(ctx, call, params.id, params.volume)),
    ),
  ];
}
