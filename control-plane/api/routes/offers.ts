/** `/v1/offers`, and what frameworks answer to their offers. */
import { z } from 'zod';
import { LAUNCHES_MAX } from '../../../shared/domain/offer-operation.ts';
import { nodeIdSchema } from '../../../shared/protocol/agent-schemas.ts';
import { frameworkIdSchema } from '../../../shared/protocol/framework.ts';
import { roleSchema } from '../../../shared/protocol/job.ts';
import {
  acceptedSchema,
  acceptSchema,
  declinedSchema,
  declineSchema,
  heldOfferSchema,
  offerWishesSchema,
  offerWishSchema,
} from '../../../shared/protocol/offers.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import { listOffers } from '../../services/held-offers.ts';
import { declineOffers } from '../../services/offer-declines.ts';
import { reviveOffers, suppressOffers } from '../../services/offer-wishes.ts';
import { acceptOffers } from '../../services/offers.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo } from './answers.ts';
import { frameworkBase, frameworkParams, sessionAnswers } from './frameworks.ts';

const answering = { ...frameworkBase, method: 'post', params: frameworkParams, repeatable: true } as const;

export function offerEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...answerEndpoints(parts), ...wishEndpoints(parts), listEndpoint(parts)];
}

function answerEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...answering,
        path: '/v1/frameworks/{id}/accept',
        summary: 'Accept offers of one node',
        description:
          'Carries the operations out in their order and gives back what they leave over. A task that can not be launched ends as `error`, like any other end that the framework is told of; if anything else is wrong, nothing is changed and the offers stand. What does not stand any more is refused as `offer-gone`. `framework:run` suffices to reserve, to make volumes, and to undo what the same principal has made; to `unreserve` or `destroy` what somebody else has made takes `reservation:write` or `volume:write` in the role.',
        body: acceptSchema,
        ifTooLarge: {
          path: '/operations',
          message: `may launch ${LAUNCHES_MAX} tasks in one call, and fewer of long ones: launch the others in further calls, on other offers`,
        },
        answers: {
          200: { description: 'What came of it.', schema: acceptedSchema },
          ...sessionAnswers,
          409: { description: 'An offer or the session does not stand any more: `offer-gone`, `session-moved`.' },
        },
      },
      async ({ call, params, body }) => replyTo(await acceptOffers(ctx, call, params.id, body)),
    ),
    endpoint(
      {
        ...answering,
        path: '/v1/frameworks/{id}/decline',
        summary: 'Decline offers',
        description: 'Offers that do not stand any more are passed over, so the call may be repeated.',
        body: declineSchema,
        answers: { 200: { description: 'What was declined.', schema: declinedSchema }, ...sessionAnswers },
      },
      async ({ call, params, body }) => replyTo(await declineOffers(ctx, call, params.id, body)),
    ),
  ];
}

function wishEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...answering,
        path: '/v1/frameworks/{id}/revive',
        summary: 'Ask for offers again',
        description: 'What was refused in these roles may be offered again at once, and they are no longer suppressed.',
        body: offerWishSchema,
        answers: {
          200: { description: 'In which roles it wants offers.', schema: offerWishesSchema },
          ...sessionAnswers,
        },
      },
      async ({ call, params, body: { session, roles } }) =>
        replyTo(await reviveOffers(ctx, call, params.id, { session, roles: roles ?? null })),
    ),
    endpoint(
      {
        ...answering,
        path: '/v1/frameworks/{id}/suppress',
        summary: 'Ask for no more offers',
        description: 'In these roles, until it revives them. Offers that stand are not withdrawn.',
        body: offerWishSchema,
        answers: {
          200: { description: 'In which roles it wants offers.', schema: offerWishesSchema },
          ...sessionAnswers,
        },
      },
      async ({ call, params, body: { session, roles } }) =>
        replyTo(await suppressOffers(ctx, call, params.id, { session, roles: roles ?? null })),
    ),
  ];
}

function listEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...frameworkBase,
      method: 'get',
      path: '/v1/offers',
      summary: 'List offers',
      description: 'Who holds what of which node without having used it yet, and for how long.',
      query: z.strictObject({
        framework: frameworkIdSchema.optional(),
        node: nodeIdSchema.optional(),
        role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
        ...pageQuery,
      }),
      answers: { 200: { description: 'One page of offers.', schema: pageOf(heldOfferSchema) } },
    },
    ({ principal, query }) => {
      const { framework, node, role } = query;
      const filter = { framework: framework ?? null, node: node ?? null, role: role ?? null };
      return { status: 200, body: listOffers(ctx, principal, filter, pageOfQuery(query)) };
    },
  );
}
